"""Bounds and likelihoods of several modalities, jointly, of each alone, and of each from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen.callbacks.base import undisturbed
from lsgen.latent.multimodal import MultimodalSpace
from lsgen.models.divergence import kl_terms
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["ModalityBounds"]


@dataclass(frozen=True)
class ModalityBounds:
    """Measures bounds of the likelihoods of test observations, the same ones for every run, in nats.

    Its keys, each with the values of the observations, of the modalities by name:

    - `elbo/joint` and `elbo/NAME`, minus the evidence lower bound of all modalities and of one alone, whose posterior
      sees that one alone, and `elbo/sum`, their sum: the loss of MVAE with weights of 1;
    - `nll/joint`, -log p(x), and `nll/NAME`, -log p(x_i), by importance sampling with codes from q(z|x) of all, as in
      JMVAE's paper: far too high for a modality that says much less of the codes than all do;
    - `cross/NAME`, -log E_q[p(x_i|z)] with codes from the posterior of the other modalities.

    Attributes:
        samples: codes for every observation.
        n: observations, drawn at random from the test set.
        batch_size: observations at once.
        seed: seed of the codes.

    Raises:
        TypeError: a run has no space of several modalities.
        ValueError: a number is not positive.

    """

    samples: int = 1000
    n: int = 10_000
    batch_size: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.samples, self.n, self.batch_size) < 1:
            raise ValueError(f"expected samples, n and batch_size of at least 1, got {self}")

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space = run.model.latent_space
        if not isinstance(space, MultimodalSpace):
            raise TypeError(f"ModalityBounds expected a space of several modalities, got {type(space).__name__}")
        with undisturbed(space, self.seed):
            space.eval()
            found = [self._measured(space, x) for x in run.probe(self.n)["x"].split(self.batch_size)]
        arrays = {key: torch.cat([one[key] for one in found]) for key in found[0]}
        return Measured({key: float(part.mean()) for key, part in arrays.items()}, arrays)

    def _measured(self, space: MultimodalSpace, x: Tensor) -> dict[str, Tensor]:
        """Return the values of packed observations (B, D), (B,) each."""
        joint = space.encode(x)
        values = {"elbo/joint": self._bound(space, x, joint, space.names)}
        for name in space.names:
            values[f"elbo/{name}"] = self._bound(space, x, space.encode(x, [name]), [name])
        values["elbo/sum"] = torch.stack(list(values.values())).sum(0)
        z = joint.sample(torch.Size((self.samples,)))
        log_probs = self._log_probs(space, x, z)
        slack = space.prior().log_prob(z) - joint.log_prob(z)
        values["nll/joint"] = self._average(torch.stack(list(log_probs.values())).sum(0) + slack)
        for name in space.names:
            values[f"nll/{name}"] = self._average(log_probs[name] + slack)
            others = [other for other in space.names if other != name]
            z = space.encode(x, others).sample(torch.Size((self.samples,)))
            values[f"cross/{name}"] = self._average(self._log_probs(space, x, z)[name])
        return {key: value.double() for key, value in values.items()}

    def _bound(self, space: MultimodalSpace, x: Tensor, q: Distribution, names: Sequence[str]) -> Tensor:
        """Return minus the evidence lower bound of some modalities, (B,)."""
        z = q.sample(torch.Size((self.samples,)))
        log_probs = self._log_probs(space, x, z)
        reconstruction = torch.stack([log_probs[name] for name in names]).sum(0).mean(0)
        return kl_terms(q, space.prior(), z).sum(-1) - reconstruction

    def _average(self, log_w: Tensor) -> Tensor:
        """Return minus the logarithms of the means of weights (samples, B), (B,)."""
        return log(self.samples) - log_w.double().logsumexp(0)

    @staticmethod
    def _log_probs(space: MultimodalSpace, x: Tensor, z: Tensor) -> dict[str, Tensor]:
        """Return log p_i(x_i|z) of codes (samples, B, dim) by name, (samples, B)."""
        return space.decode(z).log_probs(x.expand(*z.shape[:-1], -1))
