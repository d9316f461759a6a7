"""Counts of molecules in cells, from the files of the package anndata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from lsgen.data.batches import BatchDataset
from lsgen.data.encodings import AsStored
from lsgen.data.files import reading
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.sparse import SparseCounts
from lsgen.data.splits import random_split
from lsgen.extras import from_extra

__all__ = ["CountedCells"]

_TYPES, _BATCHES, _GENES, _CELLS = 3, 2, 60, 640


class CountedCells(DataModule):
    """Counts of an .h5ad file, (genes,); label and covariates are columns of its table of observations.

    Counts are kept sparse. Without a file there are 640 cells that are drawn: three types of cells in two batches, 60
    genes with negative binomial counts; their columns are "cell_type" and "batch".

    Args:
        shape: (genes,); None for as many as there are.
        path: the file; cells that are drawn where it is None.
        layer: the layer that has the counts; X where it is None.
        label: the column that is the label, -1 where it is empty; none where it is None.
        covariates: columns that are the factors, such as batch and donor; they are categories.
        val_size: cells held out for validation, a number or a fraction.
        test_size: cells held out for the test, a number or a fraction.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        genes: names of the genes, in the order of x.
        classes: names of the labels 0, 1, ...; empty if there are none.

    Raises:
        ValueError: an option is out of its range, the file is damaged, lacks a column, or has no counts.
        FileNotFoundError: there is no such file.
        ImportError: the package anndata is not installed.

    Reference: Virshup et al., "anndata: access and store annotated data matrices" (2024); Lopez et al. (2018), scVI,
    for counts with covariates.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        path: str | None = None,
        layer: str | None = None,
        label: str | None = None,
        covariates: Sequence[str] = (),
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if path is None and layer is not None:
            raise ValueError(f"expected a layer of a file, got {layer!r} without a path")
        if isinstance(covariates, str):
            raise ValueError(f"expected covariates to be a list of columns, got {covariates!r}")
        counts, columns, genes = _drawn() if path is None else _read(Path(path).expanduser(), layer)
        self._counts, self.genes = _checked(counts, path or "the drawn cells", layer), genes
        super().__init__(shape, (self._counts.shape[1],), AsStored(None), batch_size, seed, loading)
        self.classes: tuple[str, ...] = ()
        self._entries: dict[str, Tensor] = {}
        if label is not None:
            self.classes, codes = _codes(columns, label)
            self._entries["label"] = torch.from_numpy(codes)
        if covariates:
            found = [_codes(columns, name, whole=True) for name in covariates]
            self.factor_names = tuple(covariates)
            self.factor_sizes = tuple(len(names) for names, _ in found)
            self._entries["factors"] = torch.from_numpy(np.stack([values for _, values in found], 1))
        held_out = {"val_size": val_size, "test_size": test_size}
        self._rows = random_split(self._counts.shape[0], held_out, loading.split_seed)

    def build(self, split: Split) -> BatchDataset:
        """Return the cells of a split."""
        return self.subset(self._source, self._rows[split], split)

    @cached_property
    def _source(self) -> SparseCounts:
        return SparseCounts(self._counts, **self._entries)


Columns = Mapping[str, Any]


def _read(file: Path, layer: str | None) -> tuple[Any, Columns, tuple[str, ...]]:
    """Return counts, columns of observations and names of genes."""
    if not file.is_file():
        raise FileNotFoundError(f"expected an .h5ad file at {file}, found nothing")
    with from_extra("anndata", "expected the package anndata, which reads .h5ad"):
        from anndata import read_h5ad
    with reading("anndata", file):
        cells = read_h5ad(file)
    if layer is not None and layer not in cells.layers:
        raise ValueError(f"expected a layer out of {', '.join(cells.layers) or 'none'} of {file}, got {layer!r}")
    counts = cells.X if layer is None else cells.layers[layer]
    if counts is None:
        raise ValueError(f"expected counts in X of {file}, got none: data.layer names another matrix")
    return counts, {name: cells.obs[name] for name in cells.obs}, tuple(map(str, cells.var_names))


def _checked(counts: Any, where: str, layer: str | None) -> Any:
    """Return counts in rows, or refuse what are none."""
    rows = sparse.csr_matrix(counts)
    values = rows.data
    wrong = ~(np.isfinite(values) & (values >= 0) & (values == np.floor(values)))
    if wrong.any():
        matrix = "X" if layer is None else layer
        raise ValueError(
            f"expected counts, 0, 1, 2, ..., in {matrix} of {where}, got {values[wrong][0]:g}: "
            "data.layer names the matrix that has them"
        )
    if not min(rows.shape):
        raise ValueError(f"expected cells and genes in {where}, got {rows.shape[0]} and {rows.shape[1]}")
    return rows


def _codes(columns: Columns, name: str, whole: bool = False) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the categories of a column, and their numbers, -1 where it is empty."""
    if name not in columns:
        raise ValueError(f"expected a column out of {', '.join(columns) or 'none'}, got {name!r}")
    column = columns[name]
    if isinstance(column, np.ndarray):
        categories, codes = np.unique(column, return_inverse=True)
    elif column.dtype.kind == "f":
        raise ValueError(f"expected categories in the column {name!r}, got floating-point numbers")
    else:
        column = column.astype("category")
        categories, codes = column.cat.categories, column.cat.codes.to_numpy().astype(np.int64)
    if whole and (codes < 0).any():
        raise ValueError(f"expected a value of {name!r} for every cell, got {(codes < 0).sum()} without")
    return tuple(map(str, categories)), codes


def _drawn() -> tuple[Any, Columns, tuple[str, ...]]:
    """Return cells whose genes depend on their type, and less on their batch, with negative binomial counts."""
    rng = np.random.default_rng(0)
    kind, batch = rng.integers(_TYPES, size=_CELLS), rng.integers(_BATCHES, size=_CELLS)
    by_kind = rng.normal(0, 1, (_TYPES, _GENES)) * (rng.random((_TYPES, _GENES)) < 0.4)
    log_mean = rng.normal(0, 1, _GENES) + by_kind[kind] + 0.3 * rng.normal(0, 1, (_BATCHES, _GENES))[batch]
    depth = rng.lognormal(0, 0.3, (_CELLS, 1))
    counts = rng.poisson(rng.gamma(2.0, depth * np.exp(log_mean) / 2.0))
    columns = {"cell_type": np.array(["A", "B", "C"])[kind], "batch": np.array(["first", "second"])[batch]}
    return counts, columns, tuple(f"gene_{number}" for number in range(_GENES))
