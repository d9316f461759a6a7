"""The importance-sampled log-likelihood of test observations, one by one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.distributions import Independent

from lsgen.callbacks.base import undisturbed
from lsgen.callbacks.probes import observed_of
from lsgen.latent import Euclidean
from lsgen.metrics import ActiveUnits, log_evidence
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["HeldOutEvidence"]


@dataclass(frozen=True)
class HeldOutEvidence:
    """Estimates log p(x) of test observations, the same ones for every run, and counts active units.

    Its keys are `nll`, the negative log-likelihood in nats per observation, with that of each observation, and
    `effective_samples`; of a model of missing values, they are of what is observed. And `active_units` where codes lie
    in flat space and their dimensions are independent given x: those whose posterior mean has a variance above 0.01
    over the observations.

    Attributes:
        samples: codes for every observation; with one, `nll` estimates minus the evidence lower bound.
        n: observations, drawn at random from the test set.
        batch_size: observations at once.
        chunk_size: codes for every observation decoded at once.
        seed: seed of the codes.

    Raises:
        TypeError: the prior or the posterior of a run has no density, or it has no encoder.
        ValueError: a number is not positive, or there are fewer than n test observations.

    Reference: Burda, Grosse & Salakhutdinov (2016), section 5, https://arxiv.org/abs/1509.00519.
    """

    samples: int = 5000
    n: int = 1000
    batch_size: int = 20
    chunk_size: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.samples, self.n, self.batch_size, self.chunk_size) < 1:
            raise ValueError(f"expected samples, n, batch_size and chunk_size of at least 1, got {self}")

    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space = run.encodable_space
        batch = run.probe(self.n)
        observed = observed_of(run.model, batch)
        x = batch["x"] if observed is None else torch.where(observed, batch["x"], 0.0)
        parts = x.split(self.batch_size)
        masks = [None] * len(parts) if observed is None else observed.split(self.batch_size)
        with undisturbed(space, self.seed), torch.no_grad():
            space.eval()
            found = [
                log_evidence(space, part, self.samples, self.chunk_size, observed=mask)
                for part, mask in zip(parts, masks, strict=True)
            ]
            q = space.encode(x)
        nll = -torch.cat([one.log_evidence for one in found])
        effective = torch.cat([one.effective_samples for one in found])
        values = {"nll": float(nll.mean()), "effective_samples": float(effective.mean())}
        if isinstance(q, Independent) and isinstance(space.manifold, Euclidean):
            active = ActiveUnits(space.dim)
            active.update(q.mean)
            values["active_units"] = float(active.compute())
        return Measured(values, {"nll": nll.float()})
