"""Figures of codes as tables of a page: clusters that are found for it, and what an analysis of the run has found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis import Statistic
from lsgen.analysis.clustering import Clustering, find_clusters, label_agreement, metadata_lift
from lsgen.analysis.comparisons import compare
from lsgen.explorer import ScoreTable
from lsgen.latent import Codes
from lsgen.runs import named

__all__ = ["agreement_of", "analysis_tables", "clusters_of", "joined_columns"]

LEAST = 30  # codes
CLUSTERS = "cluster/k-means"


def clusters_of(codes: Codes, seed: int = 0) -> tuple[dict[str, NDArray[Any]], list[ScoreTable]]:
    """Return the clusters of codes as a column, and tables of how stable they are and what they have in common.

    Nothing is returned for fewer than 30 codes, or where these are not different enough to be clustered.
    """
    if len(codes) < LEAST:
        return {}, []
    try:
        found = find_clusters(codes, "kmeans", draws=10, points=2000, seed=seed)
    except ValueError:
        return {}, []
    labels = codes.columns.get("label")
    rows: list[list[str | float | Statistic | None]] = [
        ["silhouette", found.silhouette], ["stability: adjusted Rand index of resamples", found.stability],
    ]  # fmt: skip
    tables = []
    if labels is not None and labels.dtype.kind in "iubO":
        agreement = label_agreement(found.labels, labels, seed)
        rows += [["agreement with label: adjusted Rand index", agreement.rand_index]]
        rows += [["agreement with label: adjusted mutual information", agreement.mutual_information]]
        tables = [_typical(found, labels)]
    about = f"{found.remark} Colour the map by {CLUSTERS} to see them."
    return {CLUSTERS: found.labels}, [ScoreTable("Clusters", ["figure", "value"], rows, about), *tables]


def _typical(found: Clustering, labels: NDArray[Any]) -> ScoreTable:
    """Return the label that is most typical of each cluster."""
    best: dict[int, Any] = {}
    for one in metadata_lift(found.labels, labels):
        if one.value is not None and (one.cluster not in best or one.lift.value > best[one.cluster].lift.value):
            best[one.cluster] = one
    rows = [
        [str(cluster), float(found.sizes[cluster]), str(one.value), one.lift, one.share]
        for cluster, one in sorted(best.items())
        if cluster >= 0
    ]
    columns = ["cluster", "codes", "label", "lift", "share of the cluster"]
    return ScoreTable("What clusters have in common", columns, rows, "Lift: how much more frequent than in all codes.")


def analysis_tables(record: Mapping[str, Any]) -> list[ScoreTable]:
    """Return the statistics that `lsgen analyse` has written, a table for each of its parts."""
    parts: dict[str, list[list[str | float | Statistic | None]]] = {}
    for key, entries in record.get("statistics", {}).items():
        interval = entries.get("interval")
        found = Statistic(**{**entries, "interval": None if interval is None else tuple(interval)})
        parts.setdefault(key.split("/")[1], []).append([named(key)[0], found])
    return [
        ScoreTable(f"Analysis: {part.replace('_', ' ')}", ["statistic", "value"], rows, "By lsgen analyse.")
        for part, rows in parts.items()
    ]


def joined_columns(codes: Codes, others: Codes) -> dict[str, NDArray[Any]]:
    """Return the columns that a table with some of the same ids has besides, missing where an id is not in it."""
    place = others.places()
    rows = np.array([place.get(name, -1) for name in codes.ids.tolist()])
    if (rows < 0).all():
        return {}
    found: dict[str, NDArray[Any]] = {}
    for name, values in others.columns.items():
        if name in codes.columns or values.dtype.kind not in "biufO":
            continue
        taken = np.asarray(values[rows])
        if values.dtype.kind == "O":
            taken[rows < 0] = None
            found[name] = taken
        else:
            found[name] = taken if (rows >= 0).all() else np.where(rows < 0, np.nan, taken.astype(np.float64))
    return found


def agreement_of(ours: Codes, theirs: Codes, seed: int = 0) -> tuple[dict[str, Statistic], dict[str, NDArray[Any]]]:
    """Return figures of how far two spaces of the same items agree, and the overlap of neighbours of each item.

    There are none where the items are too few or the codes of a space are all equal.
    """
    try:
        found = compare(ours, theirs, permutations=49, seed=seed)
    except ValueError:
        return {}, {}
    figures = {"CKA": found.cka, "Procrustes distance": found.procrustes, "RSA": found.rsa}
    return {**figures, "overlap of neighbours": found.jaccard}, {"overlap of neighbours": found.overlap}
