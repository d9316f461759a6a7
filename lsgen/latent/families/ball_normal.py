"""What normal distributions on the Poincare ball share: the reach of codes, and centres given as tangent vectors."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen.latent.manifolds.manifold import PoincareBall
from lsgen.latent.manifolds.refusal import known_to_hold
from lsgen.latent.posteriors import Posterior
from lsgen.latent.priors import Prior

__all__ = ["BallPosterior", "BallPrior"]


class BallPrior(Prior):
    """Abstract prior at the origin of the ball.

    Args:
        dim: latent dimension d.
        curvature: c > 0; the sectional curvature is -c.
        scale: sigma.

    Raises:
        ValueError: dim, c or the scale is not positive.

    """

    origin: Tensor

    def __init__(self, dim: int, curvature: float = 1.0, scale: float = 1.0) -> None:
        super().__init__(dim)
        if not scale > 0:
            raise ValueError(f"expected a scale > 0, got {scale}")
        self.ball, self.scale = PoincareBall(curvature), float(scale)
        self._most = self.millionth()
        self.register_buffer("origin", torch.zeros(dim), persistent=False)

    @property
    def manifold(self) -> PoincareBall:
        """The ball."""
        return self.ball

    @abstractmethod
    def millionth(self) -> float:
        """Return the distance from the origin that one draw in a million exceeds."""

    @abstractmethod
    def at_origin(self) -> Distribution:
        """Return the distribution at the origin."""

    def forward(self) -> Distribution:
        """Return the distribution at the origin.

        Raises:
            ValueError: more than one draw in a million lies beyond the reach of codes of this precision.

        """
        dtype = self.origin.dtype
        reach = self.ball.reach(dtype)
        if self._most > reach:
            c, name = self.ball.curvature, str(dtype)[6:]
            raise ValueError(
                f"expected draws within {reach:.3g} of the origin, the reach of {name} in a ball of curvature {c:g}, "
                f"got dim {self.dim} and scale {self.scale:g}, of which one in a million lies beyond {self._most:.3g}: "
                "a smaller scale or curvature or higher precision is needed"
            )
        return self.at_origin()


class BallPosterior(Posterior):
    """Abstract posterior with two heads: the centre, as a tangent vector at the origin, and the log variance.

    The centre of a tangent vector v lies at the distance 2 |v| from the origin, in every precision.

    Args:
        curvature: c > 0, as that of the prior.

    Raises:
        ValueError: c is not positive.

    """

    heads: ClassVar[int] = 2

    def __init__(self, curvature: float = 1.0) -> None:
        super().__init__()
        self.ball = PoincareBall(curvature)

    @property
    def manifold(self) -> PoincareBall:
        """The ball."""
        return self.ball

    @abstractmethod
    def around(self, centre: Tensor, log_variance: Tensor) -> Distribution:
        """Return the distributions around centres (B, d), in double precision, given log variances (B, d)."""

    def forward(self, raw: Tensor) -> Distribution:
        """Return the distributions of raw outputs (B, 2 d).

        Raises:
            ValueError: a centre lies beyond the reach of codes of this precision. (In a training step on an
                accelerator, which would have to wait for the answer, its densities and draws are NaN.)

        """
        tangent, log_variance = raw.chunk(2, dim=-1)
        distance, reach = 2 * torch.linalg.vector_norm(tangent, dim=-1), self.ball.reach(tangent.dtype)
        if known_to_hold(distance > reach):
            raise ValueError(
                f"expected centres within {reach:.3g} of the origin, the reach of {str(tangent.dtype)[6:]} in a ball "
                f"of curvature {self.ball.curvature:g}, got an encoder that puts one at {float(distance.max()):.3g}"
            )
        centre = self.ball.from_origin(tangent.double().where((distance <= reach).unsqueeze(-1), torch.nan))
        return self.around(centre, log_variance)
