"""Decoupling while training: whether the classes of the data depend on few latent dimensions each.

Concepts are the class probabilities of a classifier that is trained on the labels of the data. Sparsities of spaces of
different dimension are not comparable.

Reference: see `lsgen.metrics.decoupling`.
"""

from __future__ import annotations

from typing import ClassVar

from pytorch_lightning import LightningModule, Trainer

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule
from lsgen.latent import LatentSpace
from lsgen.metrics.decoupling import class_sensitivities, sparsities
from lsgen.metrics.quality import DatasetClassifier

__all__ = ["Decoupling"]


class Decoupling(PeriodicCallback):
    """Measures how sparsely the class probabilities depend on latent dimensions.

    Args:
        classifier: of the data's classes.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: codes to intervene on.
        step: change of one coordinate by intervention, in standard deviations of the prior.
        iterations: steps of the optimisation of weights; 0 leaves it out.
        n_class: codes of a class to optimise weights on, those whose samples the classifier finds likeliest.
        chunk_size: codes at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a count is not positive, or step is 0; the data have no labels.
        TypeError: when training starts, the data are no `lsgen.data.DataModule`, or codes cannot move.

    """

    family: ClassVar[str] = "sample/decoupling"

    def __init__(
        self,
        classifier: DatasetClassifier,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 256,
        step: float = 1.0,
        iterations: int = 100,
        n_class: int = 32,
        chunk_size: int = 256,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, n_class=n_class, chunk_size=chunk_size)
        if step == 0 or iterations < 0 or n_class > n:
            raise ValueError(
                "Decoupling expected a step other than 0, iterations of at least 0 and n_class of at most n, "
                f"got {step}, {iterations} and {n_class} of {n}"
            )
        self.classifier, self.n, self.step = classifier, n, step
        self.iterations, self.n_class, self.chunk_size = iterations, n_class, chunk_size
        self._data: DataModule | None = None

    def check(self, pl_module: LightningModule) -> LatentSpace:
        """Refuse a latent space whose codes cannot move continuously."""
        space = super().check(pl_module)
        space.manifold.check_continuous()
        return space

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module."""
        self._data = self.data_of(trainer)

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Measure both sensitivities, and log their sparsity."""
        assert self._data is not None
        self.classifier.to(space.prior().mean.device).prepare(self._data)
        found = class_sensitivities(
            space,
            self.classifier.probabilities,
            self.n,
            self.step,
            self.iterations,
            self.n_class,
            self.chunk_size,
        )
        values = {"accuracy": self.classifier.accuracy(self._data), **sparsities(found)}
        sink.scalars({f"{self.family}/{name}": value for name, value in values.items()})
        sink.arrays(self.family, **{f"sensitivity{how}": s.cpu() for how, s in found.items()})
