r"""Directions in a latent space that are worth traversing, found without labels.

    ganspace    principal axes of activations y(z), carried back to z by least squares
    sefa        eigenvectors of A^T A for the weight A of the first layer, which maximise |A n| over unit n
    pullback    eigenvectors of the mean pulled-back metric E[ J^T J ]: along which the output changes fastest
    hessian     `lsgen.models.gan.directions.diagonal_hessian`

Each method is a function of the latent space, and of what else it can be told, so `LatentTraversal(directions=sefa)`
finds them anew whenever it draws them. Each direction comes with a scale: the standard deviation of codes along it for
GANSpace, the gain |A n| for SeFa, the root mean square speed of the output for the metric.

Reference: Harkonen et al., "GANSpace" (2020), https://arxiv.org/abs/2004.02546; Shen & Zhou, "Closed-form
factorization of latent semantics in GANs" (2021), https://arxiv.org/abs/2007.06600; Wang & Ponce, "The geometry of
deep generative image models and its applications" (2021), https://arxiv.org/abs/2101.06006.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsgen.geometry import Immersion, RiemannianMetric, metric
from lsgen.geometry import immersion as immersion_of
from lsgen.geometry.large import top_spectrum
from lsgen.latent import Euclidean, LatentSpace, Manifold, Space
from lsgen.models.gan.styles import Styles
from lsgen.nn.adversarial.stylegan import EqualLinear

_DENSE = 64  # dimensions up to which the metric is held as a matrix

__all__ = ["Directions", "count", "ganspace", "named", "pullback", "reading_layers", "sefa"]


@dataclass(frozen=True)
class Directions:
    """Named directions in a latent space.

    Attributes:
        names: K names, such as "sefa 0".
        vectors: unit vectors (K, d), the most important first.
        scales: (K,), in the units that the method says.
        layers: first and last layer whose style is moved, in W+ of a style-based generator; None for all.
        manifold: where codes lie; flat space unless given. Functions of a latent space give that of its prior.

    Raises:
        ValueError: names, vectors and scales are not as many, or the range of layers runs backwards.

    """

    names: tuple[str, ...]
    vectors: Tensor
    scales: Tensor
    layers: tuple[int, int] | None = None
    manifold: Manifold = field(default_factory=Euclidean)

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or not len(self.names) == len(self.vectors) == len(self.scales):
            raise ValueError(
                f"expected as many names and scales as vectors (K, d), got {len(self.names)} names, "
                f"{len(self.scales)} scales and vectors {tuple(self.vectors.shape)}"
            )
        if self.layers is not None and not 0 <= self.layers[0] <= self.layers[1]:
            raise ValueError(f"expected layers from a first to a last one, got {self.layers}")

    def on(self, space: Space) -> Directions:
        """Return directions along which codes of a space move on its manifold.

        Raises:
            ValueError: they are of another dimension.

        """
        if self.vectors.shape[1] != space.dim:
            raise ValueError(f"expected directions of dimension {space.dim}, got vectors {tuple(self.vectors.shape)}")
        return replace(self, manifold=space.manifold)

    def in_layers(self, layers: int) -> Directions:
        """Return directions of W as those of W+ with that many layers: the styles of the range move together.

        Raises:
            ValueError: the range goes beyond the last layer.

        """
        first, last = (0, layers - 1) if self.layers is None else self.layers
        if last >= layers:
            raise ValueError(f"expected a range within layers 0 to {layers - 1}, got {first} to {last}")
        moved = torch.zeros(layers, 1).to(self.vectors)
        moved[first : last + 1] = 1
        vectors = (moved * self.vectors[:, None]).flatten(1)
        return Directions(self.names, vectors, self.scales, (first, last), self.manifold)

    def traverse(self, z: Tensor, values: Sequence[float] | Tensor, unit: Tensor | None = None) -> Tensor:
        """Return codes (B, K, N, d): every code (B, d) moved along every direction by the N values.

        On a curved space they move as far along geodesics; at the walls of a cube they stop, and
        classes stay as they are.

        Args:
            z: codes (B, d).
            values: how far, (N,).
            unit: standard deviations (d,) of independent coordinates; values are then in those of v^T z, along the
                direction v.

        Raises:
            TypeError: the codes cannot move continuously.

        """
        self.manifold.check_continuous()
        steps = torch.as_tensor(values, dtype=z.dtype, device=z.device)[:, None]
        moves = steps * self.vectors.to(z)[:, None, :]
        if unit is not None:
            norms = torch.linalg.vector_norm(self.vectors.to(z), dim=1)
            moves = moves * (torch.linalg.vector_norm(self.vectors.to(z) * unit, dim=1) / norms)[:, None, None]
        start = z[..., None, None, :].expand(*z.shape[:-1], *moves.shape)
        return self.manifold.shift(start, moves.expand_as(start))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays by name."""
        layers = np.array([] if self.layers is None else self.layers, dtype=np.int64)
        vectors, scales = self.vectors.detach().cpu().numpy(), self.scales.detach().cpu().numpy()
        return {"names": np.array(self.names), "vectors": vectors, "scales": scales, "layers": layers}

    def save(self, path: str | Path) -> None:
        """Write the directions into an npz file, which does not hold the manifold."""
        np.savez(path, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path, manifold: Manifold | None = None) -> Directions:
        """Read what `save` wrote; the manifold is flat space unless given."""
        with np.load(path) as file:
            first_last = tuple(int(layer) for layer in file["layers"])
            layers = (first_last[0], first_last[1]) if first_last else None
            vectors, scales = torch.from_numpy(file["vectors"]), torch.from_numpy(file["scales"])
            return cls(tuple(map(str, file["names"])), vectors, scales, layers, manifold or Euclidean())


def ganspace(
    space: LatentSpace, activations: Callable[[Tensor], Tensor] | None = None, k: int | None = None, n: int = 10_000
) -> Directions:
    """Return the GANSpace directions of a layer.

        y = y(z),  x = V^T (y - E y) its k principal coordinates,  U = argmin E |U x - (z - E z)|^2

    Args:
        space: its prior gives the codes.
        activations: codes (N, d) -> activations (N, ...); in W the styles themselves, elsewhere the outputs of the
            layers that read the code, unless others are given.
        k: number of directions; 10, or as many as there can be, unless given.
        n: number of codes.

    Returns:
        Columns of U as unit vectors. Scales are how far codes move along them for one standard deviation of x.

    Raises:
        ValueError: there are not as many independent activations as directions.

    """
    activations = _activations(space) if activations is None else activations
    with torch.no_grad():
        z = space.prior().sample((n,)).double()
        y = torch.cat([activations(part).flatten(1) for part in z.to(_dtype(space)).split(512)]).double()
    z, y = z - z.mean(0), y - y.mean(0)
    k = count(k, min(n, y.shape[1]))
    values, vectors = torch.linalg.eigh(y.T @ y / n)
    x = y @ vectors.flip(1)[:, :k]
    deviations = values.flip(0)[:k].clamp(min=0).sqrt()
    if not bool((deviations > 1e-9 * deviations[0]).all()):
        raise ValueError(f"expected {k} independent activations, got {int((deviations > 1e-9 * deviations[0]).sum())}")
    U = (z.T @ x / n / deviations**2).T
    lengths = torch.linalg.vector_norm(U, dim=1)
    return named("ganspace", U / lengths[:, None], lengths * deviations, space)


def sefa(space: LatentSpace, weights: Sequence[Tensor] | None = None, k: int | None = None) -> Directions:
    """Return the closed-form directions of the first layer, or of several that read the code.

    Args:
        space: what the directions are for.
        weights: matrices (m_i, d) that act on the code first; those of the linear layers that read it unless given.
        k: number of directions; 10, or as many as there can be, unless given.

    Raises:
        ValueError: a weight does not act on codes of the space, no linear layer reads them, or k is out of range.

    """
    weights = [_weight(layer) for layer in reading_layers(space)] if weights is None else weights
    for weight in weights:
        if weight.ndim != 2 or weight.shape[1] != space.dim:
            raise ValueError(f"expected weights of shape (m, {space.dim}), got {tuple(weight.shape)}")
    A = torch.cat(list(weights)).detach().double()
    return _top("sefa", A.T @ A, k, space)


def pullback(
    space: LatentSpace,
    immersion: Immersion | Callable[[LatentSpace], Immersion] | None = None,
    z: Tensor | None = None,
    k: int | None = None,
    n: int = 16,
) -> Directions:
    """Return the top eigenvectors of the metric averaged over codes.

    Of more than 64 dimensions they come from products with the metric, see `lsgen.geometry.large.top_spectrum`.

    Args:
        space: what the directions are for.
        immersion: whose metric is pulled back, or what makes it of a latent space; `lsgen.geometry.immersion(space)`
            unless given.
        z: codes (N, d) to average over; draws from the prior unless given.
        k: number of directions; 10, or as many as there can be, unless given.
        n: number of draws.

    Raises:
        ValueError: k is out of range.

    """
    im = immersion if isinstance(immersion, RiemannianMetric) else (immersion or immersion_of)(space)
    codes = space.prior().sample((n,)) if z is None else z
    if im.dim <= _DENSE or im.normals or not im.euclidean:
        return _top("pullback", metric(im, codes).detach().double().mean(0), k, space)

    def beside(shift: Tensor) -> Tensor:
        """Return the images of all codes, moved by the same shifts (N, d), beside each other."""
        moved = im.lifted((shift[:, None] + codes).flatten(0, 1))
        return im.fn(moved).reshape(len(shift), -1) / len(codes) ** 0.5

    origin = codes.new_zeros(1, im.dim)
    found = top_spectrum(Immersion(beside, im.dim), origin, count(k, im.dim), tol=1e-6)
    return named("pullback", found.eigenvectors[0].double(), found.eigenvalues[0].double().sqrt(), space)


def reading_layers(space: LatentSpace) -> list[nn.Module]:
    """Return the linear layers of the decoder whose input is the code itself, in the order in which they run.

    Raises:
        ValueError: there is none.

    """
    z = space.prior().mean.expand(2, -1).clone()
    found: list[nn.Module] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].data_ptr() == z.data_ptr() and inputs[0].shape == z.shape:
            found.append(layer)

    layers = [layer for layer in space.decoder.modules() if isinstance(layer, nn.Linear | EqualLinear)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with torch.no_grad():
            space.raw(z)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise ValueError(
            "expected a decoder with linear layers that read the code, got none: pass weights or activations, "
            "or look at W of a style-based generator (style_space)"
        )
    return found


def _weight(layer: nn.Module) -> Tensor:
    """Return the matrix (m, d) by which a layer acts."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return layer.gain * weight if isinstance(layer, EqualLinear) else weight


def _activations(space: LatentSpace) -> Callable[[Tensor], Tensor]:
    if isinstance(space.prior, Styles):
        return lambda z: z
    weight = torch.cat([_weight(layer) for layer in reading_layers(space)])
    return lambda z: z @ weight.T


def count(k: int | None, most: int) -> int:
    """Return the number k of directions; by default 10, or the largest possible number if that is smaller.

    Raises:
        ValueError: there are not as many.

    """
    if k is None:
        return min(10, most)
    if not 1 <= k <= most:
        raise ValueError(f"expected between 1 and {most} directions, got {k}")
    return k


def _top(name: str, matrix: Tensor, k: int | None, space: LatentSpace) -> Directions:
    k = count(k, len(matrix))
    values, vectors = torch.linalg.eigh(matrix)
    return named(name, vectors.T.flip(0)[:k], values.flip(0)[:k].clamp(min=0).sqrt(), space)


def named(name: str, vectors: Tensor, scales: Tensor, space: LatentSpace) -> Directions:
    """Return directions in the type of the space, each with its largest coordinate positive."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    names = tuple(f"{name} {i}" for i in range(len(vectors)))
    signed = (vectors * largest.sign()).to(_dtype(space))
    return Directions(names, signed, scales.to(_dtype(space)), manifold=space.manifold)


def _dtype(space: LatentSpace) -> torch.dtype:
    return next((p.dtype for p in space.parameters() if p.is_floating_point()), torch.get_default_dtype())
