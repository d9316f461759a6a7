r"""Configurations of the two-dimensional Ising model at the nodes of a grid of parameters.

    E = - sum_<ij> s_i s_j,    M = sum_i s_i,    p(s | T, H) = exp(-(E - H M)/T) / Z,    s_i = +-1,

on an L x L lattice with periodic boundaries. It is an exponential family in the natural coordinates (1/T, H/T), with
the sufficient statistics (-E, M); in these alone the Fisher metric is the Hessian of log Z.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.data.batches import BatchDataset, Source, TensorSource
from lsgen.data.draws import Purpose, key
from lsgen.data.encodings import AsStored
from lsgen.data.files import data_root
from lsgen.data.loading import Loading
from lsgen.data.mapped import MappedPictures, PictureCache
from lsgen.data.module import DataModule, Split
from lsgen.data.physics.parameter_grid import ParameterGrid
from lsgen.data.physics.spin_updates import Update, draw_spins
from lsgen.data.splits import random_split

__all__ = ["Ising"]

Coordinates = Literal["natural", "physical"]
_SITES = 2**20  # updated together
_IN_MEMORY = 2**24  # spins; more are kept in a file


class Ising(DataModule):
    """Spins (1, L, L) of the Ising model, 1 for up and 0 for down, at a grid of temperatures and fields.

    The factors of a configuration are the numbers of its node along both parameters; `parameters` gives their values.
    Every configuration ends a Markov chain of its own. They depend on loading.split_seed alone, and are drawn when they
    are first asked for; more than 2^24 spins are kept in a file below root/physics, with a progress bar.

    Args:
        shape: (1, L, L), L even and at least 4.
        root: directory of data sets.
        grid: box of parameters, its nodes, and configurations at each.
        coordinates: what the parameters are: "natural" (1/T, H/T) or "physical" (T, H).
        update: a step of a chain is a sweep of the heat bath, after a flip of clusters unless this is "checkerboard".
        steps: steps of each chain.
        held_out: configurations held out for validation and for the test, numbers or fractions.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        parameters: values of the parameters at all nodes, float64 (G, 2), the second varying fastest.

    Raises:
        ValueError: an option is out of its range; a temperature is not above 0.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = (1, 8, 8),
        root: str | Path = "data",
        grid: ParameterGrid | Mapping[str, Any] = ParameterGrid((0.2, -0.4), (0.5, 0.4)),
        coordinates: Coordinates = "natural",
        update: Update = "swendsen_wang",
        steps: int = 20,
        held_out: Sequence[int | float] = (0.1, 0.1),
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        lattice = (1, 8, 8) if shape is None else tuple(int(size) for size in shape)
        if len(lattice) != 3 or lattice[0] != 1 or lattice[1] != lattice[2] or lattice[1] < 4 or lattice[1] % 2:
            raise ValueError(
                f"expected shape (1, L, L with L even and at least 4), which {self._name} provides, got {lattice}"
            )
        super().__init__(lattice, lattice, AsStored(2), batch_size, seed, loading)
        self.grid, self.coordinates, self.update, self.steps = ParameterGrid.of(grid), coordinates, update, steps
        for name, value, known in (("coordinates", coordinates, Coordinates), ("update", update, Update)):
            if value not in get_args(known):
                raise ValueError(f"expected {name} to be one of {', '.join(get_args(known))}, got {value!r}")
        if steps < 1:
            raise ValueError(f"expected at least 1 step of each chain, got {steps}")
        if self.grid.low[0] < 0 or (coordinates == "physical" and self.grid.low[0] == 0):
            what = "temperatures above 0" if coordinates == "physical" else "inverse temperatures of at least 0"
            raise ValueError(f"expected {what}, got {self.grid.low[0]}")
        val_size, test_size = held_out
        self._rows = random_split(self.grid.total, {"val_size": val_size, "test_size": test_size}, self.split_seed)
        self.parameters, self.factor_sizes = self.grid.nodes, tuple(self.grid.sizes)
        self.factor_names = ("1/T", "H/T") if coordinates == "natural" else ("T", "H")
        self._root = root

    @property
    def natural_parameters(self) -> Tensor:
        """The natural coordinates (1/T, H/T) of all nodes, float64 (G, 2)."""
        if self.coordinates == "natural":
            return self.parameters
        temperature, field = self.parameters.unbind(-1)
        return torch.stack([1 / temperature, field / temperature], dim=-1)

    def prepare_data(self) -> None:
        """Draw the configurations in one process, where they are kept in a file."""
        if self._in_file:
            self._cache.build(self._blocks)

    def build(self, split: Split) -> BatchDataset:
        """Return the configurations of a split."""
        return self.subset(self._source, self._rows[split], split)

    @property
    def _in_file(self) -> bool:
        return self.grid.total * prod(self.shape) > _IN_MEMORY

    @cached_property
    def _source(self) -> Source:
        factors = self.grid.factors()
        if self._in_file:
            return MappedPictures(self._cache.file, self._cache.build(self._blocks), factors=factors)
        return TensorSource(x=_in_memory(*self._recipe()), factors=factors)

    @property
    def _cache(self) -> PictureCache:
        told = asdict(self.grid) | {"how": [self.coordinates, self.update, self.steps, self.shape, self.split_seed]}
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        file = data_root(self._root) / "physics" / f"ising_{digest[:16]}.pictures"
        advice = "set LSGEN_DATA_DIR (data.root) to where there is room"
        return PictureCache(file, digest, self.shape, self.grid.total, True, advice, "Drawing")  # type: ignore[arg-type]

    def _blocks(self) -> Iterator[NDArray[np.uint8]]:
        return _blocks(*self._recipe())

    def _recipe(self) -> tuple[Any, ...]:
        natural = self.natural_parameters
        return (
            tuple(map(tuple, natural.tolist())),
            self.grid.each,
            self.shape[1],
            self.update,
            self.steps,
            self.split_seed,
        )


def _blocks(
    nodes: Sequence[tuple[float, float]], each: int, size: int, update: Update, steps: int, seed: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield configurations in order, some at a time, uint8 (n, 1, L, L); the nodes come in turn."""
    natural, total, chunk = np.array(nodes), len(nodes) * each, max(1, _SITES // size**2)
    for number, start in enumerate(range(0, total, chunk)):
        coupling, field = natural[np.arange(start, min(start + chunk, total)) % len(nodes)].T
        random = np.random.default_rng(key(seed, Purpose.SYNTHESIS, number))
        yield (draw_spins(size, coupling, field, update, steps, random) > 0).astype(np.uint8)[:, None]


@lru_cache(maxsize=2)
def _in_memory(*recipe: Any) -> Tensor:
    return torch.from_numpy(np.concatenate(list(_blocks(*recipe))))
