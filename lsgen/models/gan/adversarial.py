r"""Alternating training of a critic and a generator, under manual optimisation.

Every `accumulate` batches the critic is updated once; after every `n_critic` updates of the critic the generator is
updated once, from codes as many as the batches had observations. `generator_steps` counts updates of the generator,
`images_seen` observations that training has read; Lightning's `global_step`, the sum over both players, is used
for nothing. Batches that wait for their update are part of the checkpoint.

Gradients are averaged over processes once an update, by one reduction of our own, for which it is no matter which
parameters took part; so plain `strategy=ddp` trains two players. Codes are drawn for all processes together and
each takes its part: processes with equal seeds do not repeat one another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor, nn

from lsgen.latent import EncodableLatentSpace, LatentSpace
from lsgen.models.averaging import WeightAveraged
from lsgen.models.base import Batch
from lsgen.models.contract import AllowedRange, Contract
from lsgen.models.gan.space import RescaledGenerator
from lsgen.models.gan.terms import AdversarialLosses
from lsgen.models.gan.updates import Updates
from lsgen.models.parts import frozen_parameters

__all__ = ["AdversarialModel"]


class AdversarialModel(WeightAveraged, ABC):
    """Abstract model with a critic and a generator that are trained against each other.

    Args:
        latent_space: what the model learns; its decoder is a generator in `RescaledGenerator`.
        updates: optimisers of both players, and how their updates alternate.
        max_steps: generator steps after which training stops.

    Attributes:
        generator: the network that is trained; `latent_space` decodes with it, or with its moving average where
            one is kept.

    """

    generative: ClassVar[str] = "generator"
    precisions: ClassVar[tuple[str, ...]] = ("32-true", "64-true", "bf16-mixed")
    bounds_evidence: ClassVar[bool] = False

    last_losses: AdversarialLosses | None  # type: ignore[assignment]

    def __init__(
        self,
        latent_space: LatentSpace,
        updates: Updates = Updates(),
        max_steps: int | None = None,
    ) -> None:
        super().__init__(latent_space, max_steps)
        self.automatic_optimization = False
        self.updates = updates
        self.generator = self.decoder.generator
        self.critic_steps = 0
        self._waiting: list[Batch] = []
        self._trained: list[LatentSpace] = []  # in a list, so that its parts are not registered twice

    @property
    def decoder(self) -> RescaledGenerator:
        """The decoder of the latent space."""
        decoder = self.latent_space.decoder
        assert isinstance(decoder, RescaledGenerator)
        return decoder

    def contract(self) -> Contract:
        """Return the requirements on a batch: values within the range that the networks are built for."""
        value_range = None
        if self.decoder.value_range is not None:
            low, high = self.decoder.value_range
            value_range = AllowedRange(f"expected observations in model.value_range = [{low:g}, {high:g}]", low, high)
        return replace(super().contract(), value_range=value_range)

    @abstractmethod
    def players(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters of the critic, and of the generator with those that make codes."""

    def code_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the prior and, where codes are inferred, of encoder and posterior."""
        space = self.latent_space
        inferring = [space.encoder, space.posterior] if isinstance(space, EncodableLatentSpace) else []
        return [parameter for part in (*inferring, space.prior) for parameter in part.parameters()]

    @abstractmethod
    def critic_terms(self, batch: Batch, updates: int | None) -> Mapping[str, Tensor]:
        """Return the terms of the critic's loss, scalars.

        Args:
            batch: the batch.
            updates: completed updates of the critic, which decide on lazy regularisers; None skips regularisers.

        """

    @abstractmethod
    def generator_terms(self, batch: Batch, updates: int) -> Mapping[str, Tensor]:
        """Return the terms of the generator's loss, scalars."""

    @property
    def trained_space(self) -> LatentSpace:
        """The latent space with the generator that is trained; it has no encoder where the generator is averaged."""
        if not self.averaged:
            return self.latent_space
        if not self._trained:
            decoder, space = RescaledGenerator(self.generator, self.decoder.value_range), self.latent_space
            self._trained.append(LatentSpace(decoder, space.likelihood, space.prior))
        return self._trained[0]

    def some_codes(self, batch: Batch) -> Tensor:
        """Return the codes at which the metric is regularised, (N, d): draws of the posterior, or of the prior."""
        if isinstance(self.latent_space, EncodableLatentSpace):
            return super().some_codes(batch)
        return self.codes(len(batch["x"]))

    def _regularised_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the generator's loss with the penalties on the metric."""
        found = dict(self.generator_terms(batch, self.generator_steps))
        return found | {name: one.term for name, one in self.penalties(batch).items()}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Update the players whose turn it is; return the latest terms of both."""
        self.images_seen += len(batch["x"]) * self.trainer.world_size
        self._waiting.append(batch)
        if len(self._waiting) == self.updates.accumulate:
            critic, generator = self.optimizers()  # type: ignore[attr-defined]
            critic_parameters, generator_parameters = self.players()
            self._update("critic", critic, critic_parameters, partial(self.critic_terms, updates=self.critic_steps))
            self.critic_steps += 1
            if self.critic_steps % self.updates.n_critic == 0:
                with frozen_parameters(critic_parameters):
                    self._update("generator", generator, generator_parameters, self._regularised_terms)
                self._schedule()
                self.tick(0)
            self._waiting.clear()
        losses = self.last_losses
        return {} if losses is None else {"loss": losses.loss, "losses": losses}

    def validation_step(self, batch: Batch, batch_idx: int) -> AdversarialLosses:  # type: ignore[override]
        """Return the critic's terms on a validation batch."""
        return self._evaluation_step(batch, "val/loss")

    def test_step(self, batch: Batch, batch_idx: int) -> AdversarialLosses:  # type: ignore[override]
        """Return the critic's terms on a test batch."""
        return self._evaluation_step(batch, "test/loss")

    def configure_optimizers(self) -> Any:
        """Return the optimisers of critic and generator, in this order, with their schedulers."""
        critic, generator = self.players()
        optimizers = [self.updates.critic_optimizer(critic), self.updates.generator_optimizer(generator)]
        if self.updates.scheduler is None:
            return optimizers
        return optimizers, [self.updates.scheduler(optimizer) for optimizer in optimizers]

    def codes(self, n: int) -> Tensor:
        """Return n codes from the prior, (n, d), with the gradient of its parameters; other processes get others."""
        world = self.trainer.world_size if self._trainer is not None else 1
        return self.latent_space.prior.draw(n * world).chunk(world)[self.global_rank]

    def configure_callbacks(self) -> list[Callback]:
        """Refuse options of the trainer that manual optimisation cannot use; add no callbacks."""
        unused = (("gradient_clip_val", "clip_norm", (None, 0)), ("accumulate_grad_batches", "accumulate", (1,)))
        for option, ours, without in unused:
            value = getattr(self.trainer, option)
            if value not in without:
                raise ValueError(f"expected model.updates.{ours} = {value} for a GAN, got trainer.{option} = {value}")
        return []

    def on_fit_start(self) -> None:
        """Refuse a strategy under which two players cannot be trained exactly."""
        super().on_fit_start()
        strategy = self.trainer.strategy
        if not isinstance(strategy, SingleDeviceStrategy | DDPStrategy):
            raise ValueError(
                f"{type(self).__name__} expected one device or strategy=ddp, got {type(strategy).__name__}"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clocks, and the batches that wait for their update."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["clocks"]["critic_steps"] = self.critic_steps
        checkpoint["waiting"] = [dict(batch) for batch in self._waiting]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clocks and the batches."""
        super().on_load_checkpoint(checkpoint)
        self.critic_steps = checkpoint["clocks"]["critic_steps"]
        self._waiting = list(checkpoint["waiting"])

    def _update(
        self,
        player: str,
        optimizer: Any,
        parameters: Sequence[nn.Parameter],
        terms_of: Callable[[Batch], Mapping[str, Tensor]],
    ) -> None:
        """Take one step of a player, from the average of its loss over the waiting batches."""
        optimizer.zero_grad()
        totals: dict[str, Tensor] = {}
        with self._unsynchronised():
            for batch in self._waiting:
                batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
                terms = {f"{player}/{name}": term / len(self._waiting) for name, term in terms_of(batch).items()}
                for name, term in terms.items():
                    totals[name] = totals[name] + term.detach() if name in totals else term.detach()
                self.last_losses = self._merged(player, totals)
                self.manual_backward(torch.stack(list(terms.values())).sum())
        self._average_gradients(parameters)
        if self.updates.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, self.updates.clip_norm)
        optimizer.step()

    def _merged(self, player: str, terms: Mapping[str, Tensor]) -> AdversarialLosses:
        """Return the terms of one player with the latest ones of the other."""
        kept = {} if self.last_losses is None else self.last_losses.scalars
        other = {name: term for name, term in kept.items() if not name.startswith(f"{player}/")}
        return AdversarialLosses({**other, **terms})

    def _average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.trainer.world_size == 1 or not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat = self.trainer.strategy.reduce(flat, reduce_op="mean")
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _unsynchronised(self) -> AbstractContextManager[Any]:
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, DDPStrategy) else nullcontext()

    def _schedule(self) -> None:
        schedulers = self.lr_schedulers()
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers] if schedulers else []:
            scheduler.step()  # type: ignore[call-arg]

    def _evaluation_step(self, batch: Batch, key: str) -> AdversarialLosses:
        losses = AdversarialLosses({f"critic/{name}": t for name, t in self.critic_terms(batch, None).items()})
        self.log(key, losses.loss, batch_size=len(batch["x"]), on_epoch=True, sync_dist=True)
        return losses
