"""Codes for scanpy and other readers of AnnData: an .h5ad file whose `obsm` holds codes and maps.

    obs                     the metadata of each item, by its name
    obsm["X_latent"]        the codes
    obsm["X_latent_scale"]  standard deviations of their posteriors, where there are any
    obsm["X_pca"], ...      maps, by name
    uns["lsgen"]            what the page says of the codes

There is no X: observations are not exported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lsgen.explorer.contents import Contents
from lsgen.explorer.exports.columns import map_key, plain_columns, texts

__all__ = ["write_anndata"]


def write_anndata(path: str | Path, contents: Contents) -> Path:
    """Write an .h5ad file and return its path (extra `anndata`).

    Args:
        path: the file, which ends in .h5ad.
        contents: codes, metadata and maps.

    Raises:
        ImportError: anndata is not installed.
        OSError: it cannot be written.

    """
    try:
        import anndata
    except ImportError as error:
        raise ImportError(f".h5ad files are written by anndata: pip install 'lsgen[anndata]' ({error})") from error
    codes = contents.codes
    obs: dict[str, Any] = {}
    for name, values in plain_columns(contents):
        key = name.replace("/", "_") if name not in ("id", "_index") else f"{name} (column)"
        obs[key] = texts(values) if values.dtype.kind in "OM" else values
    obsm = {"X_latent": np.asarray(codes.z)}
    if codes.scale is not None:
        obsm["X_latent_scale"] = np.asarray(codes.scale)
    obsm |= {f"X_{map_key(shown.name)}": np.asarray(shown.coordinates) for shown in contents.maps}
    facts = {"title": contents.title, "manifold": str(codes.manifold)}
    facts |= {name.replace("/", "_"): str(value) for name, value in contents.facts.items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = anndata.AnnData(obs=obs or None, obsm=obsm, uns={"lsgen": facts}, shape=(len(codes), 0))
    table.obs_names = texts(codes.ids)
    table.write_h5ad(path)
    return path
