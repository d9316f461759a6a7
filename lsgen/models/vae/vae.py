"""The variational autoencoder, assembled from parts: variants are objects passed in, not subclasses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent import EncodableLatentSpace, Posterior, Prior
from lsgen.latent.families.product import OneHot
from lsgen.likelihoods import Likelihood
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.contract import AllowedRange, Contract
from lsgen.models.loaders import training_observations
from lsgen.models.losses import Losses
from lsgen.models.optimised import OptimisedModel
from lsgen.models.regularisers import Penalty
from lsgen.models.vae.aggregate.adversarial import AdversarialObjective
from lsgen.models.vae.objective import DataSetObjective, Objective

__all__ = ["VAE"]


class VAE(OptimisedModel):
    """A variational autoencoder.

    Args:
        encoder: observations (N, C, ...) -> posterior parameters (N, posterior.heads * d).
        decoder: codes (N, d) -> raw outputs (N, heads * C, ...).
        likelihood: raw outputs -> p(x|z).
        prior: p(z).
        objective: what is minimised.
        posterior: family of q(z|x); a diagonal normal unless another is given.
        optimizer: parameters -> optimiser; fused Adam with learning rate 1e-3 unless another is given.
        scheduler: optimiser -> learning-rate scheduler, stepped once a generator step; none unless given.
        max_steps: generator steps after which training stops.

    Raises:
        ValueError: the parts disagree on the latent dimension or on the number of heads.
        TypeError: the objective cannot train with the prior, the posterior or the decoder.

    """

    latent_space: EncodableLatentSpace

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        objective: Objective,
        posterior: Posterior | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        space = EncodableLatentSpace(encoder, decoder, likelihood, prior, posterior)
        super().__init__(space, optimizer, scheduler, max_steps)
        objective.check(self.latent_space)
        self.objective = objective

    def setup(self, stage: str) -> None:
        """Switch to manual optimisation if the objective has a discriminator.

        Lightning refuses a Trainer that clips gradients for a model that optimises by hand, although
        `clip_gradients` honours its settings: this hook runs after that check.

        Raises:
            ValueError: gradients are to be accumulated over batches, which an adversary rules out.

        """
        super().setup(stage)
        if stage != "fit" or not isinstance(self.objective, AdversarialObjective):
            return
        if self.trainer.accumulate_grad_batches != 1:
            raise ValueError(
                f"{type(self.objective).__name__} expected trainer.accumulate_grad_batches = 1, "
                f"got {self.trainer.accumulate_grad_batches}: the adversary answers every batch"
            )
        self.automatic_optimization = False

    def teardown(self, stage: str) -> None:
        """Return to automatic optimisation."""
        self.automatic_optimization = True

    def contract(self) -> Contract:
        """Return the requirements of the objective on a batch."""
        classes = [part.dim for part in self.latent_space.prior.modules() if isinstance(part, OneHot)]
        labels = None
        if "label" in self.objective.demands and classes:
            words = f"expected labels from 0 to {classes[0] - 1}, or -1 where the class is not known"
            labels = AllowedRange(f"{type(self.objective).__name__} {words}", -1, classes[0] - 1)
        owner, likelihood = type(self.objective).__name__, self.latent_space.likelihood
        return Contract(owner, likelihood, self.objective.demands, labels)

    def on_fit_start(self) -> None:
        """Tell the objective the number of training observations if it depends on it."""
        super().on_fit_start()
        self._count_observations()

    def on_train_start(self) -> None:
        """Tell the objective again, for Lightning's tuners, which skip the start of a fit."""
        super().on_train_start()
        self._count_observations()

    def loss(self, batch: Batch) -> Losses:
        """Return the losses of a batch at the current generator step, those of the metric included."""
        return self.regularised(cast(Losses, self.objective(self.latent_space, batch, self.generator_steps)), batch)

    def penalties(self, batch: Batch) -> dict[str, Penalty]:
        """Return the penalties on the metric that are due, at codes of what the encoder sees of a batch."""
        return super().penalties({"x": self.objective.seen(batch)}) if self.regularised_by else {}

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean reconstruction of observations (N, *shape), through the posterior mean."""
        return self.latent_space.decode(self.latent_space.encode(x).mean).mean

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the loss and its detached terms; with an adversary, update both sides as well."""
        if not isinstance(self.objective, AdversarialObjective):
            return super().training_step(batch, batch_idx)
        self._pending += len(batch["x"])
        return self._adversarial_step(self.objective, batch)

    def _adversarial_step(self, objective: AdversarialObjective, batch: Batch) -> dict[str, Any]:
        losses, codes = objective.losses_and_codes(self.latent_space, batch, self.generator_steps)
        losses = self.regularised(losses, batch)
        adversary_loss = objective.adversary_loss(self.latent_space, codes.detach())
        self.last_losses = losses.detach()
        self.last_losses = replace(
            self.last_losses, scalars={**self.last_losses.scalars, "adversary_loss": adversary_loss.detach()}
        )
        optimizers = cast(list[LightningOptimizer], self.optimizers())
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(losses.loss + adversary_loss)
        for optimizer in optimizers:
            optimizer.step()
        if self.scheduler is not None:
            cast(LRScheduler, self.lr_schedulers()).step()
        self.tick_pending()
        return {"loss": losses.loss.detach(), "losses": self.last_losses}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradients of model and discriminator separately under manual optimisation."""
        if not self.automatic_optimization:
            self.clip_gradients(optimizer)

    def learned(self) -> Iterable[nn.Parameter]:
        """Return all parameters but those of an adversary, which has its own optimiser."""
        apart = {id(parameter) for parameter in self._adversary.parameters()}
        return (parameter for parameter in self.parameters() if id(parameter) not in apart)

    def configure_optimizers(self) -> Any:
        """Return the optimiser, the scheduler stepped every generator step, and the adversary's optimiser."""
        config = super().configure_optimizers()
        if isinstance(self.objective, AdversarialObjective):
            return [config, {"optimizer": self.objective.optimizer(self._adversary.parameters())}]
        return config

    @property
    def _adversary(self) -> nn.Module:
        return self.objective.discriminator if isinstance(self.objective, AdversarialObjective) else nn.Module()

    def _count_observations(self) -> None:
        if not isinstance(self.objective, DataSetObjective):
            return
        observations = training_observations(self.trainer)
        if observations is None:
            raise ValueError(
                f"expected training data of known length, got {type(self.trainer.train_dataloader).__name__}: "
                "give the objective its observations"
            )
        self.objective.prepare(observations)
