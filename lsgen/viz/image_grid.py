"""Labelled grids of images, pasted into a template that is drawn once for all frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from lsgen.viz.images import upscale
from lsgen.viz.style import INK, MUTED, PAPER, Pixels

__all__ = ["MARGIN", "TextLine", "animate", "broken", "captioned", "extent", "font", "grid", "in_rows", "template"]

MARGIN = 10  # pixels around everything
_PAD, _GAP, _SIZE = 2, 12, 12
_LINE, _WRITTEN = 15, 11  # height of a line under a picture, and size of its letters


def grid(
    images: Pixels,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    title: str = "",
    gaps: Sequence[int] = (),
    smallest: int = 48,
) -> Pixels:
    """Return one picture of images laid out in rows and columns.

    Args:
        images: pixels (R, C, H, W, 3).
        rows: a label for each row, to its left.
        columns: a label for each column, above it.
        title: a line above everything.
        gaps: columns before which a wider gap separates blocks.
        smallest: images are enlarged by a whole factor until their sides have this many pixels.

    Returns:
        Pixels (H', W', 3).

    Raises:
        ValueError: images or labels have the wrong shape or number.

    """
    return animate(images[None], rows, columns, title, gaps, smallest)[0]


def animate(
    images: Pixels,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    title: str = "",
    gaps: Sequence[int] = (),
    smallest: int = 48,
) -> Pixels:
    """Return the frames (T, H', W', 3) of a grid whose images (T, R, C, H, W, 3) change; see `grid`."""
    if images.ndim != 6 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(f"expected uint8 images (R, C, H, W, 3), got {images.dtype} {images.shape[1:]}")
    for name, labels, count in (("row", rows, images.shape[1]), ("column", columns, images.shape[2])):
        if labels is not None and len(labels) != count:
            raise ValueError(f"expected {count} {name} labels, got {len(labels)}")
    images = upscale(images, smallest)
    _, R, C, H, W, _ = images.shape
    left = MARGIN + (max(extent(label)[0] for label in rows) + 8 if rows else 0)
    top = MARGIN + (24 if title else 0) + (20 if columns else 0)
    x = [left + c * (W + _PAD) + _GAP * sum(gap <= c for gap in gaps if gap) for c in range(C)]
    y = [top + r * (H + _PAD) for r in range(R)]
    width = max(x[-1] + W, MARGIN + extent(title, 13)[0]) + MARGIN
    page = template((y[-1] + H + MARGIN, width), title)
    draw = ImageDraw.Draw(page)
    for label, row in zip(rows or (), y, strict=False):
        draw.text((left - 8, row + H / 2), label, INK, font(_SIZE), anchor="rm")
    for label, column in zip(columns or (), x, strict=False):
        draw.text((column + W / 2, top - 6), label, MUTED, _fitting(label, W), anchor="ms")
    frames = np.repeat(np.asarray(page)[None], len(images), axis=0)
    for r, row in enumerate(y):
        for c, column in enumerate(x):
            frames[:, row : row + H, column : column + W] = images[:, r, c]
    return frames


def in_rows(images: Pixels, columns: int) -> Pixels:
    """Return images (N, H, W, 3) in rows of `columns`, (R, columns, H, W, 3); places left over are white."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    empty = ((0, rows * columns - len(images)), (0, 0), (0, 0), (0, 0))
    return np.pad(images, empty, constant_values=255).reshape(rows, columns, *images.shape[1:])


class TextLine(NamedTuple):
    """A text under a picture, and its colour; it is broken where it is wider than the picture."""

    text: str
    colour: str = INK


def captioned(
    images: Pixels, lines: Sequence[Sequence[TextLine]], columns: int = 4, title: str = "", width: int = 200
) -> Pixels:
    """Return pictures in rows with lines of text under each.

    Args:
        images: pixels (N, H, W, 3).
        lines: what stands under each picture, from the top down.
        columns: pictures in a row.
        title: a line above everything.
        width: pictures are enlarged by a whole factor until both sides have so many pixels at least.

    Returns:
        Pixels (H', W', 3).

    Raises:
        ValueError: there is no picture, or lines for more or fewer.

    """
    if images.ndim != 4 or not len(images) or len(lines) != len(images):
        raise ValueError(f"expected lines for each of some pictures, got {len(lines)} for {images.shape}")
    images = upscale(images, width)
    n, height, width, _ = images.shape
    columns = min(columns, n)

    def fits(line: str) -> bool:
        return extent(line, _WRITTEN)[0] <= width

    written = [[TextLine(part, one.colour) for one in own for part in broken(one.text, fits)] for own in lines]
    rows = range(0, n, columns)
    heights = [height + _LINE * max(map(len, written[row : row + columns])) + _GAP for row in rows]
    top = MARGIN + (24 if title else 0)
    total = max(columns * (width + _GAP) - _GAP, extent(title, 13)[0]) + 2 * MARGIN
    page = template((top + sum(heights) + MARGIN, total), title)
    draw = ImageDraw.Draw(page)
    for i, (pixels, own) in enumerate(zip(images, written, strict=True)):
        row, column = divmod(i, columns)
        x, y = MARGIN + column * (width + _GAP), top + sum(heights[:row])
        page.paste(Image.fromarray(pixels), (x, y))
        for j, line in enumerate(own):
            draw.text((x, y + height + 2 + j * _LINE), line.text, line.colour, font(_WRITTEN))
    return np.asarray(page)


def broken(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Return a text as lines, at least one, that fit, but for words that do not."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and not fits(longer):
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def template(size: tuple[int, int], title: str) -> Image.Image:
    """Return an empty picture of a height and a width with a title."""
    page = Image.new("RGB", (size[1], size[0]), ImageColor.getrgb(PAPER))
    ImageDraw.Draw(page).text((MARGIN, MARGIN), title, INK, font(13))
    return page


def _fitting(label: str, width: int) -> ImageFont.FreeTypeFont:
    """Return the largest font from 12 down to 7 in which the label is no wider than its column."""
    return next((font(s) for s in range(_SIZE, 7, -1) if extent(label, s)[0] <= width), font(7))


def extent(label: str, size: int = _SIZE) -> tuple[int, int]:
    """Return width and height of a line in pixels."""
    left, top, right, bottom = font(size).getbbox(label)
    return int(right - left), int(bottom - top)


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font of labels in a size in pixels."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)
