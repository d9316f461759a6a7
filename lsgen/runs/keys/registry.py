"""The registry of log keys: the name of each logged number and figure, its unit, and where it is shown.

The first entry that matches a key describes it; entries stand in the order in which they are read.
"""

from __future__ import annotations

from lsgen.runs.keys.analysis import ANALYSIS
from lsgen.runs.keys.answers import ANSWERS
from lsgen.runs.keys.embeddings import EMBEDDINGS
from lsgen.runs.keys.entry import Chart, Entry, figure
from lsgen.runs.keys.evidence import EVIDENCE
from lsgen.runs.keys.geometry import GEOMETRY
from lsgen.runs.keys.graphs import GRAPHS
from lsgen.runs.keys.multimodal.coherence import MODALITIES
from lsgen.runs.keys.phase_transitions import PHASE_TRANSITIONS
from lsgen.runs.keys.retrieval import RETRIEVAL
from lsgen.runs.keys.sample_tests import SAMPLE_TESTS
from lsgen.runs.keys.sounds import SOUNDS
from lsgen.runs.keys.topics import TOPICS
from lsgen.runs.keys.views import VIEWS
from lsgen.runs.keys.words import SENTENCES, WORDS

__all__ = ["ENTRIES", "GALLERIES", "SECTIONS"]

_STAGES = ("train", "val", "test")
_HELD_OUT = ("val", "test")
_COST = "progress"

SECTIONS = {
    "likelihood": "Likelihood",
    "factors": "Ground-truth factors",
    "evidence": "Evidence",
    "aggregate": "Aggregate posterior",
    "objective": "Terms of objectives and players",
    "reconstructions": "Reconstructions",
    "samples": "Samples",
    "quality": "Quality of samples",
    "inversion": "Observations in a generator's latent space",
    "traversals": "Traversals",
    "interpolations": "Interpolations",
    "geometry": "Geometry",
    "phases": "Phase transitions",
    "geodesics": "Geodesics",
    "distances": "Distances and means",
    "imputations": "Imputations",
    "analysis": "Analysis of codes",
    "words": "Benchmarks of words",
    "sentences": "Sentences",
    "embeddings": "Retrieval and few examples",
    "modalities": "Several modalities",
    "topics": "Topics",
    "views": "Views of observations",
    "networks": "Networks",
    "answers": "Answers and captions",
    "progress": "Progress and cost",
}

# Galleries of a report: title -> what it shows, and the sections whose figures are in it.
GALLERIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Reconstructions and samples": (
        "What the model makes of data it does not train on, and of draws from the prior.",
        ("reconstructions", "samples", "quality", "inversion", "imputations", "modalities"),
    ),
    "Traversals": (
        "One latent axis moves while the others stay. Axes are sorted by the information they carry.",
        ("traversals",),
    ),
    "Interpolations": ("From one observation to another, along different paths.", ("interpolations",)),
    "Geometry": (
        "The metric that the decoder induces: volume, curvature, and the spectrum of its eigenvalues.",
        ("geometry", "geodesics", "distances"),
    ),
    "Analysis of codes": ("Maps, neighbours, probes, strange codes, paths, and chance.", ("embeddings", "analysis")),
    "Views": ("What one view of an observation finds of another, and how views lie apart.", ("views",)),
    "Networks": ("Nodes by their codes, links that are told from other pairs, and labels by few.", ("networks",)),
    "Answers and captions": ("What the model answers, and how it describes what it sees.", ("answers",)),
    "Words and topics": ("Analogies that word vectors solve, and the words of topics.", ("words", "topics")),
    "Sentences": ("What codes write, and how well held-out sentences are told.", ("sentences",)),
}


def _likelihood(pattern: str, name: str, unit: str, meaning: str, **more: object) -> Entry:
    """Return an entry that `LikelihoodMetrics` measures on validation and test data."""
    options = {"stages": _HELD_OUT, "watched": _HELD_OUT, "section": "likelihood", "source": "LikelihoodMetrics"}
    return Entry(pattern, name, unit, meaning=meaning, **{**options, **more})  # type: ignore[arg-type]


def _factor(pattern: str, name: str, unit: str, meaning: str, **more: object) -> Entry:
    """Return an entry that `FactorMetrics` measures on held-out data."""
    options = {"stages": ("test",), "watched": ("test",), "section": "factors", "source": "FactorMetrics"}
    return Entry(pattern, name, unit, meaning=meaning, **{**options, **more})  # type: ignore[arg-type]


# fmt: off
ENTRIES: tuple[Entry, ...] = (
    _likelihood("elbo", "ELBO", "nats",
        "evidence lower bound of β = 1; train/: over one batch, val/ and test/: over the data set", stages=_STAGES,
        better="higher", summary=True, table=_HELD_OUT, card=("ELBO", "nats, validation"),
        chart=Chart("ELBO", "nats per observation")),
    _likelihood("reconstruction", "reconstruction, −log p(x|z)", "nats", "first term of the bound; the same averages",
        stages=_STAGES, better="lower", summary=True, table=("test",), card=("Reconstruction", "nats, validation"),
        chart=Chart("Reconstruction", "nats, −log p(x|z)")),
    _likelihood("kl", "KL of q(z|x) from p(z)", "nats", "second term of the bound; the same averages", stages=_STAGES,
        better="lower", summary=True, table=("test",), card=("KL", "nats, validation"), chart=Chart("KL",
        "nats, q(z|x) from p(z)")),
    _likelihood("active_units", "active units", "", "latent dimensions whose posterior mean varies", summary=True,
        table=("test",), card=("Active units", "latent dimensions"), chart=Chart("Active axes", "", "validation")),
    *(
        _likelihood(f"{unit}_per_dimension", "code length", f"{unit} per dimension",
            "−ELBO per data dimension, of those observed where values are missing, " + remark, better="lower",
            summary=True, card=("Code length", f"{unit} per dimension"))
        for unit, remark in (
            ("bits", "of discrete data"),
            ("nats", "of continuous data"),
        )
    ),
    _likelihood("kl_dimension/{axis}", "KL of z{axis}", "nats", "KL of each latent dimension, of up to 64"),
    *(
        _likelihood(f"{term}_epoch", f"{term} over the epoch", "nats", "average over the observations of the epoch",
            stages=("train",), watched=("train",), better=better)
        for term, better in (
            ("elbo", "higher"),
            ("reconstruction", "lower"),
            ("kl", "lower"),
        )
    ),
    Entry("loss", "loss", section="likelihood", meaning="what is minimised", stages=_STAGES, better="lower",
        source="LatentModel", watched=_HELD_OUT, chart=Chart("Loss", "")),
    _factor("factor/{factor}/r2", "{factor} from all latents", "R²",
        "linear fit of the factor from all posterior means", better="higher", summary=True),
    _factor("factor/{factor}/r2_single", "{factor} from its best latent", "R²",
        "the same from the one latent that explains it best", better="higher"),
    *(
        _factor(f"disentanglement/{trees}/entanglement/{{pair}}", "entanglement of {pair}", "",
            "threshold of importance above which two factors share no codes, 0 if none", better="lower")
        for trees in ("dci", "dci_5_rounds")
    ),
    *(
        _factor(f"disentanglement/{key}", name, "", meaning, better="higher")
        for key, name, meaning in (
            ("mig", "mutual information gap", "mutual information gap"),
            ("sap_r2", "SAP by correlation", "SAP by squared correlation"),
            ("sap_svm", "SAP by support vector machines", "SAP by support vector machines"),
            ("factor_vae", "FactorVAE score", "accuracy of a majority vote on the dimension of least variance"),
            ("beta_vae", "β-VAE score", "accuracy of a linear classifier of the factor that two observations share"),
            ("irs", "IRS", "interventional robustness score"),
            ("dci/{part}", "DCI {part}", "disentanglement, completeness, informativeness: preset full"),
            ("dci_5_rounds/{part}", "DCI {part} by 5 rounds of trees", "the same by smaller trees: preset fast"),
            ("infomec/{part}", "InfoMEC {part}", "modularity, explicitness, compactness"),
            ("jemmig/score", "JEMMIG, normalised", "joint entropy minus mutual information gap, 1 less its share of "
                "the most there can be"),
            ("dci_es/{part}", "DCI-ES {part}", "explicitness, size, informativeness: preset full"),
            ("{score}", "{score}", "modularity, explicitness"),
        )
    ),
    _factor("disentanglement/jemmig/nats", "JEMMIG", "nats", "the gap itself, 0 is best", better="lower"),
    Entry("agreement/udr", "unsupervised disentanglement ranking", "", "factors", better="higher",
        meaning="agreement of a run's codes with those of other seeds, by `lsgen agree`"),
    *EVIDENCE,
    *(
        Entry(f"aggregate/{key}", name, "nats", "aggregate", meaning=meaning, stages=("", "test"),
            source="EvidenceMetrics", watched=("test",))
        for key, name, meaning in (
            ("mutual_information", "mutual information of x and z", "I(x; z), at most log n"),
            ("total_correlation", "total correlation of q(z)", "too large where mutual information is too small"),
            ("dimension_wise_kl", "KL of the marginals of q(z)", "summed KL of the marginals to those of the prior"),
            ("marginal_kl", "KL of q(z) from p(z)", "the sum of total correlation and dimension-wise KL"),
        )
    ),
    Entry("aggregate/total_correlation_normal", "total correlation of a normal q(z)", "nats", "aggregate",
        meaning="that of the normal distribution with the covariance of q(z)"),
    Entry("aggregate/own_share", "share of its own posterior at a code", "", "aggregate",
        meaning="share of q(z) that is an observation's own posterior, at its code; near 1, n is too small"),
    figure("reconstruction/grid", "Reconstructions", "reconstructions",
        "input over the mean of p(x|z) at the posterior mean, fixed observations"),
    *(
        Entry(f"reconstruction/quality/{key}", name, unit, "reconstructions", meaning=of, better=better, summary=True)
        for key, name, unit, of, better in (
            ("psnr", "PSNR", "dB", "peak signal-to-noise ratio of reconstructed images in [0, 1], mean", "higher"),
            ("ssim", "SSIM", "", "structural similarity", "higher"),
            ("ssim_sigma_{sigma}", "SSIM, sigma {sigma}", "", "the same by another window", "higher"),
            ("lpips_{network}", "LPIPS, {network}", "", "mean perceptual distance of reconstructions", "lower"),
            ("distance_{distance}", "distance by {distance}", "", "the same by another distance", "lower"),
            ("{distance}_unbiased_low", "{distance} without bias, low", "", "lower end of its interval", ""),
            ("{distance}_unbiased_high", "{distance} without bias, high", "", "upper end of its interval", ""),
            ("{distance}_unbiased", "{distance} without bias", "", "the Fréchet distance without bias in 1/N", "lower"),
            ("rfid", "rFID", "", "Fréchet distance of reconstructions to the images, in Inception's features", "lower"),
            ("rfd_{extractor}", "rFD, {extractor}", "", "the same by another extractor", "lower"),
        )
    ),
    figure("reconstruction/quality", "", "reconstructions", "the provenance of the Fréchet distance", "npz"),
    *SOUNDS,
    figure("sample/grid", "Samples at fixed draws from the prior", "samples",
        "means of p(x|z) at draws z from the prior, or from another sampler"),
    figure("sample/neighbours/grid", "Nearest training observations of samples", "quality",
        "each row a sample, its nearest training observations and their distances"),
    figure("sample/neighbours/grid", "", "quality", "the distances, the indices and the provenance", "npz"),
    Entry("sample/neighbours/ratio", "neighbours/ratio", "", "quality", summary=True,
        meaning="median distance of samples to the training data over that of held-out observations"),
    figure("sample/comparison", "", "quality", "the provenance of the comparison", "npz"),
    figure("sample/classes", "", "quality", "the distance of every class, and the provenance", "npz"),
    Entry("sample/diversity", "diversity", "", "quality", better="higher", summary=True,
        meaning="mean distance of two samples over that of two observations; 0 for one image"),
    *(
        Entry(f"sample/decoupling/{key}", key, "", "quality", meaning=meaning, better="higher")
        for key, meaning in (
            ("hoyer", "sparsity of the sensitivities found by intervention, averaged over classes"),
            ("gini", "the same by another index of sparsity"),
            ("hoyer_optimised", "the same of weights found by optimisation"),
            ("gini_optimised", "the same of weights found by optimisation"),
            ("accuracy", "of the classifier, on the test split: what the rest is worth"),
        )
    ),
    figure("sample/decoupling", "", "quality", "sensitivities, (classes, d)", "npz"),
    *PHASE_TRANSITIONS,
    *SAMPLE_TESTS,
    *(
        Entry(f"reconstruction/inversion/{key}", f"inversion/{key}", "", "inversion", meaning=meaning, summary=True,
            better=better)
        for key, meaning, better in (
            ("error", "mean squared error of a data dimension, over the observations", "lower"),
            ("error_of_samples", "the same for as many samples, which have a code without error", "lower"),
            ("encoder_share", "share of observations whose best start was the encoder's", ""),
        )
    ),
    figure("reconstruction/inversion/grid", "Inversions", "inversion",
        "input over what its code decodes to, fixed observations"),
    figure("traversal/animation", "Every axis, to and fro", "traversals",
        "one column an axis, one row an anchor, swept to and fro", "animation"),
    figure("traversal/plane", "The plane of the two most active axes", "traversals",
        "decoded means over the plane of the two most active axes"),
    figure("traversal/axes", "Axes around fixed anchors", "traversals",
        "one row an axis, most active first; each anchor is one block"),
    figure("traversal/levels", "The most active axes of every level", "traversals",
        "where codes have levels: some rows a level, the top one first; the other levels stay at the anchor's"),
    figure("traversal/level_samples", "Levels kept from the top down", "traversals",
        "where codes have levels: each row keeps one more level of the anchor and draws the rest from the prior"),
    figure("traversal/choices", "Every value of every discrete variable", "traversals",
        "where codes have classes, bits, levels or entries of a codebook: one row a variable, one column a value"),
    figure("traversal/directions", "Directions and their scales", "traversals",
        "one row a direction, named, with its scale"),
    figure("traversal/directions", "", "traversals", "the directions", "npz"),
    figure("traversal/codes", "", "traversals",
        "the codes of the probes as a table, `lsgen.latent.Codes`, with standard deviations and labels", "npz"),
    figure("traversal/kl", "KL by axis", "traversals",
        "by axis: KL in nats, mean and spread of z, all over the probes", "table"),
    *RETRIEVAL,
    figure("interpolation/linear", "Linear", "interpolations",
        "straight segments between codes; the ends are the observations"),
    figure("interpolation/spherical", "Spherical", "interpolations", "the same pairs joined along the sphere"),
    figure("interpolation/geodesic", "Geodesic", "interpolations",
        "straight, spherical and geodesic paths, by pair; geodesics alone where codes do not live in flat space"),
    figure("interpolation/speed", "Speed along straight, spherical and geodesic paths", "interpolations",
        "speed along the same paths; a geodesic has a constant one"),
    *GEOMETRY,
    *(
        Entry(f"reconstruction/imputation/{{method}}/{key}", "{method}: " + key, "", "imputations", meaning=meaning,
            better=better)
        for key, meaning, better in (
            ("rmse", "error of the expectation of missing values", "lower"),
            ("mse", "square of that error", "lower"),
            ("coverage", "share of missing values within the central interval of the draws", ""),
            ("width", "average length of that interval", ""),
        )
    ),
    figure("reconstruction/imputation", "Imputations", "imputations",
        "input, what is observed, expectation and one draw, for images"),
    *ANALYSIS, *WORDS, *SENTENCES, *EMBEDDINGS, *VIEWS, *TOPICS, *GRAPHS, *MODALITIES, *ANSWERS,
    Entry("train/images_per_s", "throughput", "observations per second", _COST, better="higher",
        meaning="training throughput since the row before", card=("Throughput", "observations per second")),
    Entry("epoch", "epoch", "", _COST, meaning="passes over the training data, with what is logged by the model"),
    figure("explorer/codes", "Codes", "analysis", "codes, columns, places on maps and pictures, on demand", "table"),
    Entry("{family...}/share_of_training", "{family}: share of training", "", _COST,
        meaning="seconds of all turns of a callback so far over seconds since this fit began"),
    Entry("{family...}/seconds", "{family}: a turn", "s", _COST, default=False,
        meaning="duration of a turn of a callback"),
    *(
        Entry(f"sample/{key}", name, "", "quality", meaning=meaning, better=better, summary=summary)
        for key, name, meaning, better, summary in (
            ("classes/{which}", "{which}", "intra_fid or intra_fd_NAME, worst_...: Fréchet distances within classes",
                "lower", False),
            ("comparison/fid", "fid", "Fréchet distance in the features of Inception", "lower", True),
            ("comparison/{value}_low", "{value}, low", "lower end of the confidence interval", "", False),
            ("comparison/{value}_high", "{value}, high", "upper end of the confidence interval", "", False),
            ("comparison/{distance}_unbiased", "{distance} without bias", "Fréchet distance of half the observations "
                "and of all extrapolated: what the interval is around", "lower", True),
            ("comparison/{distance}_infinity", "{distance} at infinity", "Fréchet distance by a line in 1/N, N samples",
                "lower", True),
            ("comparison/fd_{extractor}", "fd_{extractor}", "the same by another extractor", "lower", True),
            ("comparison/kid_{extractor}", "kid_{extractor}", "kernel distance over subsets, and its std", "lower",
                True),
            ("comparison/inception_score", "inception score", "Inception's class probabilities: sure and of many "
                "classes; mean over splits", "higher", True),
            ("comparison/{extractor}_score", "{extractor} score", "the same by another classifier, not comparable with "
                "what is published", "higher", True),
            ("comparison/{extractor}_score_std", "{extractor} score, std", "standard deviation over splits", "", False),
            ("comparison/{value}", "{value}", "precision, recall, density, coverage", "higher", True),
            ("perceptual/ppl", "PPL", "perceptual path length, by LPIPS of VGG16", "lower", True),
            ("perceptual/ppl_std", "PPL, std", "standard deviation over the paths", "", False),
            ("perceptual/path_length_{distance}_std", "path length by {distance}, std", "the same", "", False),
            ("perceptual/path_length_{distance}", "path length by {distance}", "the same by another distance, not "
                "comparable with what is published", "lower", True),
            ("perceptual/diversity_{distance}_error", "diversity by {distance}, error", "standard error", "", False),
            ("perceptual/diversity_{distance}", "diversity by {distance}", "mean distance of samples", "higher", True),
            ("quality/{value}", "{value}", "of metrics of samples, such as `modes` and `good` of coverage", "", True),
        )
    ),
    Entry("regulariser/{name}_weight", "weight of {name}", "", "objective", stages=("train",),
        meaning="factor of the penalty in the loss"),
    Entry("regulariser/{name}", "{name}", "", "objective", stages=_STAGES, better="lower", summary=True,
        meaning="penalty on the metric of the decoder, without its weight"),
    *(
        Entry(f"train/{player}/{{term}}", f"{player}/{{term}}", "", "objective", summary=True,
            meaning=f"term that the {player} minimises, such as adversarial")
        for player in ("critic", "generator")
    ),
    *(
        Entry(f"{stage}/{{term}}", "{term}", "", "objective",
            meaning=("weight of the loss, such as beta, or " if stage == "train" else "") + "term of the objective")
        for stage in _STAGES
    ),
)
# fmt: on
