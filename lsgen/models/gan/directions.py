r"""Directions in a latent space that are worth traversing, found without labels.

    ganspace    principal axes of activations y(z), carried back to z by least squares
    sefa        eigenvectors of A^T A for the weight A of the first layer, which maximise |A n| over unit n
    pullback    eigenvectors of the mean pulled-back metric E[ J^T J ]: along which the output changes fastest

Each comes with a scale: the standard deviation of codes along it for GANSpace, the gain |A n| for SeFa, the
root mean square speed of the output for the metric.

Reference: Harkonen et al., "GANSpace" (2020), https://arxiv.org/abs/2004.02546; Shen & Zhou, "Closed-form
factorization of latent semantics in GANs" (2021), https://arxiv.org/abs/2007.06600; Wang & Ponce, "The geometry of
deep generative image models and its applications" (2021), https://arxiv.org/abs/2101.06006.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lsgen.geometry import Immersion, metric
from lsgen.latent import LatentSpace

__all__ = ["Directions", "ganspace", "pullback", "sefa"]


@dataclass(frozen=True)
class Directions:
    """Named directions in a latent space.

    Attributes:
        names: K names, such as "sefa 0".
        vectors: unit vectors (K, d), the most important first.
        scales: (K,), in the units that the method says.
        layers: first and last layer whose input is moved, for generators with one code per layer; None for all.

    """

    names: tuple[str, ...]
    vectors: Tensor
    scales: Tensor
    layers: tuple[int, int] | None = None

    def traverse(self, z: Tensor, values: Sequence[float] | Tensor) -> Tensor:
        """Return codes (B, K, N, d): every code (B, d) moved along every direction by the N values."""
        steps = torch.as_tensor(values, dtype=z.dtype, device=z.device)
        return z[..., None, None, :] + steps[:, None] * self.vectors.to(z)[:, None, :]

    def save(self, path: str | Path) -> None:
        """Write the directions into an npz file."""
        layers = np.array([] if self.layers is None else self.layers, dtype=np.int64)
        vectors, scales = self.vectors.cpu().numpy(), self.scales.cpu().numpy()
        np.savez(path, names=np.array(self.names), vectors=vectors, scales=scales, layers=layers)

    @classmethod
    def load(cls, path: str | Path) -> Directions:
        """Read what `save` wrote."""
        with np.load(path) as file:
            first_last = tuple(int(layer) for layer in file["layers"])
            layers = (first_last[0], first_last[1]) if first_last else None
            vectors, scales = torch.from_numpy(file["vectors"]), torch.from_numpy(file["scales"])
            return cls(tuple(map(str, file["names"])), vectors, scales, layers)


def ganspace(space: LatentSpace, activations: Callable[[Tensor], Tensor], k: int, n: int = 10_000) -> Directions:
    """Return the GANSpace directions of a layer.

        y = y(z),  x = V^T (y - E y) its k principal coordinates,  U = argmin E |U x - (z - E z)|^2

    Args:
        space: its prior gives the codes.
        activations: codes (N, d) -> activations (N, ...), such as the first layer of a generator.
        k: number of directions.
        n: number of codes.

    Returns:
        Columns of U as unit vectors. Scales are how far codes move along them for one standard deviation of x.

    Raises:
        ValueError: there are not as many independent activations as directions.

    """
    with torch.no_grad():
        z = space.prior().sample((n,)).double()
        y = torch.cat([activations(part).flatten(1) for part in z.to(_dtype(space)).split(512)]).double()
    z, y = z - z.mean(0), y - y.mean(0)
    if not 1 <= k <= min(n, y.shape[1]):
        raise ValueError(f"expected between 1 and {min(n, y.shape[1])} directions, got {k}")
    values, vectors = torch.linalg.eigh(y.T @ y / n)
    x = y @ vectors.flip(1)[:, :k]
    deviations = values.flip(0)[:k].clamp(min=0).sqrt()
    if not bool((deviations > 1e-9 * deviations[0]).all()):
        raise ValueError(f"expected {k} independent activations, got {int((deviations > 1e-9 * deviations[0]).sum())}")
    U = (z.T @ x / n / deviations**2).T
    lengths = torch.linalg.vector_norm(U, dim=1)
    return _directions("ganspace", U / lengths[:, None], lengths * deviations, space)


def sefa(space: LatentSpace, weights: Sequence[Tensor], k: int) -> Directions:
    """Return the closed-form directions of the first layer, or of several that read the code.

    Args:
        space: what the directions are for.
        weights: matrices (m_i, d) that act on the code first.
        k: number of directions.

    Raises:
        ValueError: a weight does not act on codes of the space, or k is out of range.

    """
    for weight in weights:
        if weight.ndim != 2 or weight.shape[1] != space.dim:
            raise ValueError(f"expected weights of shape (m, {space.dim}), got {tuple(weight.shape)}")
    A = torch.cat(list(weights)).detach().double()
    return _top("sefa", A.T @ A, k, space)


def pullback(space: LatentSpace, immersion: Immersion, z: Tensor, k: int) -> Directions:
    """Return the top eigenvectors of the metric averaged over codes.

    Args:
        space: what the directions are for.
        immersion: whose metric is pulled back, such as `lsgen.geometry.immersion(space)`.
        z: codes (N, d) to average over.
        k: number of directions.

    Raises:
        ValueError: k is out of range.

    """
    return _top("pullback", metric(immersion, z).double().mean(0), k, space)


def _top(name: str, matrix: Tensor, k: int, space: LatentSpace) -> Directions:
    if not 1 <= k <= len(matrix):
        raise ValueError(f"expected between 1 and {len(matrix)} directions, got {k}")
    values, vectors = torch.linalg.eigh(matrix)
    return _directions(name, vectors.T.flip(0)[:k], values.flip(0)[:k].clamp(min=0).sqrt(), space)


def _directions(name: str, vectors: Tensor, scales: Tensor, space: LatentSpace) -> Directions:
    """Return directions in the type of the space, each with its largest coordinate positive."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    names = tuple(f"{name} {i}" for i in range(len(vectors)))
    return Directions(names, (vectors * largest.sign()).to(_dtype(space)), scales.to(_dtype(space)))


def _dtype(space: LatentSpace) -> torch.dtype:
    return next((p.dtype for p in space.parameters() if p.is_floating_point()), torch.get_default_dtype())
