"""The contract of every model: a Lightning module with a space of codes and two clocks of its own.

Lightning's `global_step` counts the steps of all optimisers, so it runs at another speed for every model.
`generator_steps` counts updates of what generates, `images_seen` counts observations over all processes;
both are saved in the checkpoint, schedules and `max_steps` are expressed in them, and they are the x axis
of every log.

Every batch, of training, validation and test, is judged when it comes: see `lsgen.models.intake`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.optim import Optimizer

from lsgen.latent import EncodableLatentSpace, ItemSpace, LatentSpace, Space
from lsgen.latent.posteriors import PointPosterior
from lsgen.likelihoods.text.naming import name_words
from lsgen.models.compiled import name_plainly
from lsgen.models.contract import Contract, expected_observations
from lsgen.models.intake import Batch, BatchIntake
from lsgen.models.losses import Losses, ScalarLoss
from lsgen.models.regularisers import MetricRegulariser, Penalty, evaluating, penalties

__all__ = ["Batch", "LatentModel", "OptimizerFactory", "best_by"]

OptimizerFactory = Callable[[Iterable[torch.nn.Parameter]], Optimizer]


def best_by(bounds_evidence: bool, codes_are_points: bool) -> tuple[str, str] | None:
    """Return the logged value that tells which weights of a model are best, with "max" or "min"; None if there is none.

    Args:
        bounds_evidence: see `LatentModel`; the scores of a game do not tell.
        codes_are_points: whether the posterior has no density, so that there is no evidence lower bound.

    """
    if not bounds_evidence:
        return None
    return ("val/loss", "min") if codes_are_points else ("val/elbo", "max")


class LatentModel(BatchIntake):
    """Abstract Lightning module with a `latent_space`.

    Args:
        latent_space: what the model learns: any space, with a prior and a decoder or without.
        max_steps: generator steps after which training stops; for ever where it is None.

    Attributes:
        precisions: values of `trainer.precision` under which the model trains; weights stay in single or double.
        bounds_evidence: whether validation and test give `Losses`, of which the ELBO is made.
        generator_steps: updates of what generates, so far.
        images_seen: observations seen in training, over all processes.
        last_losses: the terms of the current training batch, which tell what a loss is made of.
        regularised_by: the regularisers of the metric, by name; see `regularise`.

    Raises:
        ValueError: max_steps is not positive; at the start of training, another precision; see `BatchIntake`.

    """

    precisions: ClassVar[tuple[str, ...]] = ("32-true", "64-true", "16-mixed", "bf16-mixed")
    bounds_evidence: ClassVar[bool] = True

    latent_space: Space

    def __init__(self, latent_space: Space, max_steps: int | None = None) -> None:
        super().__init__()
        name_plainly(self)
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"expected model.max_steps of at least 1 generator step, got {max_steps}")
        self.latent_space = latent_space
        self.max_steps = max_steps
        self.generator_steps = 0
        self.images_seen = 0
        self.last_losses: Losses | ScalarLoss | None = None
        self.regularised_by: dict[str, MetricRegulariser] = {}

    def regularise(self, **regularisers: MetricRegulariser) -> Self:
        """Add penalties on the metric that the decoder induces to the loss, and return the model.

        Args:
            regularisers: the penalties, by the names that they have in logs.

        Raises:
            TypeError: one of them is none, or the space has no decoder, or no metric that it can regularise.
            ValueError: there is one of that name, or see the regulariser's `check`.

        """
        for name, one in regularisers.items():
            if not isinstance(one, MetricRegulariser):
                raise TypeError(f"expected {name} to be a MetricRegulariser, got {type(one).__name__}")
            if name in self.regularised_by:
                raise ValueError(f"expected a new name for a regulariser, got {name}, which there is already")
            one.check(self.trained_space)
            self.regularised_by[name] = one
        return self

    @property
    def trained_space(self) -> LatentSpace:
        """The latent space with the decoder that is trained, which some models average for use.

        Raises:
            TypeError: the space has no decoder.

        """
        if not isinstance(self.latent_space, LatentSpace):
            raise TypeError(
                f"expected a latent space with a decoder, whose metric can be regularised, got a "
                f"{type(self.latent_space).__name__} of {type(self).__name__}"
            )
        return self.latent_space

    def penalties(self, batch: Batch) -> dict[str, Penalty]:
        """Return the penalties on the metric that are due at the current generator step, by name."""
        if not self.regularised_by:
            return {}
        space, step = self.trained_space, self.generator_steps
        with evaluating(self.latent_space, space):
            return penalties(self.regularised_by, space, lambda: self.some_codes(batch), batch, step, self.training)

    def some_codes(self, batch: Batch) -> Tensor:
        """Return the codes at which the metric is regularised, (N, d): draws of the posterior, or of the prior."""
        if isinstance(self.latent_space, EncodableLatentSpace):
            return self.latent_space.encode(batch["x"]).rsample()
        return self.trained_space.prior.draw(len(batch["x"]))

    @property
    def criterion(self) -> tuple[str, str] | None:
        """The logged value that tells which weights are best, with "max" or "min"; None if there is none."""
        if not isinstance(self.latent_space, LatentSpace) or isinstance(self.latent_space, ItemSpace):
            return "val/loss", "min"
        posterior = getattr(self.latent_space, "posterior", None)
        return best_by(self.bounds_evidence, isinstance(posterior, PointPosterior))

    def least_batch(self, training: bool) -> int:
        """Return the number of observations of the smallest batch that model and regularisers can work on."""
        return max([super().least_batch(training), *(one.least_codes for one in self.regularised_by.values())])

    def tick(self, observations: int) -> None:
        """Advance the clocks by one generator step and ask the trainer to stop once `max_steps` is reached.

        Args:
            observations: observations that this process saw in the step.

        """
        self.generator_steps += 1
        self.images_seen += observations * self.trainer.world_size
        self._stop_at_limit()

    def contract(self) -> Contract:
        """Return the requirements on a batch: observations in the support of the likelihood.

        Where there is none they are finite numbers, of the shape that a `FeatureSpace` names.
        """
        name = type(self).__name__
        return Contract(name, expected_observations(self.latent_space, name))

    def setup(self, stage: str) -> None:
        """Tell likelihoods of text which words the data have.

        Raises:
            ValueError: they are not those that the model has learned.

        """
        super().setup(stage)
        if isinstance(self.latent_space, LatentSpace):
            name_words(self.latent_space.likelihood, getattr(self.trainer, "datamodule", None))

    def on_fit_start(self) -> None:
        """Check precision and data, and stop at once if the step limit is already reached."""
        precision, name = str(self.trainer.precision), type(self).__name__
        if precision not in self.precisions:
            raise ValueError(f"{name} expected trainer.precision of {' or '.join(self.precisions)}, got {precision}")
        super().on_fit_start()
        self._stop_at_limit()

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the output of the model for a batch of observations."""
        made: Tensor = self(batch["x"])
        return made

    def _stop_at_limit(self) -> None:
        if self.max_steps is not None and self.generator_steps >= self.max_steps:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clocks."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["clocks"] = {"generator_steps": self.generator_steps, "images_seen": self.images_seen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clocks.

        Raises:
            ValueError: the checkpoint has none.

        """
        clocks = checkpoint.get("clocks")
        if not isinstance(clocks, Mapping):
            got = "one without" if clocks is None else f"a {type(clocks).__name__} as"
            raise ValueError(f"expected a checkpoint that lsgen saved, with the clocks of a model, got {got} 'clocks'")
        self.generator_steps, self.images_seen = clocks["generator_steps"], clocks["images_seen"]
