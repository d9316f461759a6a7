"""Classifiers of single modalities, trained apart from any generative model: they judge what is generated.

Images have the convolutional classifier of `lsgen.metrics.quality`, vectors a random forest, which takes class numbers
and numbers of any scale as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from lsgen.data import DataModule, Split
from lsgen.data.batches import Observations
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.metrics.quality import DatasetClassifier

__all__ = ["ModalityClassifier", "modality_classifiers"]

_CHUNK = 2048
_IGNORED = -100  # the label that a cross-entropy leaves out


@dataclass(frozen=True)
class ModalityClassifier:
    """A classifier of one modality.

    Attributes:
        predict: observations (N, *shape) of the modality -> classes, int64 (N,), on the CPU.
        accuracy: share of the observations of the test split that it tells right.

    """

    predict: Callable[[Tensor], Tensor]
    accuracy: float


def modality_classifiers(
    data: MultimodalData, classes: int = 10, steps: int = 1000, rows: int = 10_000, device: torch.device | None = None
) -> dict[str, ModalityClassifier]:
    """Return a classifier of every modality, trained on the training split without what is missing there.

    Args:
        data: observations with labels.
        classes: number of classes.
        steps: training steps of a classifier of images.
        rows: training observations of a classifier of vectors.
        device: where those of images are.

    Raises:
        ValueError: the data have no labels, or other ones than 0, ..., classes - 1.

    """
    found = data.dataset("test")[torch.arange(min(_CHUNK, len(data.dataset("test"))))].get("label")
    if found is None:
        raise ValueError(f"expected data with labels for classifiers of modalities, got {type(data).__name__} without")
    if len(found) and not bool(((found >= 0) & (found < classes)).all()):
        raise ValueError(f"expected labels from 0 to {classes - 1}, got {int(found.min())} to {int(found.max())}")
    made = {}
    for name, shape in data.shapes.items():
        alone = _Alone(data, name)
        made[name] = _of_images(alone, shape, classes, steps, device) if len(shape) == 3 else _of_vectors(alone, rows)
    return made


def _of_images(
    alone: _Alone, shape: tuple[int, ...], classes: int, steps: int, device: torch.device | None
) -> ModalityClassifier:
    network = DatasetClassifier(shape, classes, steps=steps).to(device)
    network.prepare(cast(DataModule, alone))

    @torch.no_grad()
    def predict(x: Tensor) -> Tensor:
        weight = network.head.weight
        parts = x.to(weight.device, weight.dtype).split(_CHUNK)
        return torch.cat([network.logits(network(part)).argmax(1).cpu() for part in parts])

    return ModalityClassifier(predict, network.accuracy(cast(DataModule, alone)))


def _of_vectors(alone: _Alone, rows: int) -> ModalityClassifier:
    from sklearn.ensemble import RandomForestClassifier

    train = alone.dataset("train")
    batch = train[torch.arange(min(rows, len(train)))]
    known = batch["label"] != _IGNORED
    forest = RandomForestClassifier(100, random_state=0)
    forest.fit(batch["x"][known].flatten(1).numpy(), batch["label"][known].numpy())

    def predict(x: Tensor) -> Tensor:
        told: Any = forest.predict(x.flatten(1).float().cpu().numpy())
        return torch.from_numpy(told)

    test = alone.dataset("test")
    batch = test[torch.arange(len(test))]
    return ModalityClassifier(predict, float((predict(batch["x"]) == batch["label"]).double().mean()))


class _Alone:
    """A view of the data of one modality, in which the labels of observations that lack it are left out."""

    def __init__(self, data: MultimodalData, name: str) -> None:
        self.data, self.name = data, name

    def dataset(self, split: Split) -> _Alone._Split:
        return _Alone._Split(self, split)

    class _Split:
        def __init__(self, of: _Alone, split: Split) -> None:
            self.packing, self.name = of.data.packing, of.name
            self.whole = of.data.dataset(split)

        def __len__(self) -> int:
            return len(self.whole)

        def __getitem__(self, rows: Tensor) -> Observations:
            batch = self.whole[rows]
            label = batch["label"]
            if "present" in batch:
                label = label.where(batch["present"][:, self.packing.place(self.name)], _IGNORED)
            return {"x": self.packing.unpack(batch["x"])[self.name], "label": label}
