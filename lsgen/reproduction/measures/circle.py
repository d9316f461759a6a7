"""Whether codes in the plane keep the circle that the observations come from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lsgen.callbacks.base import undisturbed
from lsgen.data import EmbeddedCircle
from lsgen.metrics import circular_correlation
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["Circle"]


@dataclass(frozen=True)
class Circle:
    """Compares a code drawn for each test observation of an embedded circle with the true point of the circle.

    Its keys are `correlation`, the size of the correlation of the angle of the code with the true angle, whichever way
    round the circle is encoded, and `inner`, the share of codes that are shorter than half the root mean square: 0 on a
    circle about the origin, 1 - e^(-1/4) = 0.221 for a normal distribution, with a 0 or 1 for each observation. The
    arrays `codes` (n, 2) and `angles` (n,) are the codes and the true angles.

    Attributes:
        seed: seed of the codes.

    Raises:
        TypeError: the data are not an embedded circle, or there is no encoder.
        ValueError: codes do not lie in the plane.

    """

    seed: int = 0

    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        data, space = run.data, run.encodable_space
        if not isinstance(data, EmbeddedCircle):
            raise TypeError(f"Circle expected an EmbeddedCircle, got {type(data).__name__}")
        if space.dim != 2:
            raise ValueError(f"Circle expected codes in the plane, got {space.dim} dimensions")
        test, device = data.dataset("test"), next(space.parameters()).device
        with undisturbed(space, self.seed), torch.no_grad():
            space.eval()
            z = space.encode(test[torch.arange(len(test))]["x"].to(device)).sample().double().cpu()
        angles = data.angles("test")
        correlation = circular_correlation(torch.atan2(z[:, 1], z[:, 0]), angles).abs()
        length = torch.linalg.vector_norm(z, dim=-1)
        inner = (length < length.square().mean().sqrt() / 2).float()
        arrays = {"inner": inner.numpy(), "codes": z.float().numpy(), "angles": angles.float().numpy()}
        return Measured({"correlation": float(correlation), "inner": float(inner.mean())}, arrays)
