r"""How much of the bound is lost by inference, and to what.

    log p(x) - L[q]  =  (log p(x) - L[q*])  +  (L[q*] - L[q])
    inference gap    =  approximation gap   +  amortisation gap

q is the encoder's posterior and q* the best of its family for this observation, found by Adam. log p(x) is estimated by
importance sampling from q*, from below: the approximation gap is a lower bound, the amortisation gap is one as far as
Adam is from the optimum.

Reference: Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders" (2018), section 3,
https://arxiv.org/abs/1801.03558.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torchmetrics import Metric

from lsgen.latent import EncodableLatentSpace
from lsgen.metrics.evidence import log_evidence
from lsgen.models.divergence import kl_terms
from lsgen.models.vae.bounds.refinement import local_optimum

__all__ = ["AmortisationGap"]


class AmortisationGap(Metric):
    """The amortisation gap and the approximation gap in nats per observation, averaged over all observations seen.

    `update(space, x)` measures them for a batch; `compute()` returns a dictionary of scalars: `amortisation_gap`,
    `approximation_gap`.

    Args:
        steps: steps of Adam for each batch; a step costs a pass of the decoder and its gradient.
        lr: learning rate of the first.
        samples: codes for every observation in each estimate of a bound and of the evidence.
        chunk_size: codes for every observation decoded at once.

    Raises:
        ValueError: a number is not positive.

    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    observations: Tensor
    totals: Tensor

    def __init__(
        self, steps: int = 500, lr: float = 0.05, samples: int = 1000, chunk_size: int = 100, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if min(steps, samples, chunk_size) < 1 or not lr > 0:
            numbers = f"{steps}, {samples}, {chunk_size} and {lr}"
            raise ValueError(f"expected steps, samples and chunk_size of at least 1 and lr > 0, got {numbers}")
        self.steps, self.lr, self.samples, self.chunk_size = steps, lr, samples, chunk_size
        self.add_state("observations", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("totals", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, space: EncodableLatentSpace, x: Tensor) -> None:
        """Add observations (B, *shape).

        Raises:
            TypeError: the prior or the posterior has no density, or codes carry no gradient.

        """
        if not space.posterior.reparameterised:
            name = type(space.posterior).__name__
            raise TypeError(f"AmortisationGap expected a posterior whose codes carry a gradient, got {name}")
        with torch.inference_mode(False), torch.enable_grad():  # trainers test in inference mode
            x = x.clone()
            best = local_optimum(space, x, self.steps, self.lr)
        with torch.no_grad():
            q, optimum = space.encode(x), space.posterior(best)
            bound, reached = (bound_of(space, x, one, self.samples, self.chunk_size) for one in (q, optimum))
            evidence = log_evidence(space, x, self.samples, self.chunk_size, optimum).log_evidence
        self.observations += len(x)
        self.totals += torch.stack([(reached - bound).sum(), (evidence - reached).sum()])

    def compute(self) -> dict[str, Tensor]:
        """Return the averages over all observations."""
        amortisation, approximation = (self.totals / self.observations).unbind()
        return {"amortisation_gap": amortisation, "approximation_gap": approximation}


def bound_of(space: EncodableLatentSpace, x: Tensor, q: Distribution, samples: int, chunk_size: int) -> Tensor:
    """Return the evidence lower bound of posteriors q of observations (B, *shape), (B,) in float64."""
    p, total = space.prior(), torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for start in range(0, samples, chunk_size):
        count = min(chunk_size, samples - start)
        z, decoded = space.draw(q, (count,))
        total += decoded.log_prob(x).double().sum(0) - count * kl_terms(q, p, z).double().sum(-1)
    return total / samples
