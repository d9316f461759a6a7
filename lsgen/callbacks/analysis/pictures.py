"""Observations as pictures of a page: images as they are, long rows of numbers as curves, short ones as none."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.rendering.drawings import Many, Packed, drawing_of
from lsgen.explorer import Thumbnails
from lsgen.latent import LatentSpace, Space
from lsgen.likelihoods import Modalities, TextLikelihood

__all__ = ["pictures_of", "thumbnails"]

LEAST_SIDE = 4  # pixels
LEAST_STEPS, WIDE, TALL = 64, 64, 32  # of curves


def pictures_of(
    space: Space | None, x: Tensor | None, bounds: tuple[float, float] | None, known: Tensor | None
) -> Thumbnails | None:
    """Return observations of a space as pictures: of several modalities all but words, else `thumbnails`.

    Args:
        space: whose observations they are, where it is known.
        x: observations (N, *shape); None where there are none.
        bounds: values that are shown black and white, but for several modalities.
        known: observations that say which values of each modality are shown black and white.

    """
    if isinstance(space, LatentSpace) and isinstance(space.likelihood, TextLikelihood):
        return None
    several = isinstance(space.likelihood, Modalities) if isinstance(space, LatentSpace) else isinstance(space, Packed)
    if space is None or not several:
        return thumbnails(x, bounds)
    if x is None or known is None or not len(x):
        return None
    draw = drawing_of(space, known)
    assert isinstance(draw, Many)
    cells = draw.pictures(x)
    return None if cells is None else Thumbnails(cells)


def thumbnails(x: Tensor | None, bounds: tuple[float, float] | None) -> Thumbnails | None:
    """Return observations (N, *shape) as pictures; None where they are no images.

    Rows of 64 numbers or more, such as sounds, are drawn as curves.

    Args:
        x: observations; None where there are none.
        bounds: values that are shown black and white.

    """
    if x is None or bounds is None or not len(x):
        return None
    if x.ndim < 4 and x[0].numel() == x.shape[-1] >= LEAST_STEPS:
        return Thumbnails(_curves(x.reshape(len(x), -1).float(), bounds))
    if x.ndim not in (3, 4) or min(x.shape[-2:]) < LEAST_SIDE:
        return None
    pixels = viz.to_pixels(x, x.ndim - 1, bounds)
    grey = bool((pixels == pixels[..., :1]).all())
    return Thumbnails(np.ascontiguousarray(pixels[..., 0]) if grey else pixels)


def _curves(x: Tensor, bounds: tuple[float, float]) -> NDArray[np.uint8]:
    """Return curves (N, steps) as dark lines (N, 32, 64), in each column from the least to the greatest value."""
    steps = [x[:, part] for part in torch.arange(x.shape[1]).tensor_split(min(WIDE, x.shape[1]))]
    ends = torch.stack([torch.stack([part.amax(1), part.amin(1)]) for part in steps], -1).numpy()
    low, high = bounds
    rows = np.clip((high - ends) / max(high - low, 1e-12), 0, 1) * (TALL - 1)
    place = np.arange(TALL)[:, None]
    dark = (place >= np.floor(rows[0])[:, None]) & (place <= np.ceil(rows[1])[:, None])
    return np.where(dark, 30, 255).astype(np.uint8)
