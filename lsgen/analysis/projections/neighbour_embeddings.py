r"""Maps that place neighbours near each other: t-SNE and UMAP.

Both begin with the exact nearest neighbours of codes in the distance of their own manifold, so that codes on a sphere,
in a ball or on a simplex are treated as such. Distances on these maps, sizes of clusters and empty space between them
mean little: what the map keeps is measured by `lsgen.analysis.projections.faithfulness`.

t-SNE starts from principal components of standard deviation 1e-4 in the tangent space. Other codes are placed one by
one between the neighbours that they have among the codes of the map, whose coordinates stay. UMAP starts from
eigenvectors of the graph of neighbours, of fewer than 20 codes from random points, and places other codes together,
with random numbers that depend on how many there are: the same codes in another batch come out a little differently.

Reference: van der Maaten & Hinton, "Visualizing data using t-SNE" (2008); Policar, Strazar & Zupan, "openTSNE" (2024),
https://doi.org/10.18637/jss.v109.i03; Kobak & Berens, "The art of using t-SNE for single-cell transcriptomics" (2019),
for the initialisation; McInnes, Healy & Melville, "UMAP" (2018), https://arxiv.org/abs/1802.03426.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen.analysis.projections.components import pca
from lsgen.analysis.projections.projection import Projection
from lsgen.extras import from_extra
from lsgen.latent import Codes
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["tsne", "umap"]

LEAST, SPECTRAL = 8, 20


@dataclass(eq=False)
class _ExactIndex:
    """The exact nearest neighbours of codes, as openTSNE and UMAP ask for them."""

    codes: Codes
    k: int
    _angular_trees: bool = False  # what UMAP asks of an index

    def __post_init__(self) -> None:
        self.n_samples = len(self.codes)

    def build(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the indices and distances of the k neighbours of every code, (N, k) each."""
        return _found(nearest_neighbours(self.codes.tensor(), None, self.k, distance_on(self.codes.manifold)))

    def query(self, z: NDArray[Any], k: int, epsilon: float = 0.0) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the indices and distances of the k codes nearest to others, (M, k) each; they are exact."""
        others = torch.from_numpy(np.array(z, dtype=self.codes.z.dtype))
        return _found(nearest_neighbours(others, self.codes.tensor(), k, distance_on(self.codes.manifold)))


@dataclass(frozen=True, eq=False)
class _TSNEMap:
    """Places codes on a map of t-SNE, one by one."""

    embedding: Any
    dim: int

    def __call__(self, z: NDArray[Any]) -> NDArray[np.float64]:
        _check_dim(z, self.dim)
        if not len(z):
            return np.empty((0, self.embedding.shape[1]))
        n = len(self.embedding)
        return np.array(self.embedding.transform(z, perplexity=min(5, n / 3), k=min(25, n)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _UMAPMap:
    """Places codes on a map of UMAP, all together."""

    model: Any
    dim: int

    def __call__(self, z: NDArray[Any]) -> NDArray[np.float64]:
        _check_dim(z, self.dim)
        if not len(z):
            return np.empty((0, self.model.n_components))
        with _threads_of_torch():
            return np.array(self.model.transform(np.array(z, dtype=np.float32)), dtype=np.float64)


def tsne(
    codes: Codes,
    dims: int = 2,
    *,
    perplexity: float = 30.0,
    iterations: int = 500,
    seed: int = 0,
    jobs: int | None = None,
) -> Projection:
    """Return the map of codes by t-SNE (extra `maps`).

    Args:
        codes: the codes (N, d).
        dims: dimensions of the map, 2 or 3.
        perplexity: effective number of neighbours; where there are too few codes for it, (N - 1) / 3.
        iterations: steps of the descent after 250 of early exaggeration.
        seed: seed of the random numbers that keep equal codes apart at the start.
        jobs: number of threads; that of torch unless given. Sums of several threads may be rounded differently.

    Raises:
        ImportError: the extra `maps` is not installed.
        ValueError: there are fewer than 8 codes, or an option is out of range.

    """
    n = _check_size(codes, dims, "t-SNE")
    if not perplexity >= 1 or iterations < 1:
        raise ValueError(f"expected a perplexity and iterations of at least 1, got {perplexity} and {iterations}")
    with from_extra("maps", "t-SNE needs openTSNE"):
        from openTSNE import TSNE
        from openTSNE.affinity import PerplexityBasedNN
    perplexity = min(perplexity, (n - 1) / 3)
    start = pca(codes, dims).coordinates
    scale = start.std(0).max()
    start = start / (scale if scale > 0 else 1) + 1e-2 * np.random.default_rng(seed).normal(size=start.shape)
    jobs = torch.get_num_threads() if jobs is None else jobs
    index = _ExactIndex(codes, int(3 * perplexity))
    affinities = PerplexityBasedNN(perplexity=perplexity, knn_index=index, n_jobs=jobs, random_state=seed)
    model = TSNE(n_components=dims, perplexity=perplexity, n_iter=iterations, n_jobs=jobs, random_state=seed)
    embedding = model.fit(affinities=affinities, initialization=1e-4 * start)
    return Projection(
        "tsne",
        np.array(embedding, dtype=np.float64),
        tuple(f"t-SNE {i}" for i in range(1, dims + 1)),
        f"t-SNE of perplexity {perplexity:g}; distances between clusters and their sizes mean little.",
        mapping=_TSNEMap(embedding, codes.dim),
        independent=True,
        seed=seed,
        settings={"perplexity": perplexity, "iterations": iterations},
    )


def umap(codes: Codes, dims: int = 2, *, neighbours: int = 15, spacing: float = 0.1, seed: int = 0) -> Projection:
    """Return the map of codes by UMAP (extra `maps`).

    Other codes are placed approximately: the same codes in another batch come out a little differently.

    Args:
        codes: the codes (N, d).
        dims: dimensions of the map, 2 or 3.
        neighbours: number of neighbours of a code, itself among them; N - 1 where there are fewer codes.
        spacing: the least distance of points on the map (`min_dist`).
        seed: seed of the descent, which runs in one thread.

    Raises:
        ImportError: the extra `maps` is not installed.
        ValueError: there are fewer than 8 codes, or an option is out of range.

    """
    n = _check_size(codes, dims, "UMAP")
    if neighbours < 2 or not 0 <= spacing <= 1:
        raise ValueError(f"expected at least 2 neighbours and a spacing from 0 to 1, got {neighbours} and {spacing}")
    neighbours = min(neighbours, n - 1)
    with from_extra("maps", "UMAP needs umap-learn"):
        from umap import UMAP
    index = _ExactIndex(codes, neighbours - 1)
    others, distances = index.build()
    known = np.hstack([np.arange(n)[:, None], others]), np.hstack([np.zeros((n, 1)), distances]).astype(np.float32)
    with warnings.catch_warnings(), _threads_of_torch():
        warnings.filterwarnings("ignore", "precomputed_knn|n_jobs value", UserWarning)
        model = UMAP(
            n_neighbors=neighbours,
            n_components=dims,
            min_dist=spacing,
            init="spectral" if n >= SPECTRAL else "random",
            random_state=seed,
            precomputed_knn=(*known, index),
        ).fit(np.array(codes.z, dtype=np.float32))
    return Projection(
        "umap",
        np.array(model.embedding_, dtype=np.float64),
        tuple(f"UMAP {i}" for i in range(1, dims + 1)),
        f"UMAP of {neighbours} neighbours; distances between clusters and their sizes mean little, and other codes are "
        "placed approximately, in one batch.",
        mapping=_UMAPMap(model, codes.dim),
        seed=seed,
        settings={"neighbours": neighbours, "spacing": spacing},
    )


@contextmanager
def _threads_of_torch() -> Iterator[None]:
    """Keep the number of threads of torch, which numba sets by OpenMP."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _found(neighbours: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return neighbours.indices.numpy(), neighbours.distances.numpy()


def _check_size(codes: Codes, dims: int, name: str) -> int:
    if dims not in (2, 3):
        raise ValueError(f"expected 2 or 3 dimensions of a map, got {dims}")
    if len(codes) < LEAST:
        raise ValueError(f"expected at least {LEAST} codes for {name}, got {len(codes)}")
    return len(codes)


def _check_dim(z: NDArray[Any], dim: int) -> None:
    if z.shape[1] != dim:
        raise ValueError(f"expected codes of {dim} coordinates, got {z.shape[1]}")
