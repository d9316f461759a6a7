"""Structure of codes: hubs among neighbours, clusters and what they have to do with labels, intrinsic dimension."""

from __future__ import annotations

from lsgen.analysis.clustering import find_clusters, label_agreement, metadata_lift
from lsgen.analysis.intrinsic import intrinsic_dimension
from lsgen.analysis.neighbours import hubness
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import LeftOutError, Subject
from lsgen.latent import Euclidean

__all__ = ["clusters", "dimension", "neighbours"]

LIFTS = 3


def neighbours(subject: Subject, found: Findings) -> None:
    """Log how unevenly codes are neighbours of others."""
    hubs = hubness(subject.codes, subject.detail.k, subject.seed)
    found.add("analysis/neighbours/skewness", hubs.skewness)
    found.add("analysis/neighbours/orphans", hubs.orphans)
    found.columns["occurrences"] = hubs.occurrences


def clusters(subject: Subject, found: Findings) -> None:
    """Log clusters, whether there are any, how well they agree with classes, and what is frequent in each."""
    codes = subject.codes
    method = "kmeans" if isinstance(codes.manifold, Euclidean) else "frechet"
    parts = find_clusters(codes, method, seed=subject.seed)
    found.numbers({"analysis/clusters/number": parts.k})
    found.add("analysis/clusters/silhouette", parts.silhouette)
    found.add("analysis/clusters/stability", parts.stability)
    found.columns["cluster"] = parts.labels
    try:
        column, classes = subject.classes()
    except LeftOutError:
        return
    agreement = label_agreement(parts.labels, classes, subject.seed)
    found.add(f"analysis/clusters/{column}/rand_index", agreement.rand_index)
    found.add(f"analysis/clusters/{column}/mutual_information", agreement.mutual_information)
    lifts, rows = metadata_lift(parts.labels, classes), []
    for cluster in range(parts.k):
        for one in [lift for lift in lifts if lift.cluster == cluster][:LIFTS]:
            low, high = one.lift.interval or (None, None)
            rows.append(
                [cluster, int(parts.sizes[cluster]), str(one.value), one.share.value, one.lift.value, low, high]
            )
    names = ["cluster", "codes", column, "share", "lift", "lower end", "upper end"]
    found.sink.table("analysis/clusters/lift", names, rows)


def dimension(subject: Subject, found: Findings) -> None:
    """Log how many dimensions codes fill."""
    filled = intrinsic_dimension(subject.codes, seed=subject.seed)
    found.add("analysis/dimension/two_nn", filled.two_nn)
    found.add("analysis/dimension/mle", filled.mle)
