"""How often the nearest training observation in an encoder's codes or features has the label of a test observation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.latent.neighbours import nearest_neighbours
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["NearestLabel"]


@dataclass(frozen=True)
class NearestLabel:
    """Measures the accuracy, in percent, of classification by the nearest of all training observations.

    Its keys are `codes`, in Euclidean distances of the means of q(z|x), `features`, of what the encoder gives as
    `features`, if it does, and `pixels`, of the observations themselves. Their parts are 0 and 100.

    Attributes:
        n: test observations, drawn at random.

    Raises:
        ValueError: n is not positive, or there are fewer test observations.
        TypeError: the model has no encoder, or the data have no labels.

    """

    n: int = 10_000

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"expected n of at least 1, got {self.n}")

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space = run.encodable_space
        train, test = (run.probe(None, "train"), run.probe(self.n))
        if "label" not in test:
            raise TypeError("NearestLabel expected labelled data, got none with a label")
        right = {}
        for name in ("codes", "features", "pixels"):
            points = [_points(space, batch["x"], name) for batch in (train, test)]
            if points[0] is None or points[1] is None:
                continue
            nearest = nearest_neighbours(points[1], points[0]).indices[:, 0]
            right[name] = 100.0 * (train["label"][nearest] == test["label"])
        return Measured({name: float(parts.double().mean()) for name, parts in right.items()}, right)


def _points(space: EncodableLatentSpace, x: Tensor, name: str) -> Tensor | None:
    if name == "pixels":
        return x.flatten(1)
    if name == "codes":
        return torch.cat([space.encode(part).mean for part in x.split(500)])
    features = getattr(space.encoder, "features", None)
    return torch.cat([features(part) for part in x.split(500)]) if callable(features) else None
