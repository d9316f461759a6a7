r"""Priors that are mixtures of K components, learned with the model.

    p(z) = sum_k pi_k N(z; m_k, diag(s_k^2))                  mixture of normals
    p(z) = 1/K sum_k q(z | u_k)                               VampPrior: posteriors of learned pseudo-inputs u_k

The VampPrior is the aggregate posterior, the prior that is best for the ELBO, made of K observations that are learned
instead of all N. It is bound to the encoder of its latent space.

Reference: Dilokthanakul et al. (2016), https://arxiv.org/abs/1611.02648; Tomczak & Welling, "VAE with a VampPrior"
(2018), equation 9, https://arxiv.org/abs/1705.07120.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from lsgen.latent.priors import BoundPrior, Prior

__all__ = ["MixtureOfNormals", "VampPrior"]


class MixtureOfNormals(Prior):
    """A mixture of diagonal normals with learned weights, means and scales.

    Args:
        dim: latent dimension d.
        components: number K of normals.
        spread: standard deviation of the means that training starts from.

    Raises:
        ValueError: dim or components is not positive.

    """

    def __init__(self, dim: int, components: int = 10, spread: float = 1.0) -> None:
        super().__init__(dim)
        _check(components)
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(spread * torch.randn(components, dim))
        self.log_scales = nn.Parameter(torch.zeros(components, dim))

    def forward(self) -> Distribution:
        """Return the mixture."""
        normals = Normal(self.means, self.log_scales.exp(), validate_args=False)
        weights = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(weights, Independent(normals, 1, validate_args=False), validate_args=False)


class VampPrior(BoundPrior):
    """The mixture of the posteriors of learned pseudo-inputs.

    Pseudo-inputs lie between `low` and `high`, through a sigmoid, and start at random.

    Args:
        dim: latent dimension d.
        shape: shape of one observation.
        components: number K of pseudo-inputs.
        low: least value of an observation.
        high: largest value of an observation.

    Raises:
        ValueError: dim or components is not positive, or low is not below high.

    """

    def __init__(
        self, dim: int, shape: Sequence[int], components: int = 500, low: float = 0.0, high: float = 1.0
    ) -> None:
        super().__init__(dim)
        _check(components)
        if not low < high:
            raise ValueError(f"expected low below high, got {low} and {high}")
        self.low, self.high = float(low), float(high)
        self.logits = nn.Parameter(torch.randn(components, *shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """The pseudo-inputs u, (K, *shape)."""
        return self.low + (self.high - self.low) * torch.sigmoid(self.logits)

    def given(self, encode: Callable[[Tensor], Distribution]) -> Distribution:
        """Return the mixture of the posteriors of the pseudo-inputs."""
        posteriors = encode(self.pseudo_inputs)
        weights = Categorical(logits=posteriors.mean.new_zeros(len(self.logits)), validate_args=False)
        return MixtureSameFamily(weights, posteriors, validate_args=False)


def _check(components: int) -> None:
    if components < 1:
        raise ValueError(f"expected at least 1 component, got {components}")
