r"""MVAE: evidence lower bounds of all modalities, of each alone, and of k random subsets of them.

    loss = - sum_A ( E_{q(z|x_A)} sum_{i in A} lambda_i log p(x_i|z) - beta KL( q(z|x_A) || p(z) ) ),

where A runs over the set of all modalities, each modality alone, and k subsets that are drawn for every observation,
uniformly from all that are not empty. So every encoder and every subset learns, also of observations that lack
modalities: a subset then holds those of its modalities that are present, and one without any counts nothing.

Reference: Wu & Goodman, "Multimodal generative models for scalable weakly-supervised learning" (2018), equations 4 and
5, https://arxiv.org/abs/1802.05335; k subsets a batch in place of an observation there.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent.multimodal import Experts, MultimodalSpace
from lsgen.models.divergence import kl_terms
from lsgen.models.losses import Losses
from lsgen.models.multimodal.objective import MultimodalObjective
from lsgen.models.schedules import Schedule, as_schedule

__all__ = ["MVAEObjective"]


class MVAEObjective(MultimodalObjective):
    """The sum of the bounds of all modalities, of each alone and of random subsets.

    Args:
        weights: factors lambda of the modalities' log-likelihoods, by name; 1 where none is given.
        beta: weight of the KL terms, a number or a schedule in generator steps.
        subsets: number k of random subsets.
        alone: whether the bounds of each modality alone are among the terms; without them, and without random subsets,
            the loss is the ELBO of all modalities.

    Raises:
        ValueError: subsets is negative, or a weight is not positive.

    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        beta: float | Schedule = 1.0,
        subsets: int = 0,
        alone: bool = True,
    ) -> None:
        super().__init__(weights)
        if subsets < 0:
            raise ValueError(f"expected a number of random subsets of at least 0, got {subsets}")
        self.beta, self.subsets, self.alone = as_schedule(beta), int(subsets), bool(alone)

    def forward(self, space: MultimodalSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the sum of the bounds."""
        x, present, beta = batch["x"], batch.get("present"), self.beta(step)
        experts = space.experts(x, present)
        terms = self.joint_terms(space, space.given(experts, present), x, present)
        loss = beta * terms.kl.sum(-1) - self.weighted(terms.log_probs)
        if self.alone and len(space.names) > 1:
            loss = loss + self._each_alone(space, experts, x, present, beta)
        if self.subsets:
            loss = loss + self._random_subsets(space, experts, x, present, beta)
        return Losses(loss.mean(), terms.reconstruction, terms.kl, {"beta": beta})

    def _each_alone(
        self, space: MultimodalSpace, experts: Experts, x: Tensor, present: Tensor | None, beta: float
    ) -> Tensor:
        """Return the sum over modalities of the negative bound of each, (B,)."""
        total, prior = torch.zeros_like(x[:, 0]), space.prior()
        visible = x if present is None else torch.where(space.likelihood.spread(present), x, 0)
        for i, (name, own) in enumerate(space.packing.unpack(visible).items()):
            q = space.alone(experts, name)
            z = q.rsample()
            log_p = space.decode_one(name, z).log_prob(own)
            term = beta * kl_terms(q, prior, z).sum(-1) - self.weighted({name: log_p})
            total = total + (term if present is None else torch.where(present[:, i], term, 0))
        return total

    def _random_subsets(
        self, space: MultimodalSpace, experts: Experts, x: Tensor, present: Tensor | None, beta: float
    ) -> Tensor:
        """Return the sum over k random subsets of the negative bound of each, (B,)."""
        k, n, count = self.subsets, len(x), len(space.names)
        numbers = torch.randint(1, 2**count, (k, n, 1), device=x.device)
        drawn = (numbers >> torch.arange(count, device=x.device)) % 2 == 1
        subset = drawn if present is None else drawn & present
        some = subset.any(-1)
        terms = self.joint_terms(space, space.given(experts, subset | ~some.unsqueeze(-1)), x, subset)
        each = beta * terms.kl.sum(-1) - self.weighted(terms.log_probs)
        return torch.where(some, each, 0).sum(0)
