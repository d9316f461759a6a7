r"""InfoGAN: a bound on the mutual information between some coordinates of the code and the generated observation.

    I(c; G(z)) >= H(c) + E[ log Q(c | G(z)) ],    penalty = -E[ log Q(c | G(z)) ]   in nats,

with Q categorical for classes and normal with unit variance for continuous codes. Q is a network of its own, trained
with the generator; in the paper it shares its trunk with the critic, which saves time and changes no optimum.

Reference: Chen et al., "InfoGAN" (2016), https://arxiv.org/abs/1606.03657, equations 4-6.
"""

from __future__ import annotations

from itertools import accumulate
from math import log, pi

import torch
from torch import Tensor, nn

from lsgen.latent import OneHot, Prior, Product
from lsgen.models.gan.regularisers.base import GeneratorRegulariser

__all__ = ["MutualInformation"]


class MutualInformation(GeneratorRegulariser):
    """The cross-entropy of recognising the last coordinates of the code in generated observations.

    The code ends in `classes` one-hot coordinates and, after them, `continuous` ones.

    Args:
        recogniser: observations (N, *shape) -> logits of the classes and means of the continuous codes,
            (N, classes + continuous).
        classes: number of classes; 0 for none.
        continuous: number of continuous codes.
        weight: lambda of the paper, 1 there.

    Raises:
        ValueError: there is nothing to recognise.

    """

    def __init__(self, recogniser: nn.Module, classes: int = 10, continuous: int = 0, weight: float = 1.0) -> None:
        super().__init__(weight)
        if classes < 0 or continuous < 0 or classes + continuous < 1:
            raise ValueError(f"expected classes or continuous codes, got {classes} and {continuous}")
        self.recogniser, self.classes, self.continuous = recogniser, classes, continuous

    def check(self, prior: Prior) -> None:
        """Refuse a prior whose codes do not end in the classes and continuous coordinates that are recognised.

        Raises:
            TypeError: they do not.

        """
        start = prior.dim - self.classes - self.continuous
        parts = list(prior.parts) if isinstance(prior, Product) else [prior]
        places = zip(accumulate((part.dim for part in parts[:-1]), initial=0), parts, strict=True)
        classes = [at for at, part in places if isinstance(part, OneHot) and part.dim == self.classes]
        if start < 0 or (self.classes and start not in classes):
            raise TypeError(
                f"MutualInformation expected a prior whose codes end in a OneHot of {self.classes} and "
                f"{self.continuous} more, got {type(prior).__name__} of {prior.dim} dimensions"
            )

    def forward(self, generator: nn.Module, z: Tensor, fake: Tensor) -> Tensor:
        """Return -E[ log Q(c | G(z)) ]."""
        wanted = z[:, z.shape[1] - self.classes - self.continuous :]
        guess = self.recogniser(fake)
        entropy = -(wanted[:, : self.classes] * torch.log_softmax(guess[:, : self.classes], 1)).sum(1)
        error = guess[:, self.classes :] - wanted[:, self.classes :]
        return (entropy + (error.square() + log(2 * pi)).sum(1) / 2).mean()
