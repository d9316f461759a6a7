r"""An autoregressive prior over discrete codes: the entries of the codebook are drawn one after another.

    log p(z) = sum_l log p(k_l | k_1 ... k_{l-1}),    k_l the entry that stands at place l of z

The network gives the logits of every place from the entries before it. As the code of an observation is one entry a
place with certainty, KL(q(z|x) || p(z)) = -log p(z): learning the prior is coding the codes, and no gradient reaches
the encoder.

Reference: van den Oord, Vinyals & Kavukcuoglu (2017), section 3.3, https://arxiv.org/abs/1711.00937.
"""

from __future__ import annotations

from math import prod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import register_kl

from lsgen.latent.discrete.quantised import (
    CodebookPrior,
    Quantised,
    Quantiser,
    UniformOverCodes,
    VectorQuantiser,
    nearest_entries,
)

__all__ = ["AutoregressiveOverCodes", "AutoregressivePrior", "CellNetwork"]


@runtime_checkable
class CellNetwork(Protocol):
    """A network over a grid of entries, such as `lsgen.nn.PixelCNN`."""

    entries: int

    def __call__(self, indices: Tensor) -> Tensor:
        """Return logits (N, K, h, w) of indices (N, h, w), each from the cells before it in reading order."""

    def sample(self, n: int, height: int, width: int) -> Tensor:
        """Return n grids of indices, (n, h, w)."""


class AutoregressiveOverCodes(UniformOverCodes):
    """The distribution of a network over K^L codes; mean and variance are those of equally likely entries.

    Args:
        codebook: (K, D).
        grid: height h and width w of the code, h w = L.
        network: logits of every cell.

    """

    def __init__(self, codebook: Tensor, grid: tuple[int, int], network: CellNetwork) -> None:
        super().__init__(codebook, prod(grid))
        self.grid, self.network = grid, network

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return codes (*sample_shape, L D)."""
        indices = self.network.sample(prod(sample_shape), *self.grid)
        return self.codebook[indices.flatten(1)].flatten(1).reshape(*sample_shape, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log probability, (B,), of the codebook entries nearest to codes (B, L D)."""
        vectors = value.reshape(-1, self.length, self.codebook.shape[1])
        return self.of_indices(nearest_entries(vectors, self.codebook)).reshape(value.shape[:-1])

    def of_indices(self, indices: Tensor) -> Tensor:
        """Return the log probability, (B,), of entries (B, L)."""
        cells = indices.unflatten(1, self.grid)
        log_p = torch.log_softmax(self.network(cells).to(self.codebook.dtype), dim=1)
        return log_p.gather(1, cells.unsqueeze(1)).sum((1, 2, 3))


class AutoregressivePrior(CodebookPrior):
    """An autoregressive distribution over the codes of a latent space's own codebook.

    Args:
        dim: latent dimension d = L D.
        grid: height and width of the code, L = height * width.
        network: indices (N, h, w) -> logits (N, K, h, w), with as many entries as the codebook.

    Raises:
        ValueError: the grid does not divide dim.
        TypeError: the network cannot draw samples.

    """

    def __init__(self, dim: int, grid: tuple[int, int], network: nn.Module) -> None:
        super().__init__(dim)
        self.grid = (int(grid[0]), int(grid[1]))
        if min(self.grid) < 1 or dim % prod(self.grid):
            raise ValueError(f"expected a grid whose cells divide dim = {dim}, got {self.grid}")
        if not isinstance(network, CellNetwork):
            raise TypeError(f"expected a network with `entries` and `sample`, got {type(network).__name__}")
        self.network = network

    def bind(self, quantiser: Quantiser) -> None:
        """Store the quantiser.

        Raises:
            TypeError: it has not one codebook alone.

        """
        if not isinstance(quantiser, VectorQuantiser):
            raise TypeError(f"AutoregressivePrior expected a VectorQuantiser, got {type(quantiser).__name__}")
        super().bind(quantiser)

    @property
    def reparameterised(self) -> bool:
        """False: entries are drawn one by one."""
        return False

    def forward(self) -> AutoregressiveOverCodes:
        """Return the distribution.

        Raises:
            RuntimeError: the prior belongs to no latent space with a vector quantiser.
            ValueError: codebook, grid and network do not fit together.

        """
        quantiser = self.quantiser
        assert isinstance(quantiser, VectorQuantiser)
        if quantiser.length != prod(self.grid) or len(quantiser.codebook) != self.network.entries:
            raise ValueError(
                f"expected a code of {self.grid[0]} x {self.grid[1]} out of {self.network.entries} entries, got "
                f"{quantiser.length} out of {len(quantiser.codebook)}"
            )
        return AutoregressiveOverCodes(quantiser.codebook, self.grid, self.network)


@register_kl(Quantised, AutoregressiveOverCodes)
def _kl_to_autoregressive(q: Quantised, p: AutoregressiveOverCodes) -> Tensor:
    return -p.of_indices(q.indices)
