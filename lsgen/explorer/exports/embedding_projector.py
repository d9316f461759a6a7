"""Codes for TensorFlow's Embedding Projector: tensors, metadata, one sheet of pictures, and the file that names them.

`tensorboard --logdir DIRECTORY` finds them; https://projector.tensorflow.org takes the .tsv files one by one. Its own
settings centre codes and scale them to unit length, which "Sphereize data" switches off, and it reads at most 100,000
codes. The sheet is a square of at most 8,192 pixels a side, as browsers ask for; pictures are made smaller to fit.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from lsgen.explorer.contents import Contents, Thumbnails
from lsgen.explorer.exports.columns import map_key, plain_columns, texts
from lsgen.runs import write_atomically

__all__ = ["write_projector"]

MOST = 8192  # pixels along a side


def write_projector(directory: str | Path, contents: Contents) -> Path:
    """Write the files of an Embedding Projector into a directory and return it.

    Codes are one tensor, every map is another.

    Args:
        directory: made where it is not there.
        contents: codes, metadata, maps and pictures.

    Raises:
        OSError: it cannot be written.

    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {"codes": np.asarray(contents.codes.z)}
    tensors |= {map_key(shown.name): np.asarray(shown.coordinates) for shown in contents.maps}
    for name, values in tensors.items():
        lines = ("\t".join(f"{value:.7g}" for value in row) for row in values.tolist())
        write_atomically(directory / f"{name}.tsv", "\n".join(lines) + "\n")
    write_atomically(directory / "metadata.tsv", _metadata(contents))
    size = _sheet(directory / "pictures.png", contents.pictures, len(contents.codes))
    config = "".join(_entry(name, size) for name in tensors)
    write_atomically(directory / "projector_config.pbtxt", config)
    return directory


def _metadata(contents: Contents) -> str:
    """Return ids and columns; there are always two or more, as a single one has no header."""
    columns: dict[str, list[str]] = {"id": texts(contents.codes.ids)}
    for name, values in plain_columns(contents):
        columns[" ".join(name.split()) or "column"] = texts(values)
    if len(columns) == 1:
        columns["row"] = [str(row) for row in range(len(contents.codes))]
    rows = ["\t".join(columns), *("\t".join(row) for row in zip(*columns.values(), strict=True))]
    return "\n".join(rows) + "\n"


def _entry(name: str, size: tuple[int, int] | None) -> str:
    lines = [f'tensor_name: "{name}"', f'tensor_path: "{name}.tsv"', 'metadata_path: "metadata.tsv"']
    if size is not None:
        width, height = size
        lines.append(f'sprite {{ image_path: "pictures.png" single_image_dim: {width} single_image_dim: {height} }}')
    return "embeddings {\n  " + "\n  ".join(lines) + "\n}\n"


def _sheet(path: Path, shown: Thumbnails | None, count: int) -> tuple[int, int] | None:
    """Write the pictures of all items, row by row in a square, and return width and height of one; None without any."""
    if shown is None:
        return None
    pixels = shown.pixels()
    across = ceil(count**0.5)
    height, width = pixels.shape[1:3]
    factor = min(1.0, MOST / (across * max(height, width)))
    height, width = max(int(height * factor), 1), max(int(width * factor), 1)
    sheet = Image.new("RGB", (across * width, across * height))
    for row, picture in zip(shown.places.tolist(), pixels, strict=True):
        image = Image.fromarray(picture)
        image = image if factor == 1.0 else image.resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(image, (row % across * width, row // across * height))
    sheet.save(path, "PNG")
    return width, height
