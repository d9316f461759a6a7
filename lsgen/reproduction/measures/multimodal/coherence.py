"""Coherence of modalities that are generated, one test observation and one draw from the prior at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lsgen.callbacks.base import undisturbed
from lsgen.data import MultimodalData
from lsgen.latent.multimodal import MultimodalSpace
from lsgen.metrics.multimodal.classifiers_apart import ModalityClassifier, modality_classifiers
from lsgen.metrics.multimodal.coherence import generated_classes
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["TestCoherence"]

_trained: list[tuple[object, dict[str, ModalityClassifier]]] = []  # the last ones, with what they were trained on


@dataclass(frozen=True)
class TestCoherence:
    """Measures the coherence of generated modalities in percent, on test observations that are the same for every run.

    Its keys are `conditional_K`, of what is generated from K modalities, with the share of each observation, `joint`,
    of draws from the prior, with each draw, their levels of chance `conditional_K_chance` and `joint_chance`, and
    `classifier`, the mean accuracy of the classifiers; see `lsgen.metrics.multimodal.coherence`.

    Attributes:
        n: test observations, drawn at random, and draws from the prior.
        steps: training steps of the classifiers.
        classes: number of classes.
        seed: seed of the codes.

    Raises:
        ValueError: a number is not positive, or there are no labels.
        TypeError: the data or the latent space are none of several modalities.

    """

    __test__ = False  # nothing that pytest collects

    n: int = 5000
    steps: int = 1000
    classes: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.n, self.steps, self.classes) < 1:
            raise ValueError(f"expected n, steps and classes of at least 1, got {self}")

    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space, data = run.model.latent_space, run.data
        if not isinstance(space, MultimodalSpace) or not isinstance(data, MultimodalData):
            raise TypeError(
                f"TestCoherence expected a MultimodalSpace and MultimodalData, got {type(space).__name__} and "
                f"{type(data).__name__}"
            )
        classifiers = self._classifiers(data, run.model.device)
        batch = run.probe(self.n)
        with undisturbed(space, self.seed):
            space.eval()
            found = generated_classes(space, batch["x"], batch["label"], classifiers, self.n, self.classes)
        values = {key: 100 * value for key, value in found.values().items() if key.startswith(("conditional", "joint"))}
        kept = {key: value for key, value in values.items() if not key.endswith(("_low", "_high"))}
        kept["classifier"] = 100 * sum(one.accuracy for one in classifiers.values()) / len(classifiers)
        items = {f"conditional_{k}": found.conditional(k) for k in range(1, len(space.names))}
        items["joint"] = found.agreement.double()
        return Measured(kept, {key: (100 * value).float() for key, value in items.items()})

    def _classifiers(self, data: MultimodalData, device: torch.device) -> dict[str, ModalityClassifier]:
        """Return classifiers trained on the data; those of the run before where they were the same."""
        known = (type(data), data.shapes, data.split_seed, self.steps, self.classes, str(device))
        if not _trained or _trained[0][0] != known:
            _trained[:] = [(known, modality_classifiers(data, self.classes, self.steps, device=device))]
        return _trained[0][1]
