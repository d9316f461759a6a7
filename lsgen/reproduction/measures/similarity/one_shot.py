"""How often a model finds the character of an image among known ones, of which there is one each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.data import DataModule
from lsgen.latent import EncodableSpace
from lsgen.latent.distances import CodeDistance
from lsgen.latent.neighbours import nearest_neighbours
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["OneShotAccuracy", "OneShotTask", "one_shot_tasks"]


class OneShotTask(NamedTuple):
    """Images to be assigned: `known` (K, *shape), `asked` (Q, *shape), and which known one is right, `answers` (Q,)."""

    known: Tensor
    asked: Tensor
    answers: Tensor

    def right(self, known: Tensor, asked: Tensor, distance: CodeDistance | None = None) -> Tensor:
        """Return 100 for each image whose nearest known one is the right one, else 0, by codes (K, d), (Q, d) of both.

        The distance is Euclidean unless given.
        """
        return 100.0 * (nearest_neighbours(asked, known, 1, distance).indices[:, 0].cpu() == self.answers)

    def right_by_pixels(self) -> Tensor:
        """Return the same of the images themselves."""
        return self.right(self.known.flatten(1), self.asked.flatten(1))


def one_shot_tasks(data: DataModule) -> Iterator[OneShotTask]:
    """Yield the tasks of the test split: one for each "group", or one where there are none.

    The first observation of a label in a group is known, and the second is asked for.

    Raises:
        ValueError: there are no labels, or no label has two observations.

    """
    chosen = data.dataset("test")
    batch = chosen[torch.arange(len(chosen))]
    if "label" not in batch:
        raise ValueError(f"expected data with labels, got {type(data).__name__} without")
    groups = batch.get("group", torch.zeros_like(batch["label"]))
    for group in groups.unique().tolist():
        rows = (groups == group).nonzero()[:, 0]
        labels = batch["label"][rows]
        pairs = [rows[labels == value][:2] for value in labels.unique()]
        pairs = [pair for pair in pairs if len(pair) == 2]
        if not pairs:
            raise ValueError(f"expected labels with two test observations, got none in group {group}")
        known, asked = torch.stack(pairs, 1)
        yield OneShotTask(batch["x"][known], batch["x"][asked], torch.arange(len(pairs)))


@dataclass(frozen=True)
class OneShotAccuracy:
    """Measures the accuracy, in percent, of classification by the nearest known code.

    Its keys are `accuracy`, by the distance of the space, and `pixels`, of the observations themselves;
    their parts are 0 and 100, one for each image that is asked for. See `one_shot_tasks` for the tasks.

    Raises:
        TypeError: the model has no encoder.

    """

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space = run.model.latent_space
        if not isinstance(space, EncodableSpace):
            raise TypeError(f"OneShotAccuracy expected a space with an encoder, got {type(space).__name__}")
        like, right = next(space.parameters()), dict[str, list[Tensor]](accuracy=[], pixels=[])
        for task in one_shot_tasks(run.data):
            known, asked = (space.encode(x.to(like)).mean for x in (task.known, task.asked))
            right["accuracy"].append(task.right(known, asked, space.distance))
            right["pixels"].append(task.right_by_pixels())
        parts = {name: torch.cat(one) for name, one in right.items()}
        return Measured({name: float(one.double().mean()) for name, one in parts.items()}, parts)
