"""Codes with the coordinates of their maps as the table that `lsgen.latent.Codes.load` and `numpy.load` read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lsgen.explorer.contents import Contents
from lsgen.latent import Codes

__all__ = ["write_npz"]


def write_npz(path: str | Path, contents: Contents) -> Path:
    """Write codes, metadata and maps, which are columns MAP/x, MAP/y and MAP/z, and return the path.

    Args:
        path: the file, which ends in .npz.
        contents: codes, metadata and maps.

    Raises:
        ValueError: the path ends in something else.
        OSError: it cannot be written.

    """
    codes, path = contents.codes, Path(path)
    columns = dict(codes.columns)
    for shown in contents.maps:
        for axis, values in zip("xyz", np.asarray(shown.coordinates).T, strict=False):
            columns[f"{shown.name}/{axis}"] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    Codes(codes.z, codes.ids, codes.manifold, columns, codes.scale).save(path)
    return path
