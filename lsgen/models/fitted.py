"""Models that are fitted rather than trained by gradients: closed forms and expectation maximisation.

A fit is one pass over the training data or several. A pass adds up statistics of the batches, over all batches and
processes, with the parameters as they stand; after it, the parameters are solved for. So the batch size, the order of
the observations and the number of processes do not matter, and a fit that is cut short goes on where it was. A model
that needs all observations at once, such as one that a library fits, has its statistics joined instead of added: they
are then as long as the data.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from lsgen.latent import EncodableSpace, LatentSpace
from lsgen.models.base import Batch, LatentModel
from lsgen.models.loaders import training_observations
from lsgen.models.losses import Losses, ScalarLoss
from lsgen.models.regularisers import MetricRegulariser

__all__ = ["FittedModel", "moments", "principal_axes"]


class FittedModel(LatentModel):
    """Abstract model whose parameters are solved for from sums over the training data.

    A model gives `statistics`, `solve`, `loss` and `least_observations`; the rest is here. No parameter has a gradient,
    and training stops by itself after the last pass. Losses are those of the model as it stands.

    Args:
        latent_space: what is fitted.
        passes: passes over the training data, an epoch each; 1 where the solution is a closed form of the sums.
        max_steps: batches after which the fit is made from what has been seen, if not at the end of the last pass.

    Attributes:
        joined: whether statistics of batches are put one after the other, along their first dimension, and not added.
        passes_made: passes after which the parameters were solved for, so far.

    Raises:
        ValueError: passes or max_steps is not positive; when the fit starts, there are fewer observations than
            `least_observations`; after a pass, its statistics are not finite.

    """

    latent_space: EncodableSpace
    joined: ClassVar[bool] = False

    def __init__(self, latent_space: EncodableSpace, passes: int = 1, max_steps: int | None = None) -> None:
        if passes < 1:
            raise ValueError(f"expected at least 1 pass over the training data, got {passes}")
        super().__init__(latent_space.requires_grad_(False), max_steps)
        self.automatic_optimization = False
        self.passes, self.passes_made = passes, 0
        self._seen: list[list[Tensor]] = []

    def regularise(self, **regularisers: MetricRegulariser) -> Self:
        """Refuse regularisers.

        Raises:
            TypeError: there is one.

        """
        if regularisers:
            raise TypeError(f"expected a model that learns by gradients, got {type(self).__name__}, which is fitted")
        return self

    @property
    @abstractmethod
    def least_observations(self) -> int:
        """The least number of observations that determine the parameters."""

    @abstractmethod
    def statistics(self, x: Tensor) -> Sequence[Tensor]:
        """Return what observations (B, *shape) add, as many tensors for any batch, sums in double precision.

        Where they are joined, the order of the observations must not matter to `solve`.
        """

    @abstractmethod
    def solve(self, count: Tensor, *sums: Tensor) -> None:
        """Set the parameters.

        Args:
            count: number N of observations of the pass, ().
            sums: sums of the statistics over them, or all of them where they are joined.

        """

    @abstractmethod
    def loss(self, batch: Batch) -> Losses | ScalarLoss:
        """Return the losses of a batch, which are logged and not minimised by gradients."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of observations (N, *shape), or their codes where the space has no decoder."""
        z: Tensor = self.latent_space.encode(x).mean
        return self.latent_space.decode(z).mean if isinstance(self.latent_space, LatentSpace) else z

    def fit(self, x: Tensor) -> FittedModel:
        """Fit to observations (N, *shape) without a trainer, in all passes, and return the model.

        Raises:
            TypeError, ValueError: the observations are none of the likelihood's, there are too few of them, or their
                statistics are not finite.

        """
        contract, like = self.contract(), next(iter(self.parameters()))
        batch = contract.take({"x": x.to(like.device)}, like.dtype)
        if not contract.allows(batch):
            refused = next(found for found in contract.value_checks(batch) if not bool(found.verdict().all()))
            row = int((~refused.verdict()).int().argmax())
            raise ValueError(refused.sentence(float(refused.values[row]), f"observation {row}"))
        self._check_count(len(x))
        self.passes_made = 0
        while self.passes_made < self.passes:
            self._seen = []
            self.accumulate(batch["x"])
            self._finish_pass()
        return self

    @torch.no_grad()
    def accumulate(self, x: Tensor) -> None:
        """Add observations (B, *shape) to what the pass has seen."""
        count = torch.full((), len(x), dtype=torch.float64, device=x.device)
        self._seen.append([count, *self.statistics(x.detach())])
        if not self.joined:
            self._together()

    def on_train_start(self) -> None:
        """Refuse too few observations before any is seen, where their number is known; stop where all is done."""
        super().on_train_start()
        if (known := training_observations(self.trainer)) is not None:
            self._check_count(known)
        if self.passes_made >= self.passes:
            self.trainer.should_stop = True

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Add the batch to the sums, and solve after the last one of a pass."""
        self.last_losses = losses = self.loss(batch)
        self.accumulate(batch["x"])
        self.tick(len(batch["x"]))
        if self.trainer.is_last_batch or self.trainer.should_stop:
            self._gather()
            self._finish_pass()
            if self.passes_made >= self.passes:
                self.trainer.should_stop = True
        return {"loss": losses.loss, "losses": losses}

    def validation_step(self, batch: Batch, batch_idx: int) -> Losses | ScalarLoss:  # type: ignore[override]
        """Return the losses of a validation batch."""
        return self._evaluation_step(batch, "val/loss")

    def test_step(self, batch: Batch, batch_idx: int) -> Losses | ScalarLoss:  # type: ignore[override]
        """Return the losses of a test batch."""
        return self._evaluation_step(batch, "test/loss")

    def configure_optimizers(self) -> list[Any]:
        """Ask for no optimiser."""
        return []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clocks, and how far the fit is."""
        super().on_save_checkpoint(checkpoint)
        sums = self._together() if self._seen else None
        checkpoint["fit"] = {"passes_made": self.passes_made, "sums": sums}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clocks, and how far the fit is.

        Raises:
            ValueError: the checkpoint is that of a model that is not fitted.

        """
        super().on_load_checkpoint(checkpoint)
        if not isinstance(checkpoint.get("fit"), dict):
            raise ValueError(f"{type(self).__name__} expected a checkpoint of a fitted model, got one without 'fit'")
        self.passes_made, sums = checkpoint["fit"]["passes_made"], checkpoint["fit"]["sums"]
        self._seen = [] if sums is None else [sums]

    def _together(self) -> list[Tensor]:
        """Add or join what has been seen, and return it."""
        if len(self._seen) > 1:
            device = self._seen[-1][0].device
            count, *parts = ([part.to(device) for part in same] for same in zip(*self._seen, strict=True))
            sums = [torch.cat(same) if self.joined else reduce(torch.add, same) for same in parts]
            self._seen = [[reduce(torch.add, count), *sums]]
        return self._seen[0]

    def _gather(self) -> None:
        """Add or join the sums of all processes."""
        count, *sums = self._together()
        strategy = self.trainer.strategy
        if self.joined and self.trainer.world_size > 1:
            sums = [self._of_all_processes(part) for part in sums]
        elif not self.joined:
            sums = [strategy.reduce(part, reduce_op="sum") for part in sums]
        self._seen = [[strategy.reduce(count, reduce_op="sum"), *sums]]

    def _of_all_processes(self, part: Tensor) -> Tensor:
        """Return the parts of all processes, which may be of different lengths, one after the other."""
        gather = self.trainer.strategy.all_gather
        lengths = gather(torch.tensor(len(part), device=part.device)).flatten().tolist()
        padded = part.new_zeros(max(lengths), *part.shape[1:])
        padded[: len(part)] = part
        return torch.cat([one[:length] for one, length in zip(gather(padded), lengths, strict=True)])

    def _finish_pass(self) -> None:
        """Solve for the parameters from the sums of a pass."""
        count, *sums = self._together()
        self._check_count(int(count))
        if not all(bool(part.isfinite().all()) for part in sums):
            raise ValueError(f"{type(self).__name__} expected observations with finite statistics, got others")
        with torch.no_grad():
            self.solve(count, *sums)
        self._seen = []
        self.passes_made += 1

    def _check_count(self, observations: int) -> None:
        least = self.least_observations
        if observations < least:
            raise ValueError(
                f"{type(self).__name__} with d = {self.latent_space.dim} expected at least {least} observations, "
                f"got {observations}"
            )

    def _evaluation_step(self, batch: Batch, key: str) -> Losses | ScalarLoss:
        losses = self.loss(batch)
        self.log(key, losses.loss, batch_size=len(batch["x"]), on_epoch=True, sync_dist=True)
        return losses


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum (D,) and the sum of products (D, D) of rows (B, D), in double precision."""
    wide = x.double()
    return wide.sum(0), wide.T @ wide


def principal_axes(count: Tensor, total: Tensor, products: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean (D,), the variances along the principal axes (D,), the greatest first, and the axes (D, D).

    Args:
        count: number of rows, ().
        total: their sum (D,).
        products: the sum of their products (D, D).

    Returns:
        Mean, variances, which rounding may leave below 0, and axes as columns.

    """
    mean = total / count
    values, vectors = torch.linalg.eigh(products / count - torch.outer(mean, mean))
    return mean, values.flip(0), vectors.flip(1)
