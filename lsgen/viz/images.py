"""Observations as pixels: tensors in the range of the data -> uint8 images.

Images of one or three channels are shown as they are, those of any other number of channels with their
channels side by side, and vectors as profiles: one bar per entry, drawn from the bottom up. Of a vector with more
than 512 entries each column shows the range of those that fall into it, as waveforms are shown.
What is not finite is magenta.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from matplotlib.colors import to_rgb
from torch import Tensor

from lsgen.viz.style import Pixels

__all__ = ["framed", "to_pixels", "upscale", "value_range", "waveforms"]

_PROFILE, _WIDEST = 48, 512
_NOT_FINITE = (214, 0, 147)


def value_range(x: Tensor) -> tuple[float, float]:
    """Return the range in which to show observations x: (0, 1) or (-1, 1) if x lies within, else that of x."""
    low, high = (float(bound) for bound in torch.aminmax(x.detach()))
    for bounds in ((0.0, 1.0), (-1.0, 1.0)):
        if bounds[0] <= low and high <= bounds[1]:
            return bounds
    return low, high


def to_pixels(x: Tensor, event: int, bounds: tuple[float, float] = (0.0, 1.0)) -> Pixels:
    """Return observations as images; values outside the bounds are clipped.

    Args:
        x: observations (B, *shape) of any batch shape B.
        event: number of dimensions of one observation: 3 for (C, H, W), 2 for (H, W), 1 for (D,).
        bounds: values that become black and white.

    Returns:
        Pixels (B, H, W, 3).

    Raises:
        ValueError: an observation has no dimension or more than three, or the bounds are not in order.

    Example:
        >>> to_pixels(torch.tensor([[[[0.0, 1.0]]]]), event=3)[0, 0, :, 0].tolist()
        [0, 255]

    """
    if not 1 <= event <= 3 or x.dim() < event:
        raise ValueError(f"expected observations of 1 to 3 dimensions, got {event} of a tensor {tuple(x.shape)}")
    values, finite = _bytes(x, bounds), torch.isfinite(x)
    if event == 1 and x.shape[-1] > _WIDEST:
        return waveforms(x, bounds, _WIDEST)
    pixels = _laid_out(values, event)
    if not bool(finite.all()):
        pixels = np.where(_laid_out(finite.byte(), event, bars=False) > 0, pixels, _NOT_FINITE).astype(np.uint8)
    return pixels


def waveforms(x: Tensor, bounds: tuple[float, float] = (-1.0, 1.0), width: int = 128) -> Pixels:
    """Return vectors (B, D) as pixels (B, H, width, 3), each column bright between the least and the greatest.

    Args:
        x: vectors of any batch shape B, such as sounds.
        bounds: values at the bottom and at the top.
        width: columns, among which the entries are divided.

    """
    values, finite = _bytes(x, bounds), torch.isfinite(x)
    step = 255 / (_PROFILE - 1)
    height = torch.arange(_PROFILE - 1, -1, -1, device=x.device)[:, None] * step
    low = _least(values, width).unsqueeze(-2)
    high = 255 - _least(255 - values, width).unsqueeze(-2).float()
    lit = torch.where((height >= low - step / 2) & (height <= high + step / 2), 255, 24).byte()
    pixels = _as_pixels(lit.unsqueeze(-3))
    if not bool(finite.all()):
        columns = _least(finite.byte(), width)[..., None, :, None].cpu().numpy()
        pixels = np.where(columns > 0, pixels, _NOT_FINITE).astype(np.uint8)
    return pixels


def upscale(pixels: Pixels, smallest: int = 48) -> Pixels:
    """Repeat pixels (..., H, W, 3) by the least whole factor that brings both sides to `smallest`."""
    factor = max(1, ceil(smallest / min(pixels.shape[-3:-1])))
    return pixels if factor == 1 else pixels.repeat(factor, axis=-3).repeat(factor, axis=-2)


def framed(pixels: Pixels, colour: str, width: int = 3) -> Pixels:
    """Return pixels (..., H, W, 3) with a frame around each picture, of a colour of matplotlib and some pixels wide."""
    sides = [(0, 0)] * (pixels.ndim - 3) + [(width, width), (width, width), (0, 0)]
    made = np.pad(pixels, sides)
    border = np.pad(np.zeros(pixels.shape[-3:-1], dtype=bool), width, constant_values=True)
    made[..., border, :] = np.round(255 * np.array(to_rgb(colour))).astype(np.uint8)
    return made


def _bytes(x: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Return values as bytes, 0 for the lower bound and below, and for what is not finite."""
    low, high = bounds
    if not low <= high:
        raise ValueError(f"expected bounds (low, high) in order, got ({low}, {high})")
    unit = ((x.detach().float() - low) / max(high - low, torch.finfo(torch.float32).tiny)).clamp(0, 1)
    return (unit.nan_to_num() * 255).round().byte()


def _least(values: Tensor, width: int) -> Tensor:
    """Return the least of the bytes (B, D) that fall into each column, (B, width)."""
    flat = -values.reshape(-1, 1, values.shape[-1]).float()
    pooled = -torch.nn.functional.adaptive_max_pool1d(flat, width)
    return pooled.view(*values.shape[:-1], width).byte()


def _laid_out(values: Tensor, event: int, bars: bool = True) -> Pixels:
    """Return bytes (B, *shape) in the layout of images, (B, H, W, 3)."""
    if event == 1:
        wide = values.repeat_interleave(max(1, _PROFILE // values.shape[-1]), dim=-1).unsqueeze(-2)
        height = torch.arange(_PROFILE - 1, -1, -1, device=values.device)[:, None] * (255 / (_PROFILE - 1))
        values = torch.where(height <= wide, 255, 24).byte() if bars else wide.expand(*wide.shape[:-2], _PROFILE, -1)
    channels = values if event == 3 else values.unsqueeze(-3)
    if channels.shape[-3] not in (1, 3):
        channels = channels.movedim(-3, -2).flatten(-2).unsqueeze(-3)
    return _as_pixels(channels)


def _as_pixels(channels: Tensor) -> Pixels:
    """Return bytes (B, C, H, W) of one or three channels as pixels (B, H, W, 3)."""
    channels = channels.movedim(-3, -1)
    return channels.expand(*channels.shape[:-1], 3).contiguous().cpu().numpy()
