"""Tables of measurements embedded in scikit-learn, every column standardised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split
from lsgen.data.transforms import BatchTransform, Missing, missing_values

__all__ = ["Table"]

_TABLES = {"breast_cancer": (569, 30), "diabetes": (442, 10), "iris": (150, 4), "wine": (178, 13)}


class Table(DataModule):
    """Rows of a table, (columns,), with mean 0 and standard deviation 1 over the training split.

    The label is the class, where the table has classes: all but "diabetes".

    Args:
        shape: (columns,).
        name: "breast_cancer" (569 rows of 30), "diabetes" (442 of 10), "iris" (150 of 4) or "wine" (178 of 13).
        missing: share of values that are missing completely at random, or a `Missing` that states the mechanism too;
            batches have "observed" if it is not 0.
        val_size: rows held out for validation, a number or a fraction.
        test_size: rows held out for the test, a number or a fraction.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.

    Reference: Dua & Graff, UCI machine learning repository (2019); Efron et al. (2004) for "diabetes".
    """

    def __init__(
        self,
        shape: Sequence[int] = (30,),
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
        rows, columns = _TABLES[name]
        super().__init__(shape, (columns,), AsStored(None), batch_size, seed, loading)
        self.table = name
        self._rows = random_split(rows, {"val_size": val_size, "test_size": test_size}, loading.split_seed)
        self._gaps = missing_values(self.shape, missing, loading.split_seed)

    @cached_property
    def _source(self) -> TensorSource:
        from sklearn import datasets

        load: Callable[..., Any] = getattr(datasets, f"load_{self.table}")
        values, target = load(return_X_y=True)
        x: Tensor = torch.from_numpy(values)
        seen = x[self._rows["train"].to(torch.int64)]
        x = ((x - seen.mean(0)) / seen.std(0, correction=0).clamp(min=torch.finfo(x.dtype).tiny)).float()
        if self.table == "diabetes":
            return TensorSource(x=x)
        return TensorSource(x=x, label=torch.from_numpy(target).to(torch.int64))

    def build(self, split: Split) -> BatchDataset:
        """Return the rows of a split."""
        transforms: list[BatchTransform] = []
        if self._gaps is not None:
            transforms.append(self._gaps.fit(self._source.tensors["x"][self._rows["train"].to(torch.int64)]))
        return self.subset(self._source, self._rows[split], split, transforms=transforms)
