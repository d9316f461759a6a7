r"""The evidence lower bound of the relaxed model, in which codes of prior and posterior are Concrete variables.

    loss = E_{q_t(z|x)}[ -log p(x|z) + beta ( log q_t(z|x) - log p_u(z) ) ],    z = soft(y)

with the densities of the relaxed codes at the temperatures t of the posterior and u of the prior. It is a bound of
log int p(x|z) p_u(z) dz, the evidence of a model with continuous codes, with an unbiased gradient; `DiscreteELBO` with
`Concrete` takes the KL of the discrete distributions instead, and bounds neither model. In evaluation codes are
discrete and so is their KL: `val/elbo` and `test/elbo` are bounds of the discrete model.

Reference: Maddison, Mnih & Teh (2017), equation 20 and appendix C.3, https://arxiv.org/abs/1611.00712.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import DiscreteCodes, EncodableLatentSpace
from lsgen.models import parts
from lsgen.models.divergence import closed_form_kl
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.estimators.base import as_temperature, temperature_at
from lsgen.models.vae.objective import Objective

__all__ = ["RelaxedELBO"]


class RelaxedELBO(Objective):
    """The (beta-weighted) evidence lower bound with relaxed densities.

    Args:
        temperature: t of the posterior, a number or a schedule in generator steps.
        prior_temperature: u of the prior, likewise.
        beta: weight of the divergence, likewise.

    Raises:
        ValueError: a temperature is not positive.

    """

    def __init__(
        self,
        temperature: float | Schedule = 2 / 3,
        prior_temperature: float | Schedule = 0.5,
        beta: float | Schedule = 1.0,
    ) -> None:
        super().__init__()
        self.temperature, self.prior_temperature = as_temperature(temperature), as_temperature(prior_temperature)
        self.beta = as_schedule(beta)

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse a latent space without a prior and a posterior over discrete codes.

        Raises:
            TypeError: it has others.

        """
        parts.check_discrete("RelaxedELBO", space)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + beta (log q - log p), of relaxed codes in training."""
        q, p, beta = space.encode(batch["x"]), space.prior(), self.beta(step)
        if not isinstance(q, DiscreteCodes) or not isinstance(p, DiscreteCodes):
            raise TypeError(f"RelaxedELBO expected distributions over discrete codes, got {q} and {p}")
        z, kl = self._relaxed(q, p, step) if self.training else self._discrete(q, p)
        reconstruction = -space.decode(z).log_prob(batch["x"])
        return Losses((reconstruction + beta * kl.sum(-1)).mean(), reconstruction, kl, {"beta": beta})

    def _relaxed(self, q: DiscreteCodes, p: DiscreteCodes, step: int) -> tuple[Tensor, Tensor]:
        t, u = temperature_at(self.temperature, step), temperature_at(self.prior_temperature, step)
        scores = q.scores(q.noise(torch.Size()), t)
        kl = q.relaxed_log_prob(scores, t) - p.relaxed_log_prob(scores, u)
        return q.soft(scores), kl.unsqueeze(-1)

    def _discrete(self, q: DiscreteCodes, p: DiscreteCodes) -> tuple[Tensor, Tensor]:
        return q.sample(), closed_form_kl(q, p).sum(-1, keepdim=True)
