"""Entries of the registry for the analysis of codes."""

from __future__ import annotations

from collections.abc import Iterator

from lsgen.runs.keys.entry import Entry, Kind, ends, figure

__all__ = ["ANALYSIS"]


def _with_ends(pattern: str, name: str, unit: str, meaning: str, better: str, summary: bool) -> Iterator[Entry]:
    """Yield the entry of a statistic and of the two ends of its 95 % interval.

    The ends come first where the pattern ends in a field, which would take them for one of its values.
    """
    key = f"analysis/{pattern}"
    entry = Entry(key, name, unit, "analysis", meaning=meaning, better=better, summary=summary)
    both = ends(key, name, unit, "analysis")
    yield from (*both, entry) if pattern.endswith("}") else (entry, *both)


def _figure(key: str, caption: str, meaning: str, kind: Kind = "image") -> Entry:
    return figure(f"analysis/{key}", caption, "analysis", meaning, kind)


# fmt: off
ANALYSIS: tuple[Entry, ...] = (
    Entry("analysis/codes", "codes analysed", "", "analysis",
        meaning="codes of held-out observations, or drawn from the prior of a model without encoder"),
    Entry("analysis/codes_left_out", "codes left out", "", "analysis",
        meaning="codes that were not finite or not on the manifold"),
    *(
        entry
        for pattern, name, unit, meaning, better, summary in (
            ("neighbours/skewness", "skewness of occurrences", "", "of how often codes are neighbours of others; great "
                "where there are hubs", "lower", False),
            ("neighbours/orphans", "orphans", "", "share of codes that are neighbours of none", "lower", False),
            ("dimension/two_nn", "intrinsic dimension, two neighbours", "", "by the ratio of two distances", "", True),
            ("dimension/mle", "intrinsic dimension, likelihood", "", "by maximum likelihood", "", False),
            ("clusters/silhouette", "silhouette", "", "how much nearer codes are to their own cluster than to the next",
                "higher", False),
            ("clusters/stability", "stability of clusters", "", "adjusted Rand index with clusters of resampled codes",
                "higher", True),
            ("clusters/{column}/rand_index", "clusters and {column}", "adjusted Rand index",
                "agreement of clusters and classes", "higher", False),
            ("clusters/{column}/mutual_information", "information of clusters on {column}", "", "adjusted mutual "
                "information", "higher", False),
            ("comparison/{other}/cka_debiased", "debiased CKA with {other}", "", "of unbiased estimates", "", False),
            ("comparison/{other}/cka", "CKA with {other}", "", "linear CKA, 1 for turned and scaled codes", "", True),
            ("comparison/{other}/procrustes", "Procrustes distance from {other}", "", "share of variance that is left "
                "when one is turned and scaled onto the other", "", False),
            ("comparison/{other}/rsa", "RSA with {other}", "", "rank correlation of the distances of pairs", "", False),
            ("comparison/{other}/jaccard", "overlap of neighbours with {other}", "", "mean Jaccard index of "
                "nearest neighbours", "", False),
            ("map/{map}/trustworthiness", "trustworthiness of {map}", "", "how few neighbours on the map are not "
                "neighbours of codes", "higher", True),
            ("map/{map}/continuity", "continuity of {map}", "", "how few neighbours of codes are not neighbours on the "
                "map", "higher", False),
            ("map/{map}/overlap", "overlap of neighbours on {map}", "", "share of neighbours that both have in common",
                "higher", False),
            ("map/{map}/stability", "stability of {map}", "R²", "agreement of maps of several seeds, by Procrustes",
                "higher", False),
            ("direction/{attribute}/pair_alignment", "pair alignment of {attribute}", "Cohen's d", "the score of "
                "Latent Space Cartography, which is far from 0 by chance", "", False),
            ("leakage/{attribute}/own", "own change along {attribute}", "SD", "of a probe of the attribute when codes "
                "move by one standard deviation along its direction", "higher", False),
            ("leakage/{attribute}/others", "leakage of {attribute}", "SD", "the greatest change of a probe of another "
                "column, or of another class where there is one column, when codes move along its direction", "lower",
                False),
            ("analogy/{questions}/standard", "analogies of {questions}", "", "share answered with a, b and c left "
                "out of the answers; by chance: by the code nearest to c", "higher", False),
            ("analogy/{questions}/honest", "honest analogies of {questions}", "", "share answered with no code left "
                "out", "higher", False),
            ("analogy/{questions}/returns_input", "inputs returned for {questions}", "", "share whose honest answer is "
                "a, b or c", "lower", False),
            ("analogy/{questions}/nearest_of_c", "nearest of c for {questions}", "", "share that the code nearest to c "
                "answers", "", False),
            ("analogy/{questions}/only_b", "nearest of b for {questions}", "", "share that the code nearest to b "
                "answers", "", False),
            ("analogy/{questions}/coverage", "coverage of {questions}", "", "share of questions whose four codes are "
                "there", "higher", False),
            ("direction/{attribute}/reliability", "reliability of {attribute}", "", "cos² of the angle between the "
                "direction that was found and that of infinitely many codes", "higher", False),
            ("direction/{attribute}/auc", "AUC along {attribute}", "", "of held-out codes along it", "higher",
                False),
            ("probe/{column}/{space}/{budget}", "{column} from {space}, {budget} labels", "", "accuracy of a probe, or "
                "R² of numbers; space is codes, raw, pca of as many components, untrained or majority", "higher",
                False),
            ("anomaly/{score}/false_alarms", "false alarms of {score}", "", "share of codes with a conformal p of at "
                "most 0.05", "", False),
            ("anomaly/{score}/auroc", "AUROC of {score}", "", "of a class that the score was not fitted to, "
                "averaged over classes", "higher", True),
            ("anomaly/{score}/aupr", "AUPR of {score}", "", "the same of the area under precision and recall", "higher",
                False),
            ("anomaly/{score}/fpr95", "FPR at 95 % TPR of {score}", "", "the same of false positives where 95 % are "
                "found", "lower", False),
            ("imputation/coverage", "coverage of 90 % intervals", "", "share of hidden values within the central 90 % "
                "of the draws", "", True),
        )
        for entry in _with_ends(pattern, name, unit, meaning, better, summary)
    ),
    Entry("analysis/clusters/number", "number of clusters", "", "analysis", meaning="chosen by the silhouette"),
    Entry("analysis/direction/{attribute}/p", "p of {attribute}", "", "analysis", better="lower",
        meaning="share of permutations of the attribute with a direction at least as long"),
    Entry("analysis/imputation/width", "width of 90 % intervals", "", "analysis", meaning="their average length"),
    *(
        Entry(f"analysis/path/{{kind}}/{key}", f"{name}, {{kind}}", "", "analysis", meaning=meaning, better=better)
        for key, name, meaning, better in (
            ("off_manifold", "steps off the manifold", "share of the steps of paths that are farther from codes than "
                "99 % of codes are from one another", "lower"),
            ("length", "decoded length", "length of the path of decoded means", ""),
            ("percentile", "percentile of the distance", "of the distance to the nearest codes among theirs, averaged "
                "over steps", "lower"),
            ("prior_z", "prior z-score", "of the log-density of the prior, averaged over steps", ""),
            ("variance", "variance of the decoder", "averaged over steps and data dimensions", ""),
            ("cycle", "cycle error", "distance of the code of the decoding, averaged over steps", "lower"),
        )
    ),
    _figure("maps", "Maps of codes", "projections with their trustworthiness, coloured by the label"),
    _figure("maps", "", "their coordinates and the ids of the codes", "npz"),
    _figure("directions", "", "names and vectors of the directions, cosines between them, leakage", "npz"),
    _figure("leakage", "What moving along directions changes", "change of the probe of each attribute, in its standard "
        "deviations, when codes move by one standard deviation along the direction of each"),
    _figure("analogies", "Analogies", "shares of questions that are answered, by section", "table"),
    _figure("probe/{column}", "Probes of {column}", "accuracy or R² by the number of labels, with 95 % intervals"),
    _figure("p_values", "p-values of codes", "conformal p-values of each code; uniform where no code is strange"),
    _figure("roc", "A class that scores have not seen", "ROC curves of the class that the best score tells worst"),
    _figure("path/{pair}", "Paths between two codes", "diagnostics by step; crosses are off the manifold"),
    _figure("clusters/lift", "What is frequent in clusters", "classes with the greatest lift in each cluster", "table"),
    _figure("statistics", "Statistics of codes", "every statistic with its interval, its level by chance, n and seed",
        "table"),
    _figure("codes", "", "the codes as a table, `lsgen.latent.Codes`, with p-values and the trust of maps as columns",
        "npz"),
)
# fmt: on
