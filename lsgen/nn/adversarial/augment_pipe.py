r"""The augmentation pipeline of StyleGAN2-ADA, which applies every transformation to each image with probability p.

With i, j uniform integers, all draws anew for every image, in this order:

    blit        mirror x,  rotate by 90 j degrees,  shift by whole pixels, up to 1/8 of the image
    geometry    scale by 2^N(0, 0.2^2),  rotate by U(-pi, pi),  stretch by (s, 1/s), s = 2^N(0, 0.2^2),
                rotate by U(-pi, pi),  shift by N(0, (1/8)^2) of the image
    colour      brightness + N(0, 0.2^2),  contrast x 2^N(0, 0.5^2),  luma flip,  hue turned by U(-pi, pi),
                saturation x 2^N(0, 1)

Either rotation happens with probability 1 - sqrt(1 - p), so that with probability p there is any. One draw decides on
both axes of a shift. All draws are made, and all maps computed, in single precision at least. All of blit and
geometry is one affine map A in homogeneous pixel coordinates about the centre, y(u) = x(A^{-1} u); all of colour is one
affine map of (r, g, b). With v = (1, 1, 1)/sqrt(3), the luma axis,

    luma flip   I - 2 v v^T,     hue  rotation about v,     saturation  v v^T + s (I - v v^T).

Images of another number of channels have a luma only: they get brightness, contrast and the luma flip x -> -x.
Values between pixels are interpolated bilinearly, outside ones are reflections; the paper filters with a wavelet at
twice the resolution there.

Reference: Karras et al., "Training generative adversarial networks with limited data" (2020),
https://arxiv.org/abs/2006.06676, appendix B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, pi

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

__all__ = ["AugmentPipe"]

_PARTS = ("blit", "geometry", "colour")


class AugmentPipe(nn.Module):
    """Transformations of images (N, C, H, W), square ones where `blit` is among the parts.

    Args:
        parts: which of "blit", "geometry" and "colour" there are.

    Raises:
        ValueError: there is no part, or an unknown one.

    """

    def __init__(self, parts: Sequence[str] = _PARTS) -> None:
        super().__init__()
        if not parts or set(parts) - set(_PARTS):
            raise ValueError(f"expected parts out of {', '.join(_PARTS)}, got {', '.join(parts) or 'none'}")
        self.parts = tuple(parts)

    def forward(self, x: Tensor, p: Tensor | float = 1.0) -> Tensor:
        """Return transformed images.

        Args:
            x: images (N, C, H, W).
            p: probability of every transformation, a scalar.

        Raises:
            ValueError: quarter turns are asked of images that are not square.

        """
        if "blit" in self.parts and x.shape[2] != x.shape[3]:
            raise ValueError(f"expected square images to turn by 90 degrees, got {tuple(x.shape[2:])}")
        given, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
        draw = _Draw(len(x), torch.as_tensor(p, dtype=x.dtype, device=x.device))
        inverse = draw.identity(3)
        if "blit" in self.parts:
            inverse = inverse @ _inverse_blit(draw, x.shape[3], x.shape[2])
        if "geometry" in self.parts:
            inverse = inverse @ _inverse_geometry(draw, x.shape[3], x.shape[2])
        if {"blit", "geometry"} & set(self.parts):
            x = _resampled(x, inverse)
        return (_coloured(x, draw) if "colour" in self.parts else x).to(given)


class _Draw:
    """Random numbers for n images, each neutral unless it is chosen, with probability p."""

    def __init__(self, n: int, p: Tensor) -> None:
        self.n, self.p = n, p

    def identity(self, size: int) -> Tensor:
        return torch.eye(size, dtype=self.p.dtype, device=self.p.device).expand(self.n, -1, -1)

    def uniform(self, *size: int) -> Tensor:
        return torch.rand(self.n, *size, dtype=self.p.dtype, device=self.p.device)

    def chosen(self, value: Tensor, neutral: float, p: Tensor | None = None) -> Tensor:
        """Return the values (n, ...) of the images that are chosen, and neutral ones for the others."""
        gate = self.uniform(*[1] * (value.ndim - 1))
        return torch.where(gate < (self.p if p is None else p), value, neutral)

    def normal(self, deviation: float, *size: int) -> Tensor:
        return self.chosen(deviation * torch.randn_like(self.uniform(*size)), 0.0)

    def factor(self, deviation: float) -> Tensor:
        """Return 2^N(0, deviation^2)."""
        return (log(2) * self.normal(deviation)).exp()

    def integer(self, choices: int) -> Tensor:
        return self.chosen((choices * self.uniform()).floor().clamp(max=choices - 1), 0.0)

    def angle(self, p: Tensor | None = None) -> Tensor:
        return self.chosen(2 * pi * self.uniform() - pi, 0.0, p)


def _inverse_blit(draw: _Draw, width: int, height: int) -> Tensor:
    """Return the inverse of mirroring, then turning, then shifting, (N, 3, 3)."""
    mirror = _scaling(1 - 2 * draw.integer(2), None)
    turn = _rotation(-pi / 2 * draw.integer(4)).round()
    across, down = draw.chosen((2 * draw.uniform(2) - 1) / 8, 0.0).unbind(1)
    return mirror @ turn @ _translation(-(width * across).round(), -(height * down).round())


def _inverse_geometry(draw: _Draw, width: int, height: int) -> Tensor:
    """Return the inverse of scaling, turning, stretching, turning and shifting, in this order, (N, 3, 3)."""
    turned = 1 - (1 - draw.p).sqrt()
    scale = 1 / draw.factor(0.2)
    first, stretch, second = draw.angle(turned), draw.factor(0.2), draw.angle(turned)
    across, down = draw.normal(1 / 8, 2).unbind(1)
    shift = _translation(-width * across, -height * down)
    return _scaling(scale, scale) @ _rotation(-first) @ _scaling(1 / stretch, stretch) @ _rotation(-second) @ shift


def _resampled(x: Tensor, inverse: Tensor) -> Tensor:
    """Return x(A^{-1} u) at every pixel u; images with A = 1 are returned unchanged."""
    height, width = x.shape[2:]
    rows, columns = (torch.arange(size).to(x) - (size - 1) / 2 for size in (height, width))
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([u, v, torch.ones_like(u)], -1)[None] @ inverse.mT[:, None]
    size = torch.tensor([width, height]).to(x)
    moved = grid_sample(x, 2 * places[..., :2] / size, padding_mode="reflection", align_corners=False)
    same = (inverse == torch.eye(3).to(x)).flatten(1).all(1)
    return torch.where(same[:, None, None, None], x, moved)


def _coloured(x: Tensor, draw: _Draw) -> Tensor:
    brightness, contrast, flip = draw.normal(0.2), draw.factor(0.5), draw.integer(2)
    x = (x + _column(brightness)) * _column(contrast)
    if x.shape[1] != 3:
        return x * _column(1 - 2 * flip)
    hue, saturation = draw.angle(), draw.factor(1.0)
    v = torch.full((3, 1), 3**-0.5).to(x)
    luma, identity = v @ v.T, draw.identity(3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]).to(x) / 3**0.5
    turn = luma + hue.cos()[:, None, None] * (identity - luma) + hue.sin()[:, None, None] * cross
    matrix = (luma + saturation[:, None, None] * (identity - luma)) @ turn @ (identity - 2 * flip[:, None, None] * luma)
    return torch.einsum("nij,njhw->nihw", matrix, x)


def _affine(entries: Callable[[Tensor, Tensor], Sequence[Tensor]], like: Tensor) -> Tensor:
    """Return matrices (N, 3, 3) of their first two rows, given in terms of 0 and 1."""
    zero, one = torch.zeros_like(like), torch.ones_like(like)
    return torch.stack([*entries(zero, one), zero, zero, one], -1).unflatten(-1, (3, 3))


def _scaling(a: Tensor, b: Tensor | None) -> Tensor:
    return _affine(lambda o, i: (a, o, o, o, i if b is None else b, o), a)


def _translation(a: Tensor, b: Tensor) -> Tensor:
    return _affine(lambda o, i: (i, o, a, o, i, b), a)


def _rotation(angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    return _affine(lambda o, i: (c, -s, o, s, c, o), angle)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]
