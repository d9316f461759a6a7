"""Log-likelihood of held-out observations, and the parts of the KL divergence in the bound.

The KL of the bound is the sum of the mutual information and the marginal KL, and this the sum of the total correlation
and the dimension-wise KL.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import MeanMetric

from lsgen.callbacks.base import undisturbed
from lsgen.callbacks.engine.observer import Observer
from lsgen.callbacks.evaluation.aggregate import factorised_normal
from lsgen.callbacks.probes import counts_observed, observations_of, observed_of
from lsgen.latent import EncodableLatentSpace, PointPosterior
from lsgen.latent.densities import check_density
from lsgen.metrics import (
    AggregatePosterior,
    AmortisationGap,
    NegativeLogLikelihood,
    annealed_log_evidence,
    enumerated_log_evidence,
)
from lsgen.metrics.enumerated import check_enumerable

__all__ = ["EvidenceMetrics"]

_PARTS = ("mutual_information", "marginal_kl", "total_correlation", "dimension_wise_kl")


class EvidenceMetrics(Observer):
    """Estimates the log-likelihood of test observations and the decomposition of the KL of the bound.

    Of a model of missing values it is the log-likelihood of those that are observed.

    Args:
        samples: codes for every observation in importance sampling.
        n: observations, the first of the test set on each process.
        chunk_size: codes for every observation decoded at once; it bounds the memory.
        temperatures: intermediate distributions of annealed importance sampling; None leaves it out.
        chains: its chains for every observation.
        most_codes: where given, the log-likelihood is also summed over all codes, of which there are so many at most.
        gap_steps: steps of Adam that find the best posterior of every observation; None leaves out what amortised
            inference loses.
        seed: seed of the codes.

    Raises:
        ValueError: a number is not positive; when testing starts, there are more codes than most_codes, or a model of
            missing values with temperatures, most_codes or gap_steps, which take complete observations.
        TypeError: when testing starts, the latent space has no encoder, or one without a density, or codes that are to
            be counted and cannot.

    """

    collective: ClassVar[bool] = True
    of_evidence: ClassVar[bool] = True
    judges: ClassVar[bool] = True

    def __init__(
        self,
        samples: int = 5000,
        n: int = 1000,
        chunk_size: int = 100,
        temperatures: int | None = None,
        chains: int = 16,
        most_codes: int | None = None,
        gap_steps: int | None = None,
        seed: int = 0,
    ) -> None:
        self.at_least(1, samples=samples, n=n, chunk_size=chunk_size, temperatures=temperatures, chains=chains)
        self.at_least(1, most_codes=most_codes, gap_steps=gap_steps)
        self.samples, self.n, self.chunk_size = samples, n, chunk_size
        self.temperatures, self.chains, self.seed = temperatures, chains, seed
        self.most_codes, self.gap_steps = most_codes, gap_steps

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module without posterior densities, before any work starts."""
        space = getattr(pl_module, "latent_space", None)
        if not isinstance(space, EncodableLatentSpace):
            raise TypeError(f"EvidenceMetrics expected a latent space with an encoder, got {type(space).__name__}")
        if isinstance(space.posterior, PointPosterior):
            raise TypeError("EvidenceMetrics expected posteriors with a density, got points")
        if self.gap_steps is not None and not space.posterior.reparameterised:
            name = type(space.posterior).__name__
            raise TypeError(f"EvidenceMetrics expected posteriors whose codes carry a gradient for the gap, got {name}")
        check_density(space.prior)
        for name in ("temperatures", "most_codes", "gap_steps") if counts_observed(pl_module) else ():
            if (value := getattr(self, name)) is not None:
                raise ValueError(f"EvidenceMetrics expected no {name} for a model of missing values, got {value}")
        if self.most_codes is not None:
            check_enumerable(space, self.most_codes)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the metrics."""
        space = pl_module.latent_space
        assert isinstance(space, EncodableLatentSpace)
        self._nll = NegativeLogLikelihood(self.samples, self.chunk_size).to(pl_module.device)
        self._annealed = MeanMetric().to(pl_module.device)
        self._exact = MeanMetric().to(pl_module.device)
        self._gap = None
        if self.gap_steps is not None:
            self._gap = AmortisationGap(self.gap_steps, samples=self.samples, chunk_size=self.chunk_size)
            self._gap.to(pl_module.device)
        self._aggregate = AggregatePosterior(space.prior()).to(pl_module.device)
        self._seen = 0

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the observations of a batch until there are enough."""
        x = observations_of(batch).x[: self.n - self._seen]
        observed = observed_of(pl_module, batch)
        space = pl_module.latent_space
        assert isinstance(space, EncodableLatentSpace)
        self._seen += len(x)
        if len(x):
            with undisturbed(space, self.seed + batch_idx), torch.no_grad():
                self._add(space.eval(), x, None if observed is None else observed[: len(x)])

    def _add(self, space: EncodableLatentSpace, x: Tensor, observed: Tensor | None) -> None:
        x = x if observed is None else torch.where(observed, x, 0.0)
        self._nll.update(space, x, observed)
        if self.temperatures is not None:
            with torch.inference_mode(False):  # trainers test in inference mode, and the chains need gradients
                bound = annealed_log_evidence(space, x.clone(), self.temperatures, self.chains)
            self._annealed.update(-bound.log_evidence)
        if self.most_codes is not None:
            self._exact.update(-enumerated_log_evidence(space, x, self.most_codes))
        if self._gap is not None:
            self._gap.update(space, x)
        q, p = space.encode(x), space.prior()
        if factorised_normal(q, p):
            self._aggregate.update(q)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log."""
        row = {"nll": self._nll.compute(), "nll_effective_samples": self._nll.effective_samples}
        if self.temperatures is not None:
            row["nll_annealed"] = self._annealed.compute()
        if self.most_codes is not None:
            row["nll_exact"] = self._exact.compute()
        if self._gap is not None:
            row |= self._gap.compute()
        if self._aggregate.update_called:
            with undisturbed(torch.nn.Identity(), self.seed):
                parts = self._aggregate.compute()
            row |= {f"aggregate/{name}": parts[name] for name in _PARTS}
        for name, value in row.items():
            pl_module.log(f"test/{name}", value.double(), batch_size=1, sync_dist=trainer.world_size > 1)
