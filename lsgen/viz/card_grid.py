"""Tables whose cells hold cards: lines of text one below another, or pictures side by side with a line under each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from lsgen.viz.image_grid import MARGIN, extent, font, template
from lsgen.viz.images import upscale
from lsgen.viz.style import GRID, INK, MUTED, SERIES, Pixels, shortened

__all__ = ["Card", "cards"]

_GAP, _LINE, _LONGEST = 10, 15, 22


@dataclass(frozen=True)
class Card:
    """One entry of a cell.

    Attributes:
        text: a line; one that is too long is cut.
        image: pixels (H, W, 3) over it.
        marked: whether it is drawn in the colour of warnings.

    """

    text: str
    image: Pixels | None = None
    marked: bool = False

    @property
    def line(self) -> str:
        """The line as it is drawn."""
        return shortened(self.text, _LONGEST)


def cards(
    cells: Sequence[Sequence[Sequence[Card]]],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    smallest: int = 40,
) -> Pixels:
    """Return a table of cards as one picture.

    Args:
        cells: cards by row and column.
        rows: a label for each row, to its left.
        columns: a label for each column, above it.
        title: a line above everything.
        smallest: pictures are enlarged by a whole factor until their sides have this many pixels.

    Returns:
        Pixels (H, W, 3).

    Raises:
        ValueError: there is no row, or labels and cells are not as many.

    """
    if not cells or len(rows) != len(cells) or any(len(row) != len(columns) for row in cells):
        shape = f"{len(cells)} rows of {sorted({len(row) for row in cells})} cells"
        raise ValueError(f"expected cells for {len(rows)} rows and {len(columns)} columns, got {shape}")
    sizes = [[_size(cell, smallest) for cell in row] for row in cells]
    widths = [max([extent(name, 11)[0], *(row[c][0] for row in sizes)]) + _GAP for c, name in enumerate(columns)]
    heights = [max(height for _, height in row) + 6 for row in sizes]
    left = MARGIN + max(extent(label)[0] for label in rows) + _GAP
    top = MARGIN + (24 if title else 0) + 20
    width = max(left + sum(widths), MARGIN + extent(title, 13)[0]) + MARGIN
    page = template((top + sum(heights) + MARGIN, width), title)
    draw = ImageDraw.Draw(page)
    x = [left + sum(widths[:c]) for c in range(len(widths))]
    for at, label in zip(x, columns, strict=True):
        draw.text((at, top - 6), label, MUTED, font(11), anchor="ls")
    for r, (row, label) in enumerate(zip(cells, rows, strict=True)):
        y = top + sum(heights[:r])
        draw.line([(MARGIN, y - 3), (width - MARGIN, y - 3)], GRID)
        draw.text((left - _GAP, y + (heights[r] - 6) / 2), label, INK, font(12), anchor="rm")
        for at, cell in zip(x, row, strict=True):
            _draw(page, draw, cell, at, y, smallest)
    return np.asarray(page)


def _size(cell: Sequence[Card], smallest: int) -> tuple[int, int]:
    if any(card.image is not None for card in cell):
        shapes = [_picture(card, smallest).shape for card in cell]
        return sum(shape[1] + 2 for shape in shapes), max(shape[0] for shape in shapes) + _LINE
    return max((extent(card.line, 11)[0] for card in cell), default=0), max(1, len(cell)) * _LINE


def _draw(page: Image.Image, draw: ImageDraw.ImageDraw, cell: Sequence[Card], x: int, y: int, smallest: int) -> None:
    for i, card in enumerate(cell):
        colour = SERIES[1] if card.marked else (INK if i == 0 else MUTED)
        if card.image is None:
            draw.text((x, y + i * _LINE), card.line, colour, font(11))
            continue
        pixels = _picture(card, smallest)
        page.paste(Image.fromarray(pixels), (x, y))
        draw.text((x, y + pixels.shape[0] + 1), card.line, colour, font(10))
        x += pixels.shape[1] + 2


def _picture(card: Card, smallest: int) -> Pixels:
    """Return the pixels of a card, enlarged, and as wide as its line."""
    image = np.zeros((1, 1, 3), np.uint8) if card.image is None else card.image
    pixels = upscale(image, smallest)
    missing = max(0, extent(card.line, 10)[0] - pixels.shape[1])
    return np.pad(pixels, ((0, 0), (0, missing), (0, 0)), constant_values=255)
