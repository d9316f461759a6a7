"""The evidence lower bound and its terms, logged while training and exact over every epoch and data set.

ELBO, reconstruction and KL are in nats per observation, summed over dimensions; the ELBO is that of beta = 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, ClassVar, cast

import torch
import torch.distributed
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.utils.hooks import RemovableHandle
from torchmetrics import MeanMetric

from lsgen.callbacks.engine.clock import bind_clock, continue_loggers, generator_steps, images_seen
from lsgen.callbacks.engine.observer import Observer
from lsgen.callbacks.engine.problems import protect_loggers
from lsgen.callbacks.probes import observed_of
from lsgen.data import DataModule
from lsgen.latent import EncodableLatentSpace, LatentSpace
from lsgen.metrics import ActiveUnits, EvidenceLowerBound, bits_per_dimension
from lsgen.models import Losses, ScalarLoss

__all__ = ["LikelihoodMetrics", "code_length"]

_TERMS = ("elbo", "reconstruction", "kl")
_MOST_DIMENSIONS = 64


class LikelihoodMetrics(Observer):
    """Feeds the losses that a model returns to exact metrics and logs them.

    Training steps give them as `{"loss": ..., "losses": Losses}`, validation and test steps return `Losses`; a
    module that gives neither has its training loss and throughput logged. Epoch averages are in the checkpoint, so
    an epoch resumed in its middle ends with the average over all of it. Validation values are in
    `trainer.callback_metrics` too.

    Args:
        every_n_steps: generator steps between two rows of train/; the trainer's `log_every_n_steps` unless given.

    Raises:
        ValueError: every_n_steps is not positive.

    """

    collective: ClassVar[bool] = True
    of_evidence: ClassVar[bool] = True
    judges: ClassVar[bool] = True

    def __init__(self, every_n_steps: int | None = None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"expected every_n_steps of at least 1, got {every_n_steps}")
        self.every_n_steps = every_n_steps
        self._epoch: EvidenceLowerBound | None = None
        self._bound: EvidenceLowerBound | None = None
        self._active: ActiveUnits | None = None
        self._observed: MeanMetric | None = None
        self._throughput = Throughput()
        self._posterior_means: list[Tensor] = []
        self._tap: RemovableHandle | None = None
        self._logged = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the loggers log against generator steps, and protect training from their failures."""
        protect_loggers(trainer)
        bind_clock(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Continue the logs at the step of the run."""
        continue_loggers(trainer, pl_module)
        self._logged = generator_steps(trainer, pl_module)
        self._throughput.restart(images_seen(pl_module))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the average of the epoch; this is not called when an epoch is resumed in its middle."""
        if self._epoch is not None:
            self._epoch.reset()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the batch to the epoch, and log it if a row is due."""
        losses = outputs.get("losses") if isinstance(outputs, Mapping) else None
        if isinstance(losses, Losses):
            if self._epoch is None:
                self._epoch = _bound_like(losses)
            elif self._epoch.kl_sum.device != losses.kl.device:
                self._epoch.to(losses.kl.device)
            self._epoch.update(losses)
        step = generator_steps(trainer, pl_module)
        every: int = self.every_n_steps or trainer.log_every_n_steps  # type: ignore[attr-defined]
        if step != self._logged and step % every == 0:
            self._logged = step
            self._log_batch(trainer, pl_module, outputs, losses)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the averages over the epoch."""
        if self._epoch is not None and bool(self._epoch.observations):
            values = self._epoch.compute()
            _log(trainer, pl_module, {f"train/{term}_epoch": values[term] for term in _TERMS})

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the averages."""
        self._throughput.pause(images_seen(pl_module))
        self._begin_evaluation(pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the batch."""
        self._add_evaluation(pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the averages over the validation set."""
        self._end_evaluation(trainer, pl_module, "val")
        self._throughput.restart(images_seen(pl_module))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the averages."""
        self._begin_evaluation(pl_module)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the batch."""
        self._add_evaluation(pl_module, outputs, batch)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the averages over the test set."""
        self._end_evaluation(trainer, pl_module, "test")

    def state_dict(self) -> dict[str, Any]:
        """Return the sums and counts of the epoch so far, of every process."""
        if self._epoch is None:
            return {}
        sums = {name: value.cpu() for name, value in self._epoch.state_dict().items()}
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return {"epoch": [sums]}
        every: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(every, sums)
        return {"epoch": every}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the sums of this process; if the number of processes has changed, the first process gets all."""
        every = state_dict["epoch"]
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if distributed else 0
        world = torch.distributed.get_world_size() if distributed else 1
        if world == len(every):
            sums = every[rank]
        else:
            sums = {name: sum(part[name] for part in every) * (rank == 0) for name in every[0]}
        self._epoch = EvidenceLowerBound(len(sums["kl_sum"]))
        self._epoch.persistent(True)
        self._epoch.load_state_dict(sums)

    def _log_batch(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, losses: Any) -> None:
        rate = self._throughput.measure(images_seen(pl_module))
        values: dict[str, Any] = {} if rate is None else {"train/images_per_s": rate}
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        named = {"loss": loss} if isinstance(loss, Tensor) else {}
        if isinstance(losses, Losses):
            terms = losses.elbo.mean(), losses.reconstruction.mean(), losses.kl.sum(-1).mean()
            named = {"loss": losses.loss, **dict(zip(_TERMS, terms, strict=True))}
        if isinstance(losses, Losses | ScalarLoss):
            values.update({f"train/{name}": float(weight) for name, weight in losses.weights.items()})
        named |= getattr(losses, "scalars", {})
        if named:
            row = trainer.strategy.reduce(torch.stack([term.detach() for term in named.values()]), reduce_op="mean")
            values.update({f"train/{name}": value for name, value in zip(named, row.tolist(), strict=True)})
        _send(trainer, pl_module, values)

    def _begin_evaluation(self, pl_module: LightningModule) -> None:
        self._bound = self._active = self._observed = None
        space = getattr(pl_module, "latent_space", None)
        if isinstance(space, EncodableLatentSpace) and self._tap is None:
            self._tap = space.posterior.register_forward_hook(self._note_posterior)

    def _note_posterior(self, module: nn.Module, inputs: Any, posterior: Distribution) -> None:
        self._posterior_means.append(posterior.mean.detach())

    def _add_evaluation(self, pl_module: LightningModule, losses: Any, batch: Any) -> None:
        means, self._posterior_means = self._posterior_means, []
        if not isinstance(losses, Losses):
            return
        if self._bound is None:
            self._bound = _bound_like(losses)
            self._active = ActiveUnits(losses.kl.shape[-1]).to(losses.kl.device)
        assert self._active is not None
        self._bound.update(losses)
        if means and means[0].shape == losses.kl.shape:
            self._active.update(means[0])
        if (observed := observed_of(pl_module, batch)) is not None:
            if self._observed is None:
                self._observed = MeanMetric().to(observed.device)
                self._observed.set_dtype(torch.float64)
            self._observed.update(observed.flatten(1).sum(1, dtype=torch.float64))

    def _end_evaluation(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._tap is not None:
            self._tap.remove()
            self._tap = None
        if self._bound is None or trainer.sanity_checking:
            return
        values = self._bound.compute()
        row: dict[str, Tensor] = {f"{stage}/{term}": values[term] for term in _TERMS}
        per_dimension = values["kl_per_dimension"].reshape(-1)  # a metric drops the dimension of a single number
        space = cast(LatentSpace, pl_module.latent_space)
        if len(per_dimension) == space.dim <= _MOST_DIMENSIONS:
            row.update({f"{stage}/kl_dimension/{i:02d}": value for i, value in enumerate(per_dimension)})
        if self._active is not None and bool(self._active.observations):
            row[f"{stage}/active_units"] = self._active.compute()
        data: Any = getattr(trainer, "datamodule", None)
        counted = None if self._observed is None else self._observed.compute()
        name, length = code_length(values["elbo"], space, data, counted)
        _log(trainer, pl_module, {**row, f"{stage}/{name}": length})


class Throughput:
    """Observations per second of training, the time of validation left out."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._seconds = 0.0
        self._images = 0

    def restart(self, images: int | None) -> None:
        """Start the timer."""
        self._since = perf_counter()
        if self._seconds == 0.0:
            self._images = images or 0

    def pause(self, images: int | None) -> None:
        """Stop the timer until the next restart."""
        if self._since is not None:
            self._seconds += perf_counter() - self._since
            self._since = None

    def measure(self, images: int | None) -> float | None:
        """Return the rate since the last measurement and begin the next; None where images are not counted."""
        if images is None or self._since is None:
            return None
        now = perf_counter()
        rate = (images - self._images) / (self._seconds + now - self._since)
        self._since, self._seconds, self._images = now, 0.0, images
        return rate


def code_length(
    elbo: Tensor, space: LatentSpace, data: LightningDataModule | None, observed: Tensor | None = None
) -> tuple[str, Tensor]:
    """Return -ELBO per data dimension as a name and a value; where values are missing, per observed dimension.

    It is `bits_per_dimension` where the likelihood is a probability of discrete data with as many outcomes as the
    data have levels, or a density of dequantised data, for which the change of units is added; everywhere else
    `nats_per_dimension`, as a density of continuous data bounds no number of bits.

    Args:
        elbo: nats per observation.
        space: gives the likelihood.
        data: tells what the values of an observation are, if it is a `lsgen.data.DataModule`.
        observed: values that are observed in an observation, on average, where the ELBO is that of these alone; all
            dimensions count unless given.

    """
    likelihood = space.likelihood
    dimensions = likelihood.dimensions if observed is None else float(observed)
    if isinstance(data, DataModule) and (levels := data.values.levels) is not None:
        if data.values.dequantised and not likelihood.discrete:
            return "bits_per_dimension", bits_per_dimension(elbo, dimensions, levels)
        if data.values.discrete and likelihood.discrete and levels == getattr(likelihood, "levels", 2):
            return "bits_per_dimension", bits_per_dimension(elbo, dimensions)
    return "nats_per_dimension", -elbo / dimensions


def _bound_like(losses: Losses) -> EvidenceLowerBound:
    bound = EvidenceLowerBound(losses.kl.shape[-1]).to(losses.kl.device)
    bound.persistent(True)
    return bound


def _log(trainer: Trainer, pl_module: LightningModule, values: Mapping[str, Tensor]) -> None:
    """Log values that are already reduced over processes, in float64."""
    for key, value in values.items():
        pl_module.log(key, value.double(), batch_size=1, sync_dist=trainer.world_size > 1)


def _send(trainer: Trainer, pl_module: LightningModule, values: Mapping[str, float]) -> None:
    if values:
        step = generator_steps(trainer, pl_module)
        for logger in trainer.loggers:
            logger.log_metrics(dict(values), step=step)
