r"""What clusters have to do with metadata: agreement with labels, and what is more frequent in a cluster than outside.

    lift of a value v in a cluster c    P(v | c) / P(v),    1 where they have nothing to do with each other

Its interval is that of its logarithm by the delta method for a multinomial of N codes; where the value does not occur
in the cluster, from 0 to the upper end of the exact interval of P(v | c) over P(v).

Of numbers, the average in a cluster less that of all, in standard deviations of all.

Reference: Hubert & Arabie, "Comparing partitions" (1985); Vinh, Epps & Bailey, "Information theoretic measures for
clusterings comparison" (2010), for the adjusted mutual information.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from lsgen.analysis.intervals import group_jackknife, mean_interval, share_interval
from lsgen.analysis.statistic import Statistic
from lsgen.latent.columns import is_text, rows_with

__all__ = ["LabelAgreement", "Lift", "label_agreement", "metadata_lift"]

EXPECTED = 5


@dataclass(frozen=True)
class LabelAgreement:
    """How well clusters agree with labels; both are 0 by chance and 1 at most.

    Attributes:
        rand_index: adjusted Rand index.
        mutual_information: adjusted mutual information.

    """

    rand_index: Statistic
    mutual_information: Statistic


@dataclass(frozen=True)
class Lift:
    """What is different in a cluster.

    Attributes:
        cluster: its number; -1 for codes in none.
        value: the value of a column; None for the average of numbers.
        lift: how much more frequent the value is in the cluster than in all codes, 1 by chance; of numbers the average
            less that of all in standard deviations, 0 by chance.
        share: of the codes of the cluster that have the value, by chance that of all codes; of numbers the average.

    """

    cluster: int
    value: Any
    lift: Statistic
    share: Statistic


def label_agreement(labels: Any, column: Any, seed: int = 0) -> LabelAgreement:
    """Return how well clusters agree with labels; codes in no cluster count as one cluster.

    Args:
        labels: the cluster of each code, (N,).
        column: a label of each, (N,); codes for which it is missing are left out.
        seed: seed of the groups of codes that are left out for the intervals.

    Raises:
        ValueError: there are fewer than three labelled codes, or of another number.

    """
    clusters, values, _ = _present(labels, column)
    if len(clusters) < 3:
        raise ValueError(f"expected at least 3 codes with a label, got {len(clusters)}")
    _, truth = np.unique(values, return_inverse=True)

    def estimated(score: Any) -> Statistic:
        def of_rows(rows: NDArray[np.int64]) -> float:
            return float(score(truth[rows], clusters[rows]))

        interval = group_jackknife(of_rows, len(truth), np.random.default_rng(seed))
        return Statistic(float(score(truth, clusters)), len(truth), interval, 0.0, seed)

    return LabelAgreement(estimated(adjusted_rand_score), estimated(adjusted_mutual_info_score))


def metadata_lift(labels: Any, column: Any, level: float = 0.95) -> list[Lift]:
    """Return what is different in each cluster.

    Args:
        labels: the cluster of each code, (N,).
        column: a value of each, (N,): text and truth values are counted, numbers with a fraction are averaged, and
            whole numbers are counted where there are at most 50 of them.
        level: coverage of the intervals.

    Returns:
        For each cluster each value that occurs in it, or of which at least 5 codes would by chance, those with the
        greatest lift first.

    Raises:
        ValueError: there is no code with a value, or there are values of another number.

    """
    clusters, values, numeric = _present(labels, column)
    if not len(clusters):
        raise ValueError("expected at least one code with a value, got none")
    if numeric:
        return [_shifted(int(c), values[clusters == c], values, level) for c in np.unique(clusters)]
    present, place = np.unique(values, return_inverse=True)
    found = []
    for cluster in np.unique(clusters):
        inside = clusters == cluster
        both, own = np.bincount(place[inside], minlength=len(present)), np.bincount(place)
        lifts = []
        for value, here, total in zip(present.tolist(), both, own, strict=True):
            counts = int(here), int(total), int(inside.sum()), len(values)
            if here or total * counts[2] >= EXPECTED * len(values):
                lifts.append(_lifted(int(cluster), value, counts, level))
        found += sorted(lifts, key=lambda one: -one.lift.value)
    return found


def _lifted(cluster: int, value: Any, counts: tuple[int, int, int, int], level: float) -> Lift:
    both, of_value, of_cluster, n = counts
    chance = of_value / n
    lift = both / of_cluster / chance
    share = share_interval(both, of_cluster, level)
    if both:
        variance = (n / both - n / of_value - n / of_cluster + 2 * lift - 1) / n
        factor = float(np.exp(ndtri((1 + level) / 2) * max(variance, 0.0) ** 0.5))
        interval = lift / factor, min(lift * factor, 1 / chance)
    else:
        interval = 0.0, share[1] / chance
    return Lift(
        cluster,
        value,
        Statistic(lift, of_cluster, interval, 1.0, level=level),
        Statistic(both / of_cluster, of_cluster, share, chance, level=level),
    )


def _shifted(cluster: int, inside: NDArray[Any], everything: NDArray[Any], level: float) -> Lift:
    mean, spread = float(everything.mean()), float(everything.std())
    scale = spread if spread > 0 else float("nan")
    shift = (inside - mean) / scale
    return Lift(
        cluster,
        None,
        Statistic(float(shift.mean()), len(inside), mean_interval(shift, level), 0.0, level=level),
        Statistic(float(inside.mean()), len(inside), mean_interval(inside, level), mean, level=level),
    )


def _present(labels: Any, column: Any) -> tuple[NDArray[np.int64], NDArray[Any], bool]:
    """Return clusters and values of codes that have one, and whether the values are to be averaged."""
    clusters, values = np.asarray(labels), np.asarray(column)
    if clusters.ndim != 1 or clusters.shape != values.shape:
        raise ValueError(f"expected as many clusters as values, (N,), got {clusters.shape} and {values.shape}")
    there = ~rows_with("labels", values, None)
    clusters, values = clusters[there], values[there]
    if is_text(values):
        return clusters, values.astype(str), False
    whole = values.dtype.kind in "biuUSMm" or bool((values == np.round(values)).all())
    numeric = values.dtype.kind in "iuf" and not (whole and len(np.unique(values)) <= 50)
    return clusters, values.astype(np.float64) if numeric else values, numeric
