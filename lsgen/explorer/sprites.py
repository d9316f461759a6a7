"""Pictures of items as a few large sheets, which a browser decodes faster than many small files."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lsgen.explorer.container import Container
from lsgen.explorer.contents import Thumbnails

__all__ = ["add_sheets"]

SIDE = 64  # pixels; larger pictures are made smaller
SHEET = 2048  # pixels along a side of a sheet
LOSSLESS = 1_500_000  # pixels in all up to which nothing is lost
QUALITY = 72


def add_sheets(container: Container, name: str, shown: Thumbnails, count: int) -> dict[str, Any]:
    """Add the sheets of some pictures to a container and return where each item's picture is.

    Args:
        container: where they go.
        name: how their names begin.
        shown: the pictures.
        count: how many items there are.

    """
    pictures = small(shown.pixels())
    number, height, width = pictures.shape[:3]
    across, down = max(SHEET // width, 1), max(SHEET // height, 1)
    sheets = []
    for i, first in enumerate(range(0, number, across * down)):
        part = pictures[first : first + across * down]
        exact = number * height * width <= LOSSLESS
        sheets.append(container.add_webp(f"{name}/{i}", _webp(_tiled(part, across), exact)))
    about: dict[str, Any] = {"sheets": sheets, "width": width, "height": height, "across": across, "down": down}
    if shown.rows is not None or number < count:
        about["rows"] = container.add(f"{name}/rows", shown.places.astype(np.int32))
    return about


def small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pictures (M, H, W[, 3]) with at most 64 pixels along a side."""
    height, width = pixels.shape[1:3]
    if max(height, width) <= SIDE:
        return pixels
    factor = SIDE / max(height, width)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.LANCZOS)) for p in pixels])


def _tiled(pictures: NDArray[np.uint8], across: int) -> NDArray[np.uint8]:
    """Return pictures side by side, row by row; what is left of the last row is black."""
    number, height, width = pictures.shape[:3]
    columns, rows = min(across, number), -(-number // across)
    sheet = np.zeros((rows * columns, *pictures.shape[1:]), dtype=np.uint8)
    sheet[:number] = pictures
    grid = sheet.reshape(rows, columns, *pictures.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(grid).reshape(rows * height, columns * width, *pictures.shape[3:])


def _webp(sheet: NDArray[np.uint8], exact: bool) -> bytes:
    image, buffer = Image.fromarray(sheet).convert("RGB"), BytesIO()
    image.save(buffer, "WEBP", lossless=exact, quality=QUALITY, method=2)
    return buffer.getvalue()
