"""Observations as pictures of a page: images as they are, rows of numbers as none."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from lsgen import viz
from lsgen.explorer import Thumbnails

__all__ = ["thumbnails"]

LEAST_SIDE = 4  # pixels


def thumbnails(x: Tensor | None, bounds: tuple[float, float] | None) -> Thumbnails | None:
    """Return observations (N, *shape) as pictures; None where they are no images.

    Args:
        x: observations; None where there are none.
        bounds: values that are shown black and white.

    """
    if x is None or bounds is None or x.ndim not in (3, 4) or min(x.shape[-2:]) < LEAST_SIDE or not len(x):
        return None
    pixels = viz.to_pixels(x, x.ndim - 1, bounds)
    grey = bool((pixels == pixels[..., :1]).all())
    return Thumbnails(np.ascontiguousarray(pixels[..., 0]) if grey else pixels)
