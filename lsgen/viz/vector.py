"""Figures for papers: in the common style, as vectors and as pixels."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lsgen.viz.style import RC

__all__ = ["pdf_and_png", "publication"]

_RC: Any = {**RC, "pdf.fonttype": 42, "font.size": 8, "axes.titlesize": 9, "axes.titleweight": "normal"}


@contextmanager
def publication(
    width: float = 6.5, height: float = 2.6, rows: int = 1, columns: int = 1, **options: Any
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure in the common style, and its axes row by row.

    Args:
        width: in inches; 6.5 is the text width of a page, 3.25 that of a column.
        height: in inches.
        rows: of axes.
        columns: of axes.
        options: of matplotlib's `Figure.subplots`, such as `sharey=True`.

    """
    with rc_context(_RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, **options)
        yield figure, list(axes.flat)


def pdf_and_png(figure: Figure, dpi: int = 200) -> dict[str, bytes]:
    """Return a figure as the files "pdf" and "png"; the same figure gives the same bytes."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells every table of a font that it embeds
    files = {}
    with rc_context(_RC):
        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
            buffer = BytesIO()
            figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
            files[kind] = buffer.getvalue()
    return files
