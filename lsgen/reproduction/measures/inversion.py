"""How far a generator and an encoder are each other's inverse on real observations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["ReconstructionDistance"]


@dataclass(frozen=True)
class ReconstructionDistance:
    """Measures the Euclidean distance of test observations from their reconstructions, in units of the data.

    The keys are `error`, ‖x - G(E(x))‖, and `other`, ‖x' - G(E(x))‖ of another test observation x', the next one; both
    agree where reconstructions do not depend on x. E(x) is the mean of q(z|x).

    Attributes:
        n: test observations, drawn at random.

    Raises:
        ValueError: n is below 2, or there are fewer test observations.
        TypeError: the model has no encoder.

    """

    n: int = 2000

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError(f"expected n of at least 2, got {self.n}")

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space = run.encodable_space
        x = run.probe(self.n)["x"]
        again = torch.cat([space.decode(space.encode(part).mean).mean for part in x.split(500)])
        parts = {"error": _distances(x, again), "other": _distances(x.roll(-1, 0), again)}
        values = {name: float(distances.double().mean()) for name, distances in parts.items()}
        return Measured(values, {name: distances.float() for name, distances in parts.items()})


def _distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.linalg.vector_norm((x - y).flatten(1), dim=1)
