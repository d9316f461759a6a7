"""The explorer of codes as one self-contained HTML file."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from lsgen.explorer.container import Container, as_json
from lsgen.explorer.contents import Contents
from lsgen.explorer.encoding import header_of
from lsgen.runs import write_atomically
from lsgen.version import __version__

__all__ = ["render", "write_page"]

# In this order: what a script uses at once stands before it. Panels appear in the order of their scripts.
SCRIPTS = (
    "container.js",
    "store.js",
    "elements.js",
    "colours.js",
    "charts.js",
    "decoder.js",
    "onnx.js",
    "panels.js",
    "map_canvas.js",
    "map_regl.js",
    "map_webgl.js",
    "axes.js",
    "overlay.js",
    "map.js",
    "contours.js",
    "filter.js",
    "toolbar.js",
    "trust.js",
    "inspector.js",
    "table.js",
    "neighbours.js",
    "curves.js",
    "pullback.js",
    "directions.js",
    "comparison.js",
    "marginals.js",
    "faithfulness.js",
    "background.js",
    "tiles.js",
    "groups.js",
    "paths.js",
    "analogies.js",
    "attributes.js",
    "dimensions.js",
    "scores.js",
    "compare.js",
    "saving.js",
    "main.js",
)
STYLES = ("explorer.css", "computed.css")


def write_page(path: str | Path, contents: Contents) -> Path:
    """Write the page of some codes and return its path.

    The same contents give the same bytes. The page needs no network, no server and nothing beside it.

    Args:
        path: where the page goes.
        contents: what it shows.

    Raises:
        OSError: it cannot be written.

    """
    path = Path(path)
    write_atomically(path, render(contents))
    return path


def render(contents: Contents) -> str:
    """Return the page of some codes."""
    container = Container()
    header = header_of(contents, container)
    header |= {"arrays": container.index, "lsgen": __version__}
    blocks = "\n".join(
        f'<script type="text/plain" data-array="{escape(name)}">{text}</script>' for name, text in container.blocks()
    )
    return Template(_asset("page/explorer.html")).substitute(
        title=escape(contents.title),
        style="\n".join(_asset(f"page/{name}") for name in STYLES),
        header=as_json(header),
        blocks=blocks,
        vendor=_asset("vendor/bundle.js"),
        script="\n".join(_asset(f"page/{name}") for name in SCRIPTS),
        version=__version__,
    )


def _asset(name: str) -> str:
    return files("lsgen.explorer").joinpath(name).read_text(encoding="utf-8")
