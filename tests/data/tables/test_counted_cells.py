"""Counts of cells from .h5ad files, as they were written."""

import sys

import numpy as np
import pytest
import torch
from scipy import sparse

from lsgen.data import CountedCells

RNG = np.random.default_rng(0)


@pytest.fixture
def cells(tmp_path):
    """Write 12 cells of 5 genes, and return their counts."""
    anndata = pytest.importorskip("anndata", reason="pip install 'lsgen[anndata]'")
    import pandas as pd

    counts = RNG.poisson(0.7, (12, 5))
    table = pd.DataFrame(
        {
            "type": pd.Categorical(["T", "B", None] * 4, categories=["B", "NK", "T"]),
            "donor": ["d2", "d1"] * 6,
            "plate": np.arange(12) % 3 + 7,
            "depth": counts.sum(1) / 2,
        },
        index=[f"cell{number}" for number in range(12)],
    )
    genes = pd.DataFrame(index=[f"g{number}" for number in range(5)])
    written = anndata.AnnData(np.log1p(counts).astype(np.float32), obs=table, var=genes)
    written.layers["counts"] = sparse.csc_matrix(counts.astype(np.float32))
    written.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad", counts


def test_counts_labels_and_covariates(cells):
    path, counts = cells
    options = {"path": str(path), "layer": "counts", "val_size": 2, "test_size": 3}
    data = CountedCells(**options, label="type", covariates=["donor", "plate"])
    assert (data.shape, data.genes) == ((5,), ("g0", "g1", "g2", "g3", "g4"))
    assert (data.classes, data.factor_names, data.factor_sizes) == (("B", "NK", "T"), ("donor", "plate"), (2, 3))
    for split in ("train", "val", "test"):
        dataset = data.dataset(split)
        batch, rows = dataset[torch.arange(len(dataset))], dataset.rows.numpy()
        assert np.array_equal(batch["x"], counts[rows])
        assert batch["label"].tolist() == [(2, 0, -1)[row % 3] for row in rows]
        assert batch["factors"].tolist() == [[1 - row % 2, row % 3] for row in rows]
    assert sparse.issparse(data.dataset("train").source.counts)
    assert set(CountedCells(**options).dataset("val")[torch.tensor([0])]) == {"x"}


def test_what_is_no_count_or_no_column(cells):
    path = str(cells[0])
    with pytest.raises(
        ValueError, match=r"expected counts, 0, 1, 2, \.\.\., in X of .*cells\.h5ad, got 0\.69\d*: data\.layer"
    ):
        CountedCells(path=path)
    with pytest.raises(ValueError, match=r"expected a layer out of counts of .*, got 'raw'"):
        CountedCells(path=path, layer="raw")
    with pytest.raises(ValueError, match="expected a column out of type, donor, plate, depth, got 'tissue'"):
        CountedCells(path=path, layer="counts", label="tissue")
    with pytest.raises(ValueError, match="expected categories in the column 'depth', got floating-point numbers"):
        CountedCells(path=path, layer="counts", covariates=["depth"])
    with pytest.raises(ValueError, match="expected a value of 'type' for every cell, got 4 without"):
        CountedCells(path=path, layer="counts", covariates=["type"])
    cells[0].write_bytes(b"<html></html>")
    with pytest.raises(ValueError, match=r"expected the anndata data in .*cells\.h5ad, got what is cut short"):
        CountedCells(path=path)


def test_without_a_file_or_the_package(tmp_path, monkeypatch):
    data = CountedCells(label="cell_type", covariates=["batch"])
    batch = data.dataset("train")[torch.arange(512)]
    assert (data.classes, data.factor_sizes) == (("A", "B", "C"), (2,))
    means = torch.stack([batch["x"][batch["label"] == kind].mean(0) for kind in range(3)])
    assert (means.amax(0) > 2 * means.amin(0)).sum() > 10  # types differ in many genes
    with pytest.raises(ValueError, match="expected a layer of a file, got 'counts' without a path"):
        CountedCells(layer="counts")
    with pytest.raises(FileNotFoundError, match=r"expected an \.h5ad file at .*, found nothing"):
        CountedCells(path=str(tmp_path / "none.h5ad"))
    (tmp_path / "some.h5ad").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(ImportError, match=r"expected the package anndata, .*: pip install 'lsgen\[anndata\]'"):
        CountedCells(path=str(tmp_path / "some.h5ad"))
