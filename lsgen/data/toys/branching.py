r"""A branching diffusion: noisy observations of the nodes of a tree that diffuses from its root.

    y_root = 0,    y_i = y_parent(i) + N(0, I),    x_ij = y_i + N(0, I/f),    j = 1 ... m,

for every node i of a tree of given depth, whose nodes all have the same number of children. The observations x_ij are
scaled to mean 0 and standard deviation 1 in each coordinate, over all of them, as the authors do it, so that the scale
of the steps does not matter.

Reference: Mathieu et al., "Continuous hierarchical representations with Poincare variational auto-encoders" (2019),
section 5.1, https://arxiv.org/abs/1901.06033, and the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import sqrt

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.draws import Purpose, stream
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split

__all__ = ["BranchingDiffusion"]


class BranchingDiffusion(DataModule):
    """Observations (50,) of the nodes of a tree that diffuses from its root; the label is the depth of the node.

    The tree, its observations and the splits depend on split_seed alone. A test observation has siblings of the same
    node among those trained on, as in the paper.

    Args:
        shape: (50,).
        depth: depth of the leaves; the root has depth 0.
        children: children of every node that is not a leaf.
        siblings: observations m of every node.
        factor: f, the variance of a child about its parent over that of an observation about its node.
        val_size: observations held out for validation, a number or a fraction; with 0 the validation split is the test
            split, and nothing may be chosen by a validation score.
        test_size: observations held out for the test, a number or a fraction.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = (50,),
        depth: int = 6,
        children: int = 2,
        siblings: int = 5,
        factor: float = 5.0,
        # differs from Mathieu et al. (2019), authors' code: 0; here something is held out for validation
        val_size: int | float = 64,
        test_size: int | float = 191,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, (50,), AsStored(None), batch_size, seed, loading)
        for name, value, least in (("depth", depth, 1), ("children", children, 1), ("siblings", siblings, 1)):
            if value < least:
                raise ValueError(f"expected {name} of at least {least}, got {value}")
        if not factor > 0:
            raise ValueError(f"expected a factor above 0, got {factor}")
        self.depth, self.children, self.siblings, self.factor = depth, children, siblings, factor
        total = siblings * sum(children**level for level in range(depth + 1))
        self._rows = random_split(total, {"val_size": val_size, "test_size": test_size}, loading.split_seed)

    @cached_property
    def _source(self) -> TensorSource:
        generator = stream(self.split_seed, Purpose.SYNTHESIS)
        levels = [torch.zeros(1, *self.shape, dtype=torch.float64)]
        for _ in range(self.depth):
            levels.append(_spread(levels[-1], self.children, 1.0, generator))
        x = _spread(torch.cat(levels), self.siblings, 1 / sqrt(self.factor), generator)
        depth = torch.arange(self.depth + 1).repeat_interleave(torch.tensor([len(level) for level in levels]))
        x = (x - x.mean(0)) / x.std(0, correction=0)
        return TensorSource(x=x.float(), label=depth.repeat_interleave(self.siblings))

    def build(self, split: Split) -> BatchDataset:
        """Return the observations of a split."""
        rows = self._rows[split]
        return self.subset(self._source, rows if len(rows) else self._rows["test"], split)


def _spread(centres: Tensor, copies: int, sigma: float, generator: torch.Generator) -> Tensor:
    """Return normal draws around centres (n, D), copies of each one after another, (n copies, D)."""
    around = centres.repeat_interleave(copies, dim=0)
    return around + sigma * torch.randn(around.shape, dtype=around.dtype, generator=generator)
