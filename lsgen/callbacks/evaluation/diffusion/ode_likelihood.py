"""Log-likelihood of test observations under a diffusion or flow model, by the probability-flow ODE."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import MeanMetric

from lsgen.callbacks.base import undisturbed
from lsgen.callbacks.engine.observer import Observer
from lsgen.callbacks.evaluation.metrics import code_length
from lsgen.callbacks.probes import observations_of
from lsgen.models.diffusion import Diffusion

__all__ = ["ODELikelihood"]


class ODELikelihood(Observer):
    """Measures -log p(x) of test observations, see `lsgen.models.diffusion.log_likelihood`; of their classes, if any.

    Args:
        n: observations, the first of the test set on each process.
        rtol: relative tolerance of the ODE.
        atol: absolute tolerance of the ODE.
        probes: random directions of Hutchinson's estimate of the divergence, at least 2; None for the exact one.
        chunk_size: directions that are differentiated at once, for every observation of a batch.
        seed: of the random directions.

    Raises:
        ValueError: a number is not positive, or there is one probe.
        TypeError: when testing starts, the model is no `Diffusion`, or learns the codes of a first stage.

    """

    collective: ClassVar[bool] = True
    judges: ClassVar[bool] = True

    def __init__(
        self,
        n: int = 1000,
        rtol: float = 1e-5,
        atol: float = 1e-5,
        probes: int | None = None,
        chunk_size: int = 64,
        seed: int = 0,
    ) -> None:
        self.at_least(1, n=n, chunk_size=chunk_size)
        self.at_least(2, probes=probes)
        if not (rtol > 0 and atol > 0):
            raise ValueError(f"expected rtol and atol above 0, got {rtol} and {atol}")
        self.n, self.rtol, self.atol, self.probes, self.chunk_size, self.seed = n, rtol, atol, probes, chunk_size, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse other models, before any work starts."""
        if not isinstance(pl_module, Diffusion):
            raise TypeError(f"ODELikelihood expected a Diffusion model, got {type(pl_module).__name__}")
        if pl_module.decoder.first_stage is not None:
            raise TypeError("ODELikelihood expected a model of observations, got one of the codes of a first stage")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the averages."""
        self._value, self._prior, self._square = (MeanMetric().to(pl_module.device) for _ in range(3))
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
        assert isinstance(pl_module, Diffusion)
        probe = observations_of(batch).first(self.n - self._seen)
        self._seen += len(probe)
        if not len(probe):
            return
        with undisturbed(pl_module.latent_space, self.seed + batch_idx), torch.inference_mode(False):
            label: Tensor | None = None if probe.label is None else probe.label.clone()
            found = pl_module.eval().log_likelihood(
                probe.x.clone(), label, self.rtol, self.atol, self.probes, self.chunk_size
            )
        self._value.update(-found.value)
        self._prior.update(-found.prior)
        self._square.update(found.error.square())

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log."""
        assert isinstance(pl_module, Diffusion)
        value = self._value.compute()
        name, length = code_length(-value, pl_module.latent_space, trainer.datamodule)  # type: ignore[attr-defined]
        row = {"nll_ode": value, "nll_ode_prior": self._prior.compute(), f"nll_ode_{name}": length}
        if self.probes is not None:
            row["nll_ode_error"] = self._square.compute().sqrt()
        for key, number in row.items():
            pl_module.log(f"test/{key}", number.double(), batch_size=1, sync_dist=trainer.world_size > 1)
