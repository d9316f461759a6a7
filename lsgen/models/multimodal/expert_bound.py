r"""The importance-weighted bound of a mixture of experts, with codes drawn from every expert, and its gradient.

    q(z|x) = 1/M sum_m q_m(z|x_m),    z_mk ~ q_m,    w_mk = p(x, z_mk) / q(z_mk|x),
    L_K = 1/M sum_m E[ log 1/K sum_k w_mk ] <= log p(x),    L_1 the ELBO of the mixture .

The doubly reparameterised gradient of an encoder j, with W_mk = w_mk / sum_l w_ml, the responsibilities of the experts
r_j = q_j / sum_m q_m and their scores s_j = d log q_j / d phi_j at a fixed code, is the mean of

    1/M sum_k [ W_jk (1 - (1 - W_jk) r_j) d log w_jk / dz - (W_jk - 1/K) d r_j / dz ] dz_jk / d phi_j
    - 1/M sum_{m != j} sum_k (W_mk - 1/K) r_j(z_mk) s_j(z_mk) .

In it the score of the denominator, - 1/M sum_mk W_mk d log q(z_mk|x) / d phi, has 1/K taken from W, which leaves its
mean as it is, and is reparameterised once more where the code comes from the expert that it teaches. With M = 1 the
gradient is that of `DReG`, W^2 d log w / dz; with K = 1 it has no score; and it vanishes where w is constant, at the
exact posterior. The denominator depends on every expert, whoever drew z: the estimator W_mk^2 d log w_mk / dz of Shi et
al., which reparameterises as if it were q_m, is biased for K > 1.

Reference: Shi, Siddharth, Paige & Torr, "Variational mixture-of-experts autoencoders for multi-modal deep generative
models" (2019), https://arxiv.org/abs/1911.03393; Tucker et al., "Doubly reparameterized gradient estimators for Monte
Carlo objectives" (2019), https://arxiv.org/abs/1810.04152.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor
from torch.distributions import Independent

from lsgen.latent.multimodal.experts import diagonal_normal
from lsgen.models.losses import Losses

__all__ = ["ExpertDraws", "draw_from_experts"]


@dataclass(frozen=True)
class ExpertDraws:
    """K codes of each of M normal experts, for B observations.

    Attributes:
        mean: the experts' means, (B, M, d).
        log_variance: their log variances, (B, M, d).
        present: which of them an observation has, bool (B, M); at least one.
        z: the codes, reparameterised, (K, B, M, d).

    """

    mean: Tensor
    log_variance: Tensor
    present: Tensor
    z: Tensor

    @property
    def live(self) -> Independent:
        """The experts, of batch shape (B, 1, M) and event shape (d,)."""
        return diagonal_normal(self.mean.unsqueeze(1), self.log_variance.unsqueeze(1))

    @property
    def held(self) -> Independent:
        """The experts with parameters that get no gradient."""
        return diagonal_normal(self.mean.detach().unsqueeze(1), self.log_variance.detach().unsqueeze(1))

    def log_densities(self, experts: Independent, z: Tensor) -> Tensor:
        """Return log q_j(z|x_j) of codes (K, B, M, d) under every expert j, (K, B, M, M); -inf where j is absent."""
        each: Tensor = experts.log_prob(z.unsqueeze(-2))
        return each.masked_fill(~self.present[:, None], -torch.inf)

    def log_mixture(self, experts: Independent, z: Tensor) -> Tensor:
        """Return log q(z|x) of codes (K, B, M, d), (K, B, M)."""
        return self.log_densities(experts, z).logsumexp(-1) - self.present.sum(-1, keepdim=True).to(z).log()

    def average(self, values: Tensor) -> Tensor:
        """Return the averages (..., B) of values (..., B, M) over the experts that are present."""
        return values.masked_fill(~self.present, 0).sum(-1) / self.present.sum(-1)

    def bound(self, log_w: Tensor) -> Tensor:
        """Return the bound (B,) of log importance weights (K, B, M)."""
        return self.average(log_w.logsumexp(0) - log(len(log_w)))

    def beside(self, x: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return observations (B, D) and the mask (B, M), if any, for every code: (K, B, M, D) and (K, B, M, M)."""
        shape = self.z.shape[:-1]
        wide = None if present is None else present.unsqueeze(1).expand(*shape, -1)
        return x.unsqueeze(1).expand(*shape, -1), wide

    def losses(
        self,
        bound: Tensor,
        log_probs: Mapping[str, Tensor],
        divergence: Tensor,
        weights: Mapping[str, float] | None = None,
    ) -> Losses:
        """Return the losses of a bound (B,), whose terms are averages over all codes of the experts present.

        Args:
            bound: the bound with its gradient.
            log_probs: log p_i(x_i|z) by name, (K, B, M) each.
            divergence: log q - log p of the codes, (K, B, M).
            weights: scalars worth logging.

        """
        likelihood = torch.stack(list(log_probs.values())).sum(0)
        terms = [self.average(values).mean(0) for values in (-likelihood, divergence)]
        scalars = {"bound": bound.detach().mean()}
        return Losses(-bound.mean(), terms[0], terms[1].unsqueeze(-1), weights or {}, scalars)

    def doubly_reparameterised(self, log_w: Tensor, gate: Tensor, beta: float = 1.0) -> Tensor:
        """Return the bound (B,) with the gradient above, of weights that were made at a view of the codes.

        Args:
            log_w: log importance weights (K, B, M), from `gate` and held experts.
            gate: the view of the codes, (K, B, M, d), or of more coordinates: those after the first d belong to the
                expert that drew them alone.
            beta: the factor of log q(z|x) in log w.

        """
        share = log_w.detach().softmax(0)
        centred = share - 1 / len(log_w)
        r = self.log_densities(self.held, self.z).softmax(-1)
        own = r.diagonal(dim1=-2, dim2=-1)
        if gate.requires_grad:
            taken = beta * (1 - share).unsqueeze(-1)
            d, more = self.z.shape[-1], gate.shape[-1] - self.z.shape[-1]
            kept = 1 - torch.cat(
                [(taken * own.detach().unsqueeze(-1)).repeat(1, 1, 1, d), taken.repeat(1, 1, 1, more)], -1
            )
            gate.register_hook(lambda gradient: gradient * kept)
        others = r.detach() - torch.diag_embed(own.detach())
        scores = self.log_densities(self.live, self.z.detach()).masked_fill(~self.present[:, None], 0)
        taught = centred * (own + (others * scores).sum(-1))
        surrogate = self.average((share * log_w - beta * taught).sum(0))
        return surrogate - surrogate.detach() + self.bound(log_w.detach())


def draw_from_experts(mean: Tensor, log_variance: Tensor, present: Tensor | None, samples: int) -> ExpertDraws:
    """Return `samples` codes of every expert.

    Args:
        mean: the experts' means, (B, M, d).
        log_variance: their log variances, (B, M, d).
        present: which of them an observation has, bool (B, M); all unless given.
        samples: codes K of each.

    """
    if present is None:
        present = torch.ones(mean.shape[:2], dtype=torch.bool, device=mean.device)
    z = diagonal_normal(mean, log_variance).rsample(torch.Size((samples,)))
    return ExpertDraws(mean, log_variance, present, z)
