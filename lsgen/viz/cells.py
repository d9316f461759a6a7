"""Cells of grids that are no single picture: sentences, and cells of several kinds together.

All pictures of an observation lie side by side, in as many rows as make them least wide, words below them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from lsgen.viz.image_grid import broken, font
from lsgen.viz.images import upscale
from lsgen.viz.style import INK, MUTED, Pixels

__all__ = ["composed", "lines_needed", "written"]

_SIZE, _LINE, _PAD = 10, 12, 3
_PAGE = "#f4f6f9"
_LINE_BETWEEN = np.array(ImageColor.getrgb(MUTED), dtype=np.uint8)
_IN_A_ROW = 3  # pictures that lie in one row


def written(texts: Sequence[str], width: int = 96, lines: int = 4) -> Pixels:
    """Return texts as cells of one size, broken into lines; an ellipsis ends what does not fit.

    Args:
        texts: N texts.
        width: of a cell, in pixels.
        lines: of a cell.

    Returns:
        Pixels (N, H, W, 3).

    Raises:
        ValueError: there is no room for a letter.

    """
    if width < 2 * _LINE or lines < 1:
        raise ValueError(f"expected cells of at least {2 * _LINE} pixels and 1 line, got {width} and {lines}")
    size = (width, lines * _LINE + 2 * _PAD)
    known: dict[str, Pixels] = {}
    for text in texts:
        if text not in known:
            known[text] = _page(_broken(text, width - 2 * _PAD), size, lines)
    return np.stack([known[text] for text in texts]) if texts else np.empty((0, *size[::-1], 3), np.uint8)


def lines_needed(texts: Sequence[str], width: int = 96) -> int:
    """Return how many lines the longest of some texts takes in a cell, at least 1."""
    return max((len(_broken(text, width - 2 * _PAD)) for text in set(texts)), default=1)


def composed(pictures: Sequence[Pixels], words: Sequence[Pixels] = (), smallest: int = 48) -> Pixels:
    """Return several cells of each observation as one, thin lines between them.

    Args:
        pictures: cells (N, H, W, 3) of one kind each, side by side in rows; smaller ones are enlarged by whole factors.
        words: cells (N, H', W', 3) below them.
        smallest: all pictures together are enlarged until they have so many pixels along each side.

    Returns:
        Pixels (N, H'', W'', 3), at least as many along each side.

    Raises:
        ValueError: there is no cell, or the kinds have different numbers of observations.

    """
    cells = [*pictures, *words]
    if not cells or len({len(cell) for cell in cells}) != 1:
        raise ValueError(f"expected cells of as many observations each, got {[len(cell) for cell in cells]}")
    rows = [*([upscale(_tiled(pictures), smallest)] if pictures else []), *words]
    width = max(row.shape[2] for row in rows)
    page = _joined([_centred(row, row.shape[1], width) for row in rows], 1)
    return _centred(page, max(page.shape[1], smallest), max(width, smallest))


def _tiled(pictures: Sequence[Pixels]) -> Pixels:
    """Return pictures in rows, three of them in one row and more in rows of about as many as there are rows."""
    count = len(pictures)
    across = count if count <= _IN_A_ROW else ceil(sqrt(count))
    least = max(min(picture.shape[1:3]) for picture in pictures)
    enlarged = [_to_side(picture, least) for picture in pictures]
    height, width = (max(picture.shape[side] for picture in enlarged) for side in (1, 2))
    if count <= _IN_A_ROW:
        return _joined([_centred(picture, height, picture.shape[2]) for picture in enlarged], 2)
    boxes = [_centred(picture, height, width) for picture in enlarged]
    rows = [_joined(boxes[first : first + across], 2) for first in range(0, count, across)]
    return _joined([_centred(row, height, rows[0].shape[2]) for row in rows], 1)


def _to_side(picture: Pixels, side: int) -> Pixels:
    """Return pictures enlarged by the greatest whole factor that leaves their shorter side within some pixels."""
    shorter = min(picture.shape[1:3])
    return upscale(picture, shorter * max(1, side // shorter))


def _joined(parts: Sequence[Pixels], axis: int) -> Pixels:
    """Return cells next to each other with a line between them."""
    shape = list(parts[0].shape)
    shape[axis] = 1
    line = np.broadcast_to(_LINE_BETWEEN, shape)
    return np.concatenate([piece for part in parts for piece in (line, part)][1:], axis=axis)


def _centred(picture: Pixels, height: int, width: int) -> Pixels:
    """Return pictures in the middle of boxes in the colour of the page."""
    down, across = height - picture.shape[1], width - picture.shape[2]
    if not down and not across:
        return picture
    page = np.empty((len(picture), height, width, 3), dtype=np.uint8)
    page[:] = ImageColor.getrgb(_PAGE)
    page[:, down // 2 : down // 2 + picture.shape[1], across // 2 : across // 2 + picture.shape[2]] = picture
    return page


def _page(broken: Sequence[str], size: tuple[int, int], lines: int) -> Pixels:
    shown = list(broken[:lines])
    if len(broken) > lines:
        shown[-1] = _cut(f"{shown[-1]} …", size[0] - 2 * _PAD)
    page = Image.new("RGB", size, ImageColor.getrgb(_PAGE))
    draw = ImageDraw.Draw(page)
    top = _PAD + (lines - len(shown)) * _LINE / 2
    for number, line in enumerate(shown):
        draw.text((size[0] / 2, top + number * _LINE + _LINE / 2), line, INK, font(_SIZE), anchor="mm")
    return np.asarray(page)


def _broken(text: str, width: int) -> list[str]:
    """Return the lines of a text; a word that is too long for a line is cut."""
    return [_cut(line, width) for line in broken(text, lambda line: _length(line) <= width)]


def _cut(line: str, width: int) -> str:
    if _length(line) <= width:
        return line
    body = line.removesuffix("…").rstrip()
    while body and _length(f"{body}…") > width:
        body = body[:-1]
    return f"{body}…"


def _length(line: str) -> float:
    return font(_SIZE).getlength(line)
