r"""The Hessian penalty, which makes coordinates of the code act independently on the output.

    L = max_i Var_v( v^T H_i v ),   H_i the Hessian of output i,  v of independent random signs,
    Var_v( v^T H v ) = 2 sum_{a != b} H_ab^2 ,

so it vanishes where all Hessians are diagonal. v^T H v is a second central difference,
( G(z + eps v) - 2 G(z) + G(z - eps v) ) / eps^2, and the variance is estimated from `samples` draws of v, without bias.
The maximum runs over output dimensions; the mean over codes. All evaluations see the same noise and dropout
of the generator: draws of their own would add their variance, over eps^4, to that of v^T H v. Style mixing, which makes
an image of two codes, is left out. On a curved space z + eps v is as far along the geodesic in that direction, classes
stay as they are, and codes too near a wall are taken a little further inside.

Reference: Peebles et al., "The Hessian penalty: a weak prior for unsupervised disentanglement" (2020),
https://arxiv.org/abs/2008.10599, equations 4-6.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lsgen.latent import Euclidean, Manifold
from lsgen.models.gan.regularisers.base import GeneratorRegulariser
from lsgen.nn.adversarial.stylegan import StyleGenerator
from lsgen.nn.noise import same_noise

__all__ = ["HessianPenalty", "hessian_variances"]


def hessian_variances(
    generator: Callable[[Tensor], Tensor],
    z: Tensor,
    x: Tensor,
    samples: int,
    eps: float,
    manifold: Manifold | None = None,
) -> Tensor:
    """Return an unbiased estimate of Var_v(v^T H_i v) for every code and output, (N, D).

    Args:
        generator: codes (N, d) -> observations (N, *shape); what it draws at random is held.
        z: codes (N, d).
        x: generator(z), (N, *shape), whatever its noise and whichever code: it is the same in all draws of v.
        samples: number of draws of v, at least 2.
        eps: step of the difference.
        manifold: where codes lie; flat space unless given.

    """
    draws, shift = [], (manifold or Euclidean()).shift
    with same_noise(generator) as held:
        for _ in range(samples):
            v = eps * (2 * torch.randint_like(z, 2) - 1)
            draws.append((held(shift(z, v)) - 2 * x + held(shift(z, -v))).flatten(1) / eps**2)
    return torch.stack(draws).var(0)


class HessianPenalty(GeneratorRegulariser):
    """Penalise off-diagonal second derivatives of the generator.

    Args:
        weight: factor; 0.1 in the paper.
        samples: draws of v; 2 in the paper.
        eps: step of the difference; 0.1 in the paper.
        every: see `Regulariser`.

    Raises:
        ValueError: there are fewer than 2 samples, or eps is not positive.

    """

    def __init__(self, weight: float = 0.1, samples: int = 2, eps: float = 0.1, every: int = 1) -> None:
        super().__init__(weight, every)
        if samples < 2 or not eps > 0:
            raise ValueError(f"expected at least 2 samples and eps above 0, got {samples} and {eps}")
        self.samples, self.eps = int(samples), float(eps)
        self.manifold: Manifold = Euclidean()

    def bind(self, manifold: Manifold) -> None:
        """Store the manifold on which codes lie.

        Raises:
            TypeError: the codes cannot move continuously.

        """
        manifold.check_continuous()
        self.manifold = manifold

    def forward(self, generator: nn.Module, z: Tensor, fake: Tensor) -> Tensor:
        """Return the mean over codes of the largest variance over outputs."""
        function = generator.unmixed if isinstance(generator, StyleGenerator) else generator
        z = self.manifold.inside(z, self.eps)
        return hessian_variances(function, z, fake, self.samples, self.eps, self.manifold).amax(1).mean()
