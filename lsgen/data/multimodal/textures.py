r"""Coloured textures: two photographs that scikit-learn brings, and three that are made.

    stripes    v_c = 1/2 + 1/2 sin(k_c . r + 3 sin(q_c . r))                      waves along a line that winds
    cells      v_c = the colour of the nearest of 150 points, on a torus
    clouds     v_c = the rank of Gaussian noise with the spectrum 1 / |k|^3       so that all values are as frequent

for channel c and position r. They are the same on every machine up to the rounding of floating-point numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

__all__ = ["TEXTURES", "texture"]

_SIDE, _CELLS, _SLOPE = 256, 150, 3.0
_RESOLUTION = 28  # pixels of the digits for which textures are as large as they are


def _photograph(file: str) -> NDArray[np.uint8]:
    from sklearn.datasets import load_sample_image

    found: NDArray[np.uint8] = load_sample_image(file)
    return found


def _stripes() -> NDArray[np.uint8]:
    generator = np.random.default_rng(1)
    r = np.stack(np.meshgrid(*2 * [np.arange(_SIDE) / _SIDE], indexing="ij"), -1)
    fast, slow = generator.integers(12, 25, (3, 2)), generator.integers(1, 5, (3, 2))
    phase = 2 * np.pi * r @ fast.T + 3 * np.sin(2 * np.pi * r @ slow.T)
    return _levels(0.5 + 0.5 * np.sin(phase))


def _cells() -> NDArray[np.uint8]:
    generator = np.random.default_rng(2)
    points, colours = generator.random((_CELLS, 2)), generator.random((_CELLS, 3))
    r = (np.arange(_SIDE) + 0.5) / _SIDE
    apart = (r[:, None, None] - points.T[None]) % 1.0  # (side, 2, cells), along either axis
    squared = np.minimum(apart, 1 - apart) ** 2
    return _levels(colours[(squared[:, None, 0] + squared[None, :, 1]).argmin(-1)])


def _clouds() -> NDArray[np.uint8]:
    noise = np.fft.rfft2(np.random.default_rng(3).standard_normal((3, _SIDE, _SIDE)))
    k = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None])
    k[0, 0] = np.inf
    found = np.fft.irfft2(noise / k ** (_SLOPE / 2), (_SIDE, _SIDE)).reshape(3, -1)
    rank = found.argsort(1).argsort(1) / (_SIDE**2 - 1)
    return _levels(rank.reshape(3, _SIDE, _SIDE).transpose(1, 2, 0))


def _levels(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.round(255 * values).astype(np.uint8)


TEXTURES: Mapping[str, Callable[[], NDArray[np.uint8]]] = {
    "china": lambda: _photograph("china.jpg"),
    "flower": lambda: _photograph("flower.jpg"),
    "stripes": _stripes,
    "cells": _cells,
    "clouds": _clouds,
}


@cache
def texture(name: str, size: int) -> Tensor:
    """Return a texture, uint8 (3, H, W), reduced by size / 28 such that a crop of any size shows as much of it.

    Args:
        name: one of `TEXTURES`.
        size: side of the crops in pixels, at most 28.

    """
    pixels = Image.fromarray(TEXTURES[name]())
    if size != _RESOLUTION:
        scaled = [round(side * size / _RESOLUTION) for side in pixels.size]
        pixels = pixels.resize((scaled[0], scaled[1]), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(pixels).transpose(2, 0, 1).copy())
