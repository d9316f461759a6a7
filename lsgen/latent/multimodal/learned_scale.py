r"""Priors around zero whose scales are learned, as in mixtures of experts.

    p(z) = prod_j Laplace(z_j; 0, b_j)  or  N(z_j; 0, b_j^2),    b = d softmax(learned)

The scales have the mean 1 over latent dimensions, so that what is learned is which dimensions are wider than others.

Reference: Shi, Siddharth, Paige & Torr, "Variational mixture-of-experts autoencoders for multi-modal deep generative
models" (2019), section 4, https://arxiv.org/abs/1911.03393.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Laplace, Normal

from lsgen.latent.priors import Prior

__all__ = ["LearnedScalePrior"]

_FAMILIES: dict[str, type[Laplace] | type[Normal]] = {"laplace": Laplace, "normal": Normal}


class LearnedScalePrior(Prior):
    """Independent distributions around 0 whose scales are learned and have the mean 1.

    Args:
        dim: latent dimension d.
        family: "laplace" or "normal".

    Raises:
        ValueError: dim is not positive, or there is no such family.

    """

    origin: Tensor

    def __init__(self, dim: int, family: str = "laplace") -> None:
        super().__init__(dim)
        if family not in _FAMILIES:
            raise ValueError(f"expected a family of laplace or normal, got {family!r}")
        self.family = family
        self.raw_scales = nn.Parameter(torch.zeros(dim))
        self.register_buffer("origin", torch.zeros(dim), persistent=False)

    @property
    def scales(self) -> Tensor:
        """The scales b, (d,)."""
        return self.raw_scales.softmax(-1) * self.dim

    def forward(self) -> Distribution:
        """Return the distribution around 0."""
        return Independent(
            _FAMILIES[self.family](self.origin, self.scales, validate_args=False), 1, validate_args=False
        )
