"""Stationary states of the totally asymmetric exclusion process at the nodes of a grid of rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.draws import Purpose, key
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.physics.parameter_grid import ParameterGrid
from lsgen.data.physics.tasep_exact import check_rates, draw_tasep
from lsgen.data.splits import random_split

__all__ = ["Tasep"]


class Tasep(DataModule):
    """Occupations (L,) of the sites of an exclusion process with open boundaries, 1 for a particle, at a grid of rates.

    The factors of a state are the numbers of its node along both rates; `parameters` gives their values. States are
    independent and drawn exactly; they depend on loading.split_seed alone.

    Args:
        shape: (L,) that the configuration states; None for that.
        sites: L, at least 2.
        grid: box of the rates of entering and of leaving, its nodes, and states at each.
        held_out: states held out for validation and for the test, numbers or fractions.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        parameters: rates (alpha, beta) of all nodes, float64 (G, 2), the second varying fastest.

    Raises:
        ValueError: an option is out of its range; a rate is not above 0.

    """

    factor_names = ("alpha", "beta")

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        sites: int = 32,
        grid: ParameterGrid | Mapping[str, Any] = ParameterGrid((0.1, 0.1), (0.9, 0.9)),
        held_out: Sequence[int | float] = (0.1, 0.1),
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if sites < 2:
            raise ValueError(f"expected at least 2 sites, got {sites}")
        super().__init__(shape, (sites,), AsStored(2), batch_size, seed, loading)
        self.grid = ParameterGrid.of(grid)
        check_rates(*self.grid.low)
        val_size, test_size = held_out
        self._rows = random_split(self.grid.total, {"val_size": val_size, "test_size": test_size}, self.split_seed)
        self.parameters, self.factor_sizes = self.grid.nodes, tuple(self.grid.sizes)

    def build(self, split: Split) -> BatchDataset:
        """Return the states of a split."""
        return self.subset(self._source, self._rows[split], split)

    @cached_property
    def _source(self) -> TensorSource:
        node: Tensor = self.parameters.repeat(self.grid.each, 1)
        random = np.random.default_rng(key(self.split_seed, Purpose.SYNTHESIS))
        x = draw_tasep(node[:, 0], node[:, 1], self.shape[0], random)
        return TensorSource(x=x, factors=self.grid.factors())
