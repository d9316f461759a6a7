r"""Decoders of codes in the Poincare ball c |z|^2 < 1, whose first layer knows its geometry.

Gyroplanes: the geodesic hyperplane H of normal a through p has the signed distance

    d(z, H) = asinh( 2 sqrt(c) <-p (+) z, a> / ((1 - c |-p (+) z|^2) |a|) ) / sqrt(c),

where (+) is Moebius addition. The layer gives |a|_p d(z, H_k) for every unit k, with |a|_p = 2 |w| the length of w, a
vector at the origin, carried to p. Every hyperplane has the foot p = r w/|w| of its perpendicular from the origin, at
the hyperbolic distance r, and with R = sqrt(c) r and lambda = 2/(1 - c |z|^2)

    sinh(sqrt(c) d) = lambda sqrt(c) <z, w/|w|> cosh R - (lambda - 1) sinh R .

As c goes to 0 the layer tends to 4 <w, z> - 2 |w| r.

Moebius layer: y = (M (x) z) (+) b, M (x) z = exp_0(M log_0(z)), b = exp_0(v), with log_0(z) = atanh(sqrt(c) |z|) z /
(sqrt(c) |z|), followed by log_0, which takes it to flat space. As c goes to 0 it tends to M z + v.

Both compute in double precision, since codes near the boundary are far apart; their outputs are of the precision of
the codes. Codes that do not lie in the ball give NaN.

Reference: Ganea, Becigneul & Hofmann, "Hyperbolic neural networks" (2018), sections 3.1 and 3.2,
https://arxiv.org/abs/1805.09112; Mathieu et al., "Continuous hierarchical representations with Poincare variational
auto-encoders" (2019), section 3.2, https://arxiv.org/abs/1901.06033; Shimizu, Mukuta & Harada, "Hyperbolic neural
networks++" (2021), section 3.1, https://arxiv.org/abs/2006.08210, for the foot of the perpendicular.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from lsgen.nn.mlp import MLPDecoder

__all__ = ["GeodesicDecoder", "Gyroplanes", "MobiusDecoder", "MobiusLinear"]


class _BallLayer(nn.Module):
    """A layer of codes in the ball, with a weight (units, d) initialised as that of `nn.Linear`."""

    def __init__(self, dim: int, units: int, curvature: float, biases: int) -> None:
        super().__init__()
        if not curvature > 0:
            raise ValueError(f"expected a curvature c > 0 (the space has sectional curvature -c), got {curvature}")
        self.curvature = float(curvature)
        self.weight = nn.Parameter(nn.Linear(dim, units).weight.detach())
        self.bias = nn.Parameter(torch.empty(biases).uniform_(-1, 1) / dim**0.5)


class Gyroplanes(_BallLayer):
    """Codes (N, d) in the ball -> signed distances from hyperplanes times the lengths of their normals, (N, units).

    Args:
        dim: dimension d of the codes.
        units: number of hyperplanes.
        curvature: c > 0; the sectional curvature is -c.

    Attributes:
        weight: the normals w at the origin, (units, d).
        bias: the distances r of the hyperplanes from the origin, in units of hyperbolic length, (units,).

    Raises:
        ValueError: c is not positive.

    """

    def __init__(self, dim: int, units: int, curvature: float = 1.0) -> None:
        super().__init__(dim, units, curvature, units)

    def forward(self, z: Tensor) -> Tensor:
        """Return 2 |w| d(z, H), (N, units)."""
        root, x, w = self.curvature**0.5, z.double(), self.weight.double()
        length, R = vector_norm(w, dim=-1), root * self.bias.double()
        unit = w / length.clamp(min=torch.finfo(w.dtype).tiny).unsqueeze(-1)
        factor = 2 / _gap(root * x)
        height = root * factor * (x @ unit.T) * torch.cosh(R) - (factor - 1) * torch.sinh(R)
        return (2 * length / root * torch.asinh(height)).to(z.dtype)


class MobiusLinear(_BallLayer):
    """Codes (N, d) in the ball -> log_0 of a Moebius-affine map of them, (N, units).

    Args:
        dim: dimension d of the codes.
        units: dimension of the output.
        curvature: c > 0; the sectional curvature is -c.

    Attributes:
        weight: M, (units, d).
        bias: v, a vector at the origin, (units,).

    Raises:
        ValueError: c is not positive.

    """

    def __init__(self, dim: int, units: int, curvature: float = 1.0) -> None:
        super().__init__(dim, units, curvature, units)

    def forward(self, z: Tensor) -> Tensor:
        """Return log_0((M (x) z) (+) b), (N, units)."""
        root, x = self.curvature**0.5, z.double()
        u, gap_u = _exp(_log(root * x) @ self.weight.double().T)
        b, gap_b = _exp(root * self.bias.double())
        sinh = vector_norm(u + b, dim=-1, keepdim=True) / (gap_u * gap_b).sqrt()
        sum_ = (1 + 2 * (u * b).sum(-1, keepdim=True) + (b * b).sum(-1, keepdim=True)) * u + gap_u * b
        length = vector_norm(sum_, dim=-1, keepdim=True)
        return (torch.asinh(sinh) / root * sum_ / length.where(length > 0, 1)).to(z.dtype)


class _BallDecoder(nn.Module):
    """A first layer, an activation and a perceptron."""

    def __init__(
        self,
        first: _BallLayer,
        dim: int,
        shape: Sequence[int],
        hidden: Sequence[int],
        activation: Callable[[], nn.Module],
        heads: int,
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.curvature = dim, heads, first.curvature
        self.first, self.activation = first, activation()
        self.rest = MLPDecoder(hidden[0], shape, hidden[1:], activation, heads)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, heads * shape[0], *shape[1:])."""
        out: Tensor = self.rest(self.activation(self.first(z)))
        return out


class GeodesicDecoder(_BallDecoder):
    """Codes (N, dim) in the ball -> raw outputs, through distances from hyperplanes and a perceptron.

    Args:
        dim: latent dimension d.
        shape: shape of one observation.
        curvature: c > 0, as that of the prior.
        hidden: number of hyperplanes, and widths of the hidden layers after them.
        activation: constructor of the activation between layers.
        heads: raw outputs per data channel, as the likelihood asks.

    Raises:
        ValueError: c is not positive, or there are no hidden layers.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        curvature: float = 1.0,
        hidden: Sequence[int] = (600,),
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 1,
    ) -> None:
        first = Gyroplanes(dim, _width(hidden), curvature)
        super().__init__(first, dim, shape, hidden, activation, heads)


class MobiusDecoder(_BallDecoder):
    """Codes (N, dim) in the ball -> raw outputs, through a Moebius layer and a perceptron.

    Args:
        dim: latent dimension d.
        shape: shape of one observation.
        curvature: c > 0, as that of the prior.
        hidden: width of the Moebius layer, and of the hidden layers after it.
        activation: constructor of the activation between layers.
        heads: raw outputs per data channel, as the likelihood asks.

    Raises:
        ValueError: c is not positive, or there are no hidden layers.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        curvature: float = 1.0,
        hidden: Sequence[int] = (600,),
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 1,
    ) -> None:
        first = MobiusLinear(dim, _width(hidden), curvature)
        super().__init__(first, dim, shape, hidden, activation, heads)


def _width(hidden: Sequence[int]) -> int:
    if not hidden:
        raise ValueError("expected at least one hidden layer, the first of them hyperbolic, got none")
    return hidden[0]


def _gap(x: Tensor) -> Tensor:
    """Return 1 - |x|^2 of points (B, d) of the ball of curvature 1, (B, 1); NaN where it is not positive."""
    gap = 1 - x.square().sum(-1, keepdim=True)
    return gap.where(gap > 0, torch.nan)


def _log(x: Tensor) -> Tensor:
    """Return atanh|x| x/|x|, (B, d), = asinh(|x|/sqrt(gap)) x/|x|; NaN off the ball."""
    length = vector_norm(x, dim=-1, keepdim=True)
    some = length.where(length > 0, 1)
    return torch.where(length > 0, torch.asinh(some / _gap(x).sqrt()) / some, 1) * x


def _exp(v: Tensor) -> tuple[Tensor, Tensor]:
    """Return tanh|v| v/|v|, (B, d), and its gap cosh^-2|v|, (B, 1)."""
    length = vector_norm(v, dim=-1, keepdim=True)
    some = length.where(length > 0, 1)
    return torch.where(length > 0, torch.tanh(some) / some, 1) * v, torch.cosh(length) ** -2
