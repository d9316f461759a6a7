"""Observations as pixels: tensors in the range of the data -> uint8 images.

Images of one or three channels are shown as they are, those of any other number of channels with their
channels side by side, and vectors as profiles: one bar per entry, drawn from the bottom up.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from torch import Tensor

from lsgen.viz.style import Pixels

__all__ = ["to_pixels", "upscale", "value_range"]

_PROFILE = 48


def value_range(x: Tensor) -> tuple[float, float]:
    """Return the range in which to show observations like x: (0, 1) or (-1, 1) where they fit, else their own."""
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
        ValueError: an observation has no dimension or more than three, x holds non-finite values, or the
            bounds are not in order.

    Example:
        >>> to_pixels(torch.tensor([[[[0.0, 1.0]]]]), event=3)[0, 0, :, 0].tolist()
        [0, 255]

    """
    low, high = bounds
    if not low <= high:
        raise ValueError(f"expected bounds (low, high) in order, got ({low}, {high})")
    if not 1 <= event <= 3 or x.dim() < event:
        raise ValueError(f"expected observations of 1 to 3 dimensions, got {event} of a tensor {tuple(x.shape)}")
    if not bool(torch.isfinite(x).all()):
        raise ValueError(f"expected finite values to show, got {int((~torch.isfinite(x)).sum())} that are not")
    unit = ((x.detach().float() - low) / max(high - low, torch.finfo(torch.float32).tiny)).clamp(0, 1)
    grey = (unit * 255).round().byte().cpu()
    if event == 1:
        return _profiles(grey.numpy())
    pixels = grey.unsqueeze(-3) if event == 2 else grey
    if pixels.shape[-3] not in (1, 3):
        pixels = pixels.movedim(-3, -2).flatten(-2).unsqueeze(-3)
    return pixels.movedim(-3, -1).expand(*pixels.shape[:-3], *pixels.shape[-2:], 3).contiguous().numpy()


def upscale(pixels: Pixels, smallest: int = 48) -> Pixels:
    """Repeat pixels (..., H, W, 3) by the least whole factor that brings both sides to `smallest`."""
    factor = max(1, ceil(smallest / min(pixels.shape[-3:-1])))
    return pixels if factor == 1 else pixels.repeat(factor, axis=-3).repeat(factor, axis=-2)


def _profiles(grey: Pixels) -> Pixels:
    """Draw vectors (B, D) of values 0 .. 255 as bars on a dark ground, (B, 48, >= 48, 3)."""
    bars = grey.repeat(max(1, _PROFILE // grey.shape[-1]), axis=-1)
    height = (bars.astype(np.float32) / 255 * (_PROFILE - 1)).round()
    rows = np.arange(_PROFILE - 1, -1, -1, dtype=np.float32)[:, None]
    lit = np.where(rows <= height[..., None, :], 255, 24).astype(np.uint8)
    return np.repeat(lit[..., None], 3, axis=-1)
