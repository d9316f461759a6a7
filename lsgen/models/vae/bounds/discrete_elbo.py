r"""The evidence lower bound of a model with discrete codes, and any estimator of its gradient.

    loss = E_{q(z|x)}[ -log p(x|z) ] + beta KL( q(z|x) || p(z) )

The KL is in closed form, that of the discrete distributions also where the estimator decodes relaxed codes; see
`RelaxedELBO` for the bound of the relaxed model. In evaluation codes are decoded, never relaxed ones, so that
`val/elbo` and `test/elbo` are bounds of the model that is used, whatever the estimator.

Reference: Jang, Gu & Poole (2017), appendix C, https://arxiv.org/abs/1611.01144.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lsgen.latent import DiscreteCodes, EncodableLatentSpace
from lsgen.models import parts
from lsgen.models.divergence import closed_form_kl
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.estimators.base import GradientEstimator
from lsgen.models.vae.objective import Objective

__all__ = ["DiscreteELBO"]


class DiscreteELBO(Objective):
    """The (beta-weighted) evidence lower bound with an estimated gradient.

    Args:
        estimator: gives the reconstruction and its gradient from draws.
        beta: weight of the KL term, a number or a schedule in generator steps.

    """

    def __init__(self, estimator: GradientEstimator, beta: float | Schedule = 1.0) -> None:
        super().__init__()
        self.estimator, self.beta = estimator, as_schedule(beta)

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse a latent space without a prior and a posterior over discrete codes.

        Raises:
            TypeError: it has others.

        """
        parts.check_discrete("DiscreteELBO", space)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + beta KL."""
        x, q, beta = batch["x"], space.encode(batch["x"]), self.beta(step)
        if not isinstance(q, DiscreteCodes):
            raise TypeError(f"DiscreteELBO expected a posterior over discrete codes, got {type(q).__name__}")
        reconstruction = self.estimator(q, lambda z: -space.decode(z).log_prob(x), step)
        kl = closed_form_kl(q, space.prior())
        return Losses((reconstruction + beta * kl.sum(-1)).mean(), reconstruction, kl, {"beta": beta})
