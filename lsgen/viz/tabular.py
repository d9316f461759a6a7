"""Rows of text as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from lsgen.viz.style import GRID, MUTED, Pixels, canvas, headline, rasterise, shortened

__all__ = ["text_table"]

LETTER, LINE, LONGEST = 0.075, 0.2, 120  # inches of a letter and of a line, letters of a cell


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> Pixels:
    """Return a table of text; cells of more than 120 letters are cut.

    Args:
        columns: headings.
        rows: as many cells in each.
        title: a line above them.

    Returns:
        Pixels (H, W, 3).

    """
    cells = [[shortened(cell, LONGEST) for cell in row] for row in rows]
    widths = [LETTER * (2 + max(map(len, column))) for column in zip(columns, *cells, strict=True)]
    width, height = max(4.0, 0.8 + sum(widths)), 1.3 + LINE * (len(rows) + 1)
    with canvas(width, height, right=0.1) as (figure, (ax,)):
        ax.set_position((0.0, 0.0, 1.0, 1.0))
        ax.set(xlim=(0, width), ylim=(height, 0))
        ax.axis("off")
        for line, row in enumerate([columns, *cells]):
            y, x = 0.65 + LINE * line, 0.15
            for cell, size in zip(row, widths, strict=True):
                ax.text(x, y, cell, va="center", fontsize=8, color=MUTED if line == 0 else None, parse_math=False)
                x += size
            ax.axhline(y + LINE / 2, color=GRID, linewidth=0.8)
        headline(figure, title)
        return rasterise(figure)
