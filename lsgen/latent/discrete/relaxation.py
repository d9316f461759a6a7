r"""Random discrete codes and their continuous relaxation.

A draw of a discrete code is the rounding of a number that depends smoothly on the logits (Gumbel-max),

    z = hard(y),    y = (logits + noise) / t,

so that soft(y), in the interior of the cube or of the simplex, is a draw of the Concrete distribution at temperature t:
it is differentiable in the logits, rounds to z whatever t, and tends to z as t -> 0.

    bits          logistic noise,  hard(y) = [y > 0],          soft(y) = sigmoid(y)
    categories    Gumbel noise,    hard(y) = one-hot argmax,   soft(y) = softmax(y)

Numbers y rather than soft(y) are kept, because these are 0 or 1 in floating point long before they are in truth.

Reference: Maddison, Mnih & Teh, "The Concrete distribution" (2017), https://arxiv.org/abs/1611.00712; Jang, Gu & Poole,
"Categorical reparameterization with Gumbel-softmax" (2017), https://arxiv.org/abs/1611.01144.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen.latent.posteriors import Posterior
from lsgen.latent.priors import Prior

__all__ = ["DiscreteCodes", "DiscretePosterior", "DiscretePrior"]


class DiscreteCodes(Distribution):
    """Abstract distribution over independent discrete variables, of batch shape (B,) and event shape (d,).

    Attributes:
        logits: the parameters, (B, ...).

    """

    has_rsample = False
    logits: Tensor

    @abstractmethod
    def noise(self, sample_shape: torch.Size) -> Tensor:
        """Return the noise of draws, (*sample_shape, *logits.shape)."""

    @abstractmethod
    def scores(self, noise: Tensor, temperature: float) -> Tensor:
        """Return y for given noise, of its shape, with the gradient of the logits."""

    @abstractmethod
    def soft(self, scores: Tensor) -> Tensor:
        """Return the relaxed codes (B, d) of scores y."""

    @abstractmethod
    def hard(self, scores: Tensor) -> Tensor:
        """Return the codes (B, d) that scores y round to."""

    @abstractmethod
    def relaxed_log_prob(self, scores: Tensor, temperature: float) -> Tensor:
        """Return the log density of the Concrete distribution at scores y, (B,), in nats.

        It refers to a measure of y that depends on neither logits nor temperature, the same for all distributions over
        codes of one kind, so that differences of two of them are those of any other coordinates.
        """


class DiscretePosterior(Posterior):
    """Abstract family of `DiscreteCodes`; its draws carry no gradient, for which objectives have an estimator."""

    reparameterised: ClassVar[bool] = False

    @abstractmethod
    def forward(self, raw: Tensor) -> DiscreteCodes:
        """Return q(z|x), of batch shape (B,) and event shape (d,), from raw outputs (B, heads * d)."""


class DiscretePrior(Prior):
    """Abstract prior over discrete codes."""

    @abstractmethod
    def forward(self) -> DiscreteCodes:
        """Return p(z), of batch shape () and event shape (d,)."""
