r"""Supports of bounded and discrete codes: the cube, the simplex of classes, the codebook.

    cube        low <= z_i <= high: flat inside; Hamiltonian flow is reflected at the walls
    simplex     a one-hot vector of K classes: K points, the corners of a simplex; or all mixtures of them
    codebook    L places, each with one of K entries: K^L points

Mixtures have the Fisher-Rao geometry of probability vectors.
Isolated points cannot move: their tangent vectors are 0. Paths for pictures still join them:
between two classes along the edge of the simplex, where a code is a mixture of classes, between two codes of a codebook
by changing one place after the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lsgen.latent import paths
from lsgen.latent.manifolds import fisher_rao
from lsgen.latent.manifolds.manifold import Choice, Euclidean, Manifold

__all__ = ["Codebook", "Cube", "IsolatedPoints", "Simplex", "bounded"]


class Cube(Euclidean):
    """The cube [low, high]^d.

    Args:
        low: lower end of every coordinate.
        high: upper end.

    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = float(low), float(high)

    @property
    def measure(self) -> Manifold:
        """Flat space."""
        return Euclidean()

    def onto(self, z: Tensor) -> Tensor:
        """Return z, each coordinate moved to the nearest end where it is outside."""
        return z.clamp(self.low, self.high)

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return z + v, stopped at the walls."""
        return self.onto(z + v)

    def flow(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return z + v folded back into the cube, and v with its sign changed by every second fold."""
        width = self.high - self.low
        phase = torch.remainder(z + v - self.low, 2 * width)
        back = phase > width
        folded = self.low + torch.where(back, 2 * width - phase, phase)
        return self.onto(folded), torch.where(back, -v, v)

    def inside(self, z: Tensor, margin: float) -> Tensor:
        """Return codes clamped to a smaller cube, its middle at least."""
        margin = min(margin, (self.high - self.low) / 2)
        return z.clamp(self.low + margin, self.high - margin)

    def intervene(self, z: Tensor, axis: int, step: Tensor) -> Tensor:
        """Return codes with a coordinate moved by the step, or by its opposite if a wall is in the way."""
        unit = torch.zeros_like(z)
        unit[..., axis] = 1
        ahead = z + step * unit
        return self.onto(torch.where((self.onto(ahead) == ahead).all(-1, keepdim=True), ahead, z - step * unit))

    def arguments(self) -> tuple[Any, ...]:
        """Return the two ends."""
        return self.low, self.high


class IsolatedPoints(Manifold):
    """Abstract set of isolated points."""

    @property
    def continuous(self) -> bool:
        """False."""
        return False

    def tangent(self, z: Tensor, v: Tensor) -> Tensor:
        """Return 0: such codes cannot move."""
        return torch.zeros_like(v)

    def flow(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and v unchanged."""
        return z, v

    def scaled(self, z: Tensor, factors: Tensor) -> Tensor:
        """Return z: such codes cannot move."""
        return z


class Simplex(IsolatedPoints):
    """One of K classes, as a one-hot vector, or a mixture of K components, as a probability vector.

    Paths between classes run along the edges of the simplex. Mixtures move along the geodesics of the Fisher-Rao
    metric; see `lsgen.latent.manifolds.fisher_rao`.

    Args:
        classes: number K.
        mixtures: whether codes lie anywhere on the simplex, and not at its corners alone.

    """

    def __init__(self, classes: int, mixtures: bool = False) -> None:
        self.classes, self.mixtures = classes, bool(mixtures)

    @property
    def coordinates(self) -> int:
        """One for each class."""
        return self.classes

    @property
    def continuous(self) -> bool:
        """Whether codes are mixtures."""
        return self.mixtures

    @property
    def choices(self) -> list[Choice]:
        """All coordinates together are one of the K unit vectors; mixtures have no choice to make."""
        return [] if self.mixtures else [Choice(0, torch.eye(self.classes))]

    def onto(self, z: Tensor) -> Tensor:
        """Return the class of the largest coordinate; of a mixture, the weights over their sum, negative ones as 0."""
        if self.mixtures:
            weights = z.clamp(min=0)
            total = weights.sum(-1, keepdim=True)
            return torch.where(total > 0, weights / total.where(total > 0, 1), 1 / self.classes)
        return one_hot(z.argmax(-1), self.classes).to(z)

    def retraction(self, z: Tensor) -> Tensor:
        """Return mixtures as weights over their sum."""
        return z / z.sum(-1, keepdim=True) if self.mixtures else z

    def normal_coordinates(self, z: Tensor) -> Tensor:
        """Return the log of the sum of weights, (B, 1), of mixtures."""
        return z.sum(-1, keepdim=True).log() if self.mixtures else z[..., :0]

    def parametrised(self, raw: Tensor) -> Tensor:
        """Return class probabilities of logits: the centre of gravity of classes, inside the simplex."""
        return torch.softmax(raw, -1)

    def tangent(self, z: Tensor, v: Tensor) -> Tensor:
        """Return 0 for classes, and for mixtures the part of v that keeps the sum of the weights."""
        return v - z * v.sum(-1, keepdim=True) if self.mixtures else super().tangent(z, v)

    def conformal_factor(self, z: Tensor) -> Tensor:
        """Return 1/sqrt(z), (B, d), for mixtures: the length of a change of each weight."""
        return z.clamp(min=torch.finfo(z.dtype).tiny).rsqrt() if self.mixtures else super().conformal_factor(z)

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return z + v; of mixtures the end of the geodesic, reflected at the walls."""
        return fisher_rao.exp(z, v) if self.mixtures else z + v

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return other - z, along the edge; of mixtures the velocity of the geodesic."""
        return fisher_rao.log(z, other) if self.mixtures else other - z

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return |other - z|, the length of the edge; of mixtures the Fisher-Rao distance."""
        if self.mixtures:
            return fisher_rao.distance(z, other)
        return torch.linalg.vector_norm(other - z, dim=-1)

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the unit vector towards the class, or zero at it."""
        if not self.mixtures:
            return torch.nn.functional.normalize(axis - z, dim=-1)
        corner = axis.expand_as(z)
        length = fisher_rao.distance(z, corner).unsqueeze(-1)
        return torch.where(length > 0, fisher_rao.log(z, corner) / length.where(length > 0, 1), 0.0)

    def flow(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and v unchanged; of mixtures the end of the geodesic and the velocity there."""
        return fisher_rao.flow(z, v) if self.mixtures else super().flow(z, v)

    def scaled(self, z: Tensor, factors: Tensor) -> Tensor:
        """Return z, as classes cannot move; of mixtures the weights times the factors, over their sum."""
        return self.onto(z * factors) if self.mixtures else z

    def intervene(self, z: Tensor, axis: int, step: Tensor) -> Tensor:
        """Return codes of the class `axis`, whatever the step; mixtures move towards it."""
        if self.mixtures:
            return Manifold.intervene(self, z, axis, step)
        return one_hot(torch.full(z.shape[:-1], axis, device=z.device), self.classes).to(z)

    def traversal(self, anchor: Tensor, axes: Tensor, values: Tensor) -> Tensor:
        """Return mixtures of the anchor and one class at a time, which has the given weights, (B, K, N, d).

        Args:
            anchor: codes (B, d).
            axes: classes (K,).
            values: weights (N,), between 0 and 1.

        """
        units = one_hot(axes, self.classes).to(anchor)[:, None]
        others = (anchor[..., None, None, :] * (1 - units)).clamp(min=0)
        total = others.sum(-1, keepdim=True)
        rest = torch.where(total > 0, others / total.clamp(min=torch.finfo(total.dtype).tiny), 1 - units)
        rest = rest / rest.sum(-1, keepdim=True).clamp(min=1)
        weight = values.to(anchor).clamp(0 if self.classes > 1 else 1, 1)[:, None]  # one class alone has all weight
        return (1 - weight) * rest + weight * units

    def geodesic(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return mixtures of the two ends, (B, N, d); of mixtures the Fisher-Rao geodesic."""
        return fisher_rao.geodesic(start, end, points) if self.mixtures else paths.linear(start, end, points)

    def arguments(self) -> tuple[Any, ...]:
        """Return the number of classes, and that codes are mixtures where they are."""
        return (self.classes, True) if self.mixtures else (self.classes,)


class Codebook(IsolatedPoints):
    """L places, each with one of K entries.

    Args:
        entries: the codebook, (K, D).
        length: number L of places; a code has L D coordinates.

    """

    def __init__(self, entries: Tensor, length: int) -> None:
        self.entries, self.length = entries, length

    @property
    def coordinates(self) -> int:
        """The number of coordinates of all places together."""
        return self.length * self.entries.shape[1]

    @property
    def choices(self) -> list[Choice]:
        """Every place is one of the entries."""
        return [Choice(place * self.entries.shape[1], self.entries) for place in range(self.length)]

    def indices(self, z: Tensor) -> Tensor:
        """Return the entry nearest to each place of points (B, L D), (B, L)."""
        vectors = z.unflatten(-1, (self.length, -1))
        return (self.entries.square().sum(1) - 2 * vectors @ self.entries.T.to(z)).argmin(-1)

    def onto(self, z: Tensor) -> Tensor:
        """Return the nearest entries."""
        return self.entries[self.indices(z)].flatten(-2).to(z)

    def parametrised(self, raw: Tensor) -> Tensor:
        """Raise an error: no smooth map of unconstrained numbers has its values in a codebook.

        Raises:
            TypeError: always.

        """
        raise TypeError("expected a VectorQuantiser as posterior of the codes of a codebook, got unconstrained numbers")

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return z, from which no velocity leads away."""
        return z

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Raise an error: no velocity leads from one code to another.

        Raises:
            TypeError: always.

        """
        raise TypeError("expected codes that can move continuously, got the codes of a codebook")

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the number of places at which the codes differ."""
        return (self.indices(z) != self.indices(other)).sum(-1).to(z)

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return 0: no direction leads away from a code."""
        return torch.zeros_like(z)

    def intervene(self, z: Tensor, axis: int, step: Tensor) -> Tensor:
        """Raise an error: the coordinates of an entry cannot be moved one at a time.

        Raises:
            TypeError: always.

        """
        raise TypeError("expected codes whose coordinates can be moved one at a time, got the codes of a codebook")

    def traversal(self, anchor: Tensor, axes: Tensor, values: Tensor) -> Tensor:
        """Return codes with another entry at one place: the one whose coordinate is nearest to the given values.

        Args:
            anchor: codes (B, L D).
            axes: coordinates (K,), each of one place.
            values: of that coordinate, (N,).

        """
        size = self.entries.shape[1]
        shown = []
        for axis in axes.tolist():
            place, coordinate = divmod(axis, size)
            nearest = (self.entries[:, coordinate, None] - values.to(self.entries)).abs().argmin(0)
            z = anchor.unsqueeze(-2).repeat(*[1] * (anchor.ndim - 1), len(values), 1)
            z[..., place * size : (place + 1) * size] = self.entries[nearest].to(anchor)
            shown.append(z)
        return torch.stack(shown, -3)

    def geodesic(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return codes that change from the start to the end one place after another in reading order, (B, N, d)."""
        t = paths.linear(start.new_zeros(1), start.new_ones(1), points)
        changed = torch.arange(self.length, device=start.device) < (t * self.length).round()
        mask = changed.repeat_interleave(self.entries.shape[1], -1)
        return torch.where(mask, end.unsqueeze(-2), start.unsqueeze(-2))

    def arguments(self) -> tuple[Any, ...]:
        """Return the codebook and the number of places."""
        return self.entries, self.length

    def __eq__(self, other: object) -> bool:
        """Return whether the other has the very same tensor as codebook and as many places."""
        return isinstance(other, Codebook) and self.entries is other.entries and self.length == other.length

    def __hash__(self) -> int:
        return hash((id(self.entries), self.length))

    def __repr__(self) -> str:
        return f"Codebook({len(self.entries)} entries of {self.entries.shape[1]}, {self.length} places)"


def bounded(manifold: Manifold) -> bool:
    """Return whether any coordinate has walls or takes one of a list of values."""
    return bool(manifold.choices) or manifold.measure != manifold
