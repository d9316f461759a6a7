r"""Ridges of a map over a plane, and how their number of boxes grows as boxes shrink.

A pixel is on a ridge if the line of steepest bending through it has its top within the pixel. With gradient g and
Hessian H of the map in units of pixels, v the eigenvector of H of its lowest eigenvalue -c < 0,

    offset of the top = (g . v) / c along v,    on the ridge if |offset v_i| <= 1/2 for both i and c >= share * max c.

The number N(s) of boxes of s x s pixels that a ridge meets grows like s^-D: D = 1 of a smooth curve, 2 of what fills
the plane. Over a few octaves of a finite map any set has a slope between, that of smooth maps included, so that a slope
is read against a null: the ridges of Gaussian random fields with the resolution of the map and its correlation length,

    E f(a) f(b) = exp(-|a - b|^2 / (2 L^2)),    L^2 = Var f / E |d_i f|^2 .

Reference: Steger, "An unbiased detector of curvilinear structures" (1998); Falconer, "Fractal Geometry" (2003),
chapter 3; Adler & Taylor, "Random Fields and Geometry" (2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["BoxCounts", "RidgeTest", "box_counts", "correlation_length", "ridge_mask", "ridge_test", "smooth_field"]


class BoxCounts(NamedTuple):
    """Sides of boxes (K,), the number of boxes that are met (K,), and the slope D of log N against -log s."""

    sizes: Tensor
    counts: Tensor
    slope: float


class RidgeTest(NamedTuple):
    """The slope of a map's ridges beside those of smooth random maps.

    Attributes:
        counts: the boxes of the map's ridges.
        null: slopes of the random maps (R,).
        p_value: the share of slopes, that of the map among them, which are as large as that of the map.
        length: the correlation length L of the map, in pixels.

    """

    counts: BoxCounts
    null: Tensor
    p_value: float
    length: float


def _checked(field: Tensor) -> Tensor:
    if field.ndim != 2 or min(field.shape) < 8 or not bool(field.isfinite().all()):
        raise ValueError(f"expected a finite map (H, W) of sides of 8 or more, got {tuple(field.shape)}")
    return field.double()


def ridge_mask(field: Tensor, share: float = 0.1) -> Tensor:
    """Return which pixels of a map are on a ridge, (H, W); those at the border are on none.

    Args:
        field: values (H, W), finite.
        share: the least bending of a ridge, over the largest one of the map; between 0 and 1.

    Raises:
        ValueError: the map is smaller than 8 x 8 or not finite, or the share is not in [0, 1].

    """
    f = _checked(field)
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share in [0, 1], got {share}")
    rows, columns = torch.gradient(f)
    gradient = torch.stack([rows, columns], -1)
    hessian = torch.stack([torch.stack(torch.gradient(part), -1) for part in (rows, columns)], -1)
    hessian[1:-1, :, 0, 0] = f[2:] - 2 * f[1:-1] + f[:-2]
    hessian[:, 1:-1, 1, 1] = f[:, 2:] - 2 * f[:, 1:-1] + f[:, :-2]
    values, vectors = torch.linalg.eigh((hessian + hessian.mT) / 2)
    bend, v = -values[..., 0], vectors[..., 0]
    top = (gradient * v).sum(-1) / bend
    found = (bend > 0) & ((top[..., None] * v).abs() <= 0.5).all(-1)
    inside = torch.zeros_like(found)
    inside[1:-1, 1:-1] = True
    return found & inside & (bend >= share * bend[1:-1, 1:-1].max())


def box_counts(mask: Tensor, sizes: Sequence[int] | None = None) -> BoxCounts:
    """Return how many boxes of each size hold a pixel of a set, and the slope by least squares of the logarithms.

    Args:
        mask: the set (H, W), of bool.
        sizes: sides of boxes in pixels; powers of 2 up to a quarter of the shorter side where they are not given.

    Raises:
        ValueError: the set is empty, or there are fewer than two sizes.

    """
    if mask.ndim != 2 or mask.dtype != torch.bool or not bool(mask.any()):
        raise ValueError(f"expected a set (H, W) of bool with a pixel in it, got {mask.dtype} {tuple(mask.shape)}")
    sides = [2**k for k in range(12) if 4 * 2**k <= min(mask.shape)] if sizes is None else list(sizes)
    if len(sides) < 2 or min(sides) < 1:
        raise ValueError(f"expected two or more sizes of boxes of 1 or more pixels, got {sides}")
    places = mask.nonzero()
    counts = torch.tensor([len((places // side).unique(dim=0)) for side in sides])
    x, y = -torch.tensor(sides, dtype=torch.float64).log(), counts.double().log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return BoxCounts(torch.tensor(sides), counts, float(slope))


def correlation_length(field: Tensor) -> float:
    """Return L in pixels, from the variance of a map (H, W) and that of its slopes.

    Raises:
        ValueError: the map is smaller than 8 x 8, not finite, or constant.

    """
    f = _checked(field)
    slopes = (f.diff(dim=0).square().mean() + f.diff(dim=1).square().mean()) / 2
    if not slopes > 0:
        raise ValueError("expected a map that varies, got a constant one")
    return float((f.var() / slopes).sqrt())


def smooth_field(shape: Sequence[int], length: float, generator: torch.Generator | None = None) -> Tensor:
    """Return a Gaussian random map (H, W) with mean 0, variance 1 and correlations exp(-r^2 / (2 L^2)).

    It is white noise times the square root of the spectrum, on a torus that is 4 L larger than the map, of which the
    map is cut out, so that opposite borders are independent.

    Args:
        shape: (H, W).
        length: L in pixels, above 0.
        generator: draws the noise; that of PyTorch where it is not given.

    Raises:
        ValueError: the length is not positive.

    """
    if not length > 0:
        raise ValueError(f"expected a correlation length above 0, got {length}")
    sides = [int(side + 4 * length) + 1 for side in shape]
    noise = torch.randn(*sides, generator=generator, dtype=torch.float64)
    waves = [2 * torch.pi * torch.fft.fftfreq(side, dtype=torch.float64) for side in sides]
    power = (-(length**2) * (waves[0][:, None] ** 2 + waves[1] ** 2) / 2).exp()
    field = torch.fft.ifft2(torch.fft.fft2(noise) * (power / power.mean()).sqrt()).real
    return field[: shape[0], : shape[1]]


def ridge_test(
    field: Tensor,
    share: float = 0.1,
    sizes: Sequence[int] | None = None,
    repeats: int = 39,
    generator: torch.Generator | None = None,
) -> RidgeTest:
    """Return the box-counting slope of a map's ridges, tested against those of smooth random maps.

    Args:
        field: values (H, W), finite.
        share: see `ridge_mask`.
        sizes: see `box_counts`.
        repeats: the number R of random maps.
        generator: draws them.

    Raises:
        ValueError: see `ridge_mask` and `box_counts`; or there is no repeat.

    """
    if repeats < 1:
        raise ValueError(f"expected 1 or more random maps, got {repeats}")
    counts, length = box_counts(ridge_mask(field, share), sizes), correlation_length(field)
    slopes = [
        box_counts(ridge_mask(smooth_field(field.shape, length, generator), share), sizes).slope for _ in range(repeats)
    ]
    null = torch.tensor(slopes, dtype=torch.float64)
    return RidgeTest(counts, null, (1 + int((null >= counts.slope).sum())) / (1 + repeats), length)
