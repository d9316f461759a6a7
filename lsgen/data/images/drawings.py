"""An example of a folder of pictures: discs, squares and triangles in colours, written to the disk once."""

from __future__ import annotations

import os
import tempfile
from math import cos, pi, sin
from pathlib import Path

from PIL import Image, ImageDraw

__all__ = ["example_pictures"]

_SIDE, _COUNT, _DETAIL = 32, 240, 4
_CORNERS = {"disc": 60, "square": 4, "triangle": 3}


def example_pictures() -> Path:
    """Return the folder of 720 pictures of 32 x 32 pixels in the temporary directory, drawn if it is not there."""
    top = Path(tempfile.gettempdir()) / f"lsgen-{os.getuid()}"
    folder = top / "drawings"
    if not folder.is_dir():
        top.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=top) as partial:
            drawn = Path(partial) / "drawings"
            for name, corners in _CORNERS.items():
                (drawn / name).mkdir(parents=True)
                for number in range(_COUNT):
                    _draw(number, corners).save(drawn / name / f"{number:03d}.png")
            try:
                drawn.rename(folder)
            except OSError:  # another process was faster
                if not folder.is_dir():
                    raise
    return folder


def _draw(number: int, corners: int) -> Image.Image:
    """Return a picture whose hue, angle, size and place follow from its number, each by a step of its own."""
    hue, angle, size, x, y = (number * step % 1 for step in (0.618, 0.414, 0.732, 0.236, 0.646))
    side = _SIDE * _DETAIL
    image = Image.new("HSV", (side, side), (0, 0, 30))
    radius = side * (0.15 + 0.15 * size)
    centre = [side * (0.35 + 0.3 * place) for place in (x, y)]
    turns = [2 * pi * (corner + angle) / corners for corner in range(corners)]
    outline = [(centre[0] + radius * cos(turn), centre[1] + radius * sin(turn)) for turn in turns]
    ImageDraw.Draw(image).polygon(outline, fill=(int(255 * hue), 200, 240))
    return image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
