"""How many observations their neighbours on a map name rightly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen.analysis.projections import pca, tsne, umap
from lsgen.data import DataModule, Split
from lsgen.latent import Codes
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["MapAccuracy"]


@dataclass(frozen=True)
class MapAccuracy:
    """Measures the accuracy of votes of the k nearest observations on a map in two dimensions, by cross-validation.

    The folds are stratified and not shuffled, in the order of the files; the map is made of all observations, without
    labels. Keys: METHOD_K for the accuracy in per cent; their arrays (seeds, N) are 100 for what was named rightly, and
    for principal components the same for all seeds.

    Attributes:
        data: labelled data, all splits of which are taken, in the order of the file; None leaves everything out, for
            presets that have no time for them.
        neighbours: numbers k of neighbours; nearly all in the other folds where these have fewer.
        methods: maps, out of pca, tsne and umap with their usual settings.
        folds: number of folds.
        seeds: how often maps that depend on random numbers are made.
        n: how many observations, the first ones; all where it is None.

    Raises:
        TypeError: the data are no `lsgen.data.DataModule`.
        ValueError: a number is out of its range, or there is no such method.

    Reference: McInnes, Healy & Melville, "UMAP" (2018), https://arxiv.org/abs/1802.03426, section 5.3.
    """

    data: DataModule | None
    neighbours: Sequence[int] = (10, 20, 40, 80, 160)
    methods: Sequence[str] = ("pca", "tsne", "umap")
    folds: int = 10
    seeds: int = 3
    n: int | None = None

    def __post_init__(self) -> None:
        if self.data is not None and not isinstance(self.data, DataModule):
            raise TypeError(f"MapAccuracy expected a lsgen.data.DataModule, got {type(self.data).__name__}")
        if not set(self.methods) <= set(_MAPS) or not self.methods:
            raise ValueError(f"MapAccuracy expected methods out of {', '.join(_MAPS)}, got {list(self.methods)}")
        if not self.neighbours or min(self.neighbours) < 1 or self.folds < 2 or self.seeds < 1:
            raise ValueError(
                "MapAccuracy expected neighbours and seeds of 1 or more and 2 folds or more, "
                f"got {list(self.neighbours)}, {self.seeds} and {self.folds}"
            )

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return accuracies; no run is looked at."""
        if self.data is None:
            return Measured({})
        codes, labels = _observations(self.data, self.n)
        arrays = dict[str, Any]()
        for method in self.methods:
            maps = [_MAPS[method](codes, seed) for seed in range(1 if method == "pca" else self.seeds)]
            for k in self.neighbours:
                named = np.stack([self._named(at, labels, k) for at in maps])
                arrays[f"{method}_{k}"] = np.broadcast_to(named, (self.seeds, len(codes)))
        arrays = {key: 100.0 * right for key, right in arrays.items()}
        return Measured({key: float(right.mean()) for key, right in arrays.items()}, arrays)

    def _named(self, coordinates: NDArray[np.float64], labels: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Return which observations their neighbours in the other folds name rightly, (N,)."""
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
        from sklearn.neighbors import KNeighborsClassifier

        most = len(labels) * (self.folds - 1) // self.folds - len(np.unique(labels))
        voters = KNeighborsClassifier(max(1, min(k, most)))
        found = cross_val_predict(voters, coordinates, labels, cv=StratifiedKFold(self.folds))
        return (found == labels).astype(float)


_MAPS: Mapping[str, Any] = {
    "pca": lambda codes, seed: pca(codes).coordinates,
    "tsne": lambda codes, seed: tsne(codes, seed=seed).coordinates,
    "umap": lambda codes, seed: umap(codes, seed=seed).coordinates,
}


def _observations(data: DataModule, n: int | None) -> tuple[Codes, NDArray[np.int64]]:
    """Return all observations of a data set in the order of its file, as codes, with their classes."""
    splits = [data.dataset(split) for split in get_args(Split)]
    batches = [split[torch.arange(len(split))] for split in splits]
    x, labels = (torch.cat([batch[name] for batch in batches]) for name in ("x", "label"))
    rows, parts = (
        np.concatenate(numbers) for numbers in zip(*((s.rows, [s.part] * len(s)) for s in splits), strict=True)
    )
    order = np.lexsort((rows, parts))[:n]
    return Codes(x[order].flatten(1)), labels[order].numpy()
