r"""Orthogonal regularisation: the filters of a layer should be orthogonal to each other, whatever their norms.

    R = sum over layers |W^T W * (1 - I)|_F^2 = sum over layers, pairs of filters i != j  <w_i, w_j>^2

with the filters as columns of W; 1 - I has no diagonal, so norms are free, unlike in the penalty |W^T W - I|_F^2 that
it relaxes. Of a spectrally normalised layer the weights before normalisation count, as in the authors' code. Embeddings
of classes have no filters and are left out.

Reference: Brock, Donahue & Simonyan, "Large scale GAN training for high fidelity natural image synthesis" (2019),
https://arxiv.org/abs/1809.11096, equation 3.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lsgen.models.gan.regularisers.base import GeneratorRegulariser

__all__ = ["Orthogonality", "filters"]


def filters(net: nn.Module) -> Iterator[Tensor]:
    """Yield the filters of every linear and convolutional layer as rows, (outputs, inputs x window)."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            parametrised = getattr(layer, "parametrizations", None)
            weight = layer.weight if parametrised is None else parametrised.weight.original
            yield (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)


class Orthogonality(GeneratorRegulariser):
    """Squared scalar products of different filters, summed over the generator's layers.

    Args:
        weight: the factor beta, 1e-4 in the paper.
        every: see `Regulariser`.

    """

    def __init__(self, weight: float = 1e-4, every: int = 1) -> None:
        super().__init__(weight, every)

    def forward(self, generator: nn.Module, z: Tensor, fake: Tensor) -> Tensor:
        """Return R.

        Raises:
            ValueError: there are no filters: a network with layers of its own kind, such as `StyleGenerator`.

        """
        gram = [w @ w.T for w in filters(generator)]
        if not gram:
            raise ValueError(
                "Orthogonality expected a generator with linear or convolutional layers of torch.nn, "
                f"got {type(generator).__name__} without"
            )
        return torch.stack([(g - g.diag().diag()).square().sum() for g in gram]).sum()
