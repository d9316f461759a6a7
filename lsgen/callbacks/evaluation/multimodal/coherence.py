"""Whether the modalities that a model generates show one class: the class of what they are generated from."""

from __future__ import annotations

from typing import ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.held_out_scores import check_labelled
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import MultimodalData, Split
from lsgen.latent.multimodal import MultimodalSpace
from lsgen.metrics.multimodal.classifiers_apart import ModalityClassifier, modality_classifiers
from lsgen.metrics.multimodal.code_classification import latent_classification
from lsgen.metrics.multimodal.coherence import generated_classes

__all__ = ["ModalityCoherence"]


class ModalityCoherence(PeriodicCallback):
    """Logs conditional coherence by the number of inputs, joint coherence, both per class and per pair, and chance.

    See `lsgen.metrics.multimodal.coherence`. Classifiers of the modalities are trained on the training split at the
    first turn; their accuracy on the test split, which no coherence can be expected to exceed, is logged beside. So is
    the accuracy of linear classifiers of codes, and the log-likelihood of every modality given the code of all.

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `PeriodicCallback`.
        n: held-out observations, all where there are fewer, and draws from the prior.
        split: where the observations come from.
        classes: number of classes.
        steps: training steps of the classifiers of images.
        linear: training observations for linear classifiers of codes; 0 for none.
        chunk_size: observations at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range; when training starts, there are no labels, or others than the classes.
        TypeError: when training starts, the data are no `MultimodalData`, or the latent space is none of them.

    """

    family: ClassVar[str] = "coherence"
    judges: ClassVar[bool] = True
    takes: ClassVar[type] = MultimodalSpace
    default_steps: ClassVar[int | None] = None

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 1000,
        split: Split = "val",
        classes: int = 10,
        steps: int = 1000,
        linear: int = 500,
        chunk_size: int = 250,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, steps=steps, chunk_size=chunk_size)
        self.at_least(2, classes=classes)
        self.at_least(0, linear=linear)
        self.n, self.split, self.classes, self.steps = n, split, classes, steps
        self.linear, self.chunk_size = linear, chunk_size
        self._data: MultimodalData | None = None
        self._classifiers: dict[str, ModalityClassifier] = {}

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module; refuse one without labels."""
        data = self.data_with(trainer, self.split)
        if not isinstance(data, MultimodalData):
            raise TypeError(f"ModalityCoherence expected MultimodalData, got {type(data).__name__}")
        check_labelled(self, data, (self.split,))
        self._data = data

    def render(self, space: MultimodalSpace, probe: Probe | None, sink: Sink) -> None:
        """Generate, classify and log."""
        data, like = self._data, next(space.parameters())
        assert data is not None
        if not self._classifiers:
            self._classifiers = modality_classifiers(data, self.classes, self.steps, device=like.device)
        batch = data.probe(min(self.n, len(data.dataset(self.split))), self.split)
        x, labels = batch["x"].to(like.device, like.dtype), batch["label"]
        found = generated_classes(space, x, labels, self._classifiers, self.n, self.classes, self.chunk_size)
        values = found.values() | {f"classifier/{name}": one.accuracy for name, one in self._classifiers.items()}
        values |= {f"log_likelihood/{name}": value for name, value in self._log_likelihoods(space, x).items()}
        if self.linear:
            values |= self._linear(space, data, (x, labels))
        sink.scalars({f"{self.family}/{key}": value for key, value in values.items()})

    def _linear(
        self, space: MultimodalSpace, data: MultimodalData, held_out: tuple[Tensor, Tensor]
    ) -> dict[str, float]:
        """Return the accuracy of linear classifiers of codes by the number of inputs."""
        batch = data.probe(min(self.linear, len(data.dataset("train"))), "train")
        whole = batch["present"].all(1) if "present" in batch else torch.ones(len(batch["x"]), dtype=torch.bool)
        x, labels = batch["x"][whole], batch["label"][whole]
        if len(labels.unique()) < 2:
            return {}
        found = latent_classification(space, (x.to(held_out[0]), labels), held_out)
        return {f"linear_{size}": accuracy for size, accuracy in found.items()}

    def _log_likelihoods(self, space: MultimodalSpace, x: Tensor) -> dict[str, float]:
        """Return E log p_i(x_i|z) of every modality, z from the posterior of all, in nats per observation."""
        parts = [
            torch.stack(list(space.decode(space.encode(some).sample()).log_probs(some).values()), 1)
            for some in x.split(self.chunk_size)
        ]
        return dict(zip(space.names, torch.cat(parts).double().mean(0).tolist(), strict=True))
