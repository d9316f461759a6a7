"""How the standard deviation of a decoder grows away from the codes of data."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, pi

import torch

from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["VarianceGrowth"]


@dataclass(frozen=True)
class VarianceGrowth:
    """Compares the decoded standard deviation far from the codes with that at the codes, in two latent dimensions.

    Far is a circle about the mean of the codes, of a multiple of the radius that holds all of them. Keys: ratio, the
    geometric mean of the standard deviation over pixels and points of the circle, over that at the codes; smallest, the
    least such ratio of a point of the circle. Both are NaN where codes vary less than `least_variance` in a dimension:
    codes on top of each other have no far side.

    Attributes:
        n: test observations, no more than there are.
        factor: radius of the circle over that of the codes.
        points: of the circle.
        least_variance: of posterior means in each dimension; 0.01 is what makes a unit active.

    Reference: Arvanitidis, Hansen & Hauberg, "Latent space oddity" (2018), section 4.1 and figure 4.
    """

    n: int = 2000
    factor: float = 2.0
    points: int = 64
    least_variance: float = 0.01

    def __call__(self, run: TrainedRun) -> Measured:
        """Return the growth of a run.

        Raises:
            TypeError: the latent space has no encoder, or more than two dimensions.

        """
        space = run.encodable_space
        if space.dim != 2:
            raise TypeError(f"expected a latent space of dimension 2, got {space.dim}")
        batch = run.probe(self.n)
        with torch.no_grad():
            z = space.encode(batch["x"]).mean
            angle = torch.arange(self.points, device=z.device) * (2 * pi / self.points)
            if bool((z.var(0) < self.least_variance).any()):
                return Measured({"ratio": nan, "smallest": nan})
            radius = torch.linalg.vector_norm(z - z.mean(0), dim=-1).max()
            far = z.mean(0) + self.factor * radius * torch.stack([angle.cos(), angle.sin()], -1)
            at_codes, away = (space.decode(x).stddev.flatten(1).double().log().mean(-1) for x in (z, far))
        growth = away - at_codes.mean()
        return Measured({"ratio": float(growth.mean().exp()), "smallest": float(growth.min().exp())})
