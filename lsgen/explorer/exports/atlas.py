"""Codes for Embedding Atlas: one Parquet file with a map, metadata, codes, pictures and true neighbours.

    embedding-atlas FILE.parquet --x x --y y --neighbors neighbors

opens it, with --image picture where there are pictures. The neighbours are those in the space of codes, by the distance
of its manifold, as {"ids": rows, "distances": ...}; the atlas itself would look for them on the map.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lsgen.explorer.contents import Contents
from lsgen.explorer.exports.columns import map_key, picture_files, plain_columns
from lsgen.extras import from_extra
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["write_atlas"]

K = 15


def write_atlas(path: str | Path, contents: Contents, k: int = K) -> Path:
    """Write the Parquet file of an Embedding Atlas and return its path (extra `parquet`).

    Columns x and y are the first map of two dimensions; NAME_x and NAME_y the others.

    Args:
        path: the file, which ends in .parquet.
        contents: codes, metadata, maps and pictures.
        k: neighbours of each, fewer where there are fewer.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: no map has two dimensions.
        OSError: it cannot be written.

    """
    with from_extra("parquet", "Embedding Atlas reads Parquet, which pyarrow writes"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    codes, flat = contents.codes, [one for one in contents.maps if np.shape(one.coordinates)[1] == 2]
    if not flat:
        raise ValueError("expected a map of two dimensions for Embedding Atlas, got none")
    columns: dict[str, Any] = {"id": pa.array(codes.ids.tolist())}
    for place, shown in enumerate(flat):
        prefix = f"{map_key(shown.name)}_" if place else ""
        x, y = np.asarray(shown.coordinates, dtype=np.float32).T
        columns |= {f"{prefix}x": pa.array(x), f"{prefix}y": pa.array(y)}
    for name, values in plain_columns(contents):
        free = name if name not in (*columns, "code", "neighbors", "picture") else f"{name} (column)"
        columns[free] = pa.array(values.tolist() if values.dtype.kind == "O" else values)
    columns["code"] = pa.array(list(np.asarray(codes.z, dtype=np.float32)), pa.list_(pa.float32()))
    if (k := min(k, len(codes) - 1)) > 0:
        near = nearest_neighbours(codes.tensor(), None, k, distance_on(codes.manifold))
        pairs = zip(near.indices.tolist(), near.distances.tolist(), strict=True)
        kind = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float64()))])
        columns["neighbors"] = pa.array([{"ids": ids, "distances": far} for ids, far in pairs], kind)
    if contents.pictures is not None:
        files = picture_files(contents.pictures, len(codes))
        columns["picture"] = pa.array([None if one is None else {"bytes": one} for one in files])
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path
