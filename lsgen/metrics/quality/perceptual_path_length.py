r"""Perceptual path length: how fast generated observations change along paths through the latent space.

    PPL = E[ d( G(p(t)), G(p(t + eps)) ) / eps^2 ],    p(t) between two codes of the prior,

where d is a squared distance and t is uniform on (0, 1 - eps) or 0 ("end"). Paths are geodesics of the manifold on
which codes lie, straight in flat space; where codes have classes, the second code takes those of the first.

The value means nothing without its d: the paper's is LPIPS, a squared distance of VGG16 features, while the default
here is the squared distance of observations in data units (squared pixel values, summed), so that default values do not
compare with published ones. On straight paths, as eps -> 0, it is the mean squared length of p'(t) in the pulled-back
metric: for G(z) = W z, codes N(0, I) and d = |.|^2 it is 2 |W|_F^2.

Reference: Karras, Laine & Aila, "A style-based generator architecture" (2019), https://arxiv.org/abs/1812.04948,
section 4.1, where paths are spherical in Z and straight in W, t is uniform in Z, and the lowest and highest 1 % of
the values are discarded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lsgen.latent import Euclidean, LatentSpace, Manifold, great_circles
from lsgen.nn.noise import same_noise

__all__ = ["PathLengthResult", "path_length", "squared_distance", "step_along"]


class PathLengthResult(NamedTuple):
    """A path length and the sample it was estimated from.

    Attributes:
        mean: mean over the kept paths, a scalar.
        std: standard deviation over the kept paths.
        kept: how many paths were kept.

    """

    mean: Tensor
    std: Tensor
    kept: int


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return |a - b|^2 for every observation, (N,)."""
    return (a - b).flatten(1).square().sum(1)


def path_length(
    space: LatentSpace,
    # differs from Karras et al. (2019): LPIPS, squared; values of different distances do not compare
    distance: Callable[[Tensor, Tensor], Tensor] = squared_distance,
    n: int = 10_000,
    eps: float = 1e-4,
    path: Literal["geodesic", "linear", "slerp"] = "geodesic",
    ends: bool = False,
    discard: float = 0.01,
    batch_size: int = 256,
    seed: int = 0,
) -> PathLengthResult:
    """Return the path length of a latent space by the means of p(x|z), perceptual if the distance is.

    Both ends of a step see the same noise of a decoder that draws some.

    Args:
        space: what is measured.
        distance: observations (N, *shape) twice -> squared distances (N,); LPIPS in the paper, here the squared
            Euclidean distance in data units unless given.
        n: number of paths.
        eps: step along a path.
        path: "geodesic"; or in flat space "linear", which is the same, or "slerp" for the great circle through the
            directions of the codes, with their norms interpolated linearly.
        ends: whether t is 0 instead of uniform.
        discard: share of the values left out at either end.
        batch_size: paths at a time.
        seed: seed of the codes and of t; the global generator is left as it was.

    Raises:
        ValueError: n or batch_size is not positive, eps not in (0, 1), discard not in [0, 0.5), or no such path.
        TypeError: codes leave their manifold on such a path, or cannot move continuously.

    """
    if n < 1 or batch_size < 1 or not 0 < eps < 1 or not 0 <= discard < 0.5:
        raise ValueError(
            "expected n and batch_size of at least 1, eps in (0, 1) and discard in [0, 0.5), "
            f"got {n}, {batch_size}, {eps} and {discard}"
        )
    step = step_along(space.manifold, path)
    values = []
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, n, batch_size):
            size = min(batch_size, n - start)
            a, b = space.prior().sample((2, size))
            t = torch.zeros(size, 1).to(a) if ends else torch.rand(size, 1).to(a) * (1 - eps)
            with same_noise(lambda z: space.decode(z).mean) as held:
                before, after = (held(step(a, b, s)) for s in (t, t + eps))
            values.append(distance(before, after).double() / eps**2)
    ordered = torch.cat(values).sort().values
    cut = int(discard * n)
    kept = ordered[cut : n - cut]
    return PathLengthResult(kept.mean(), kept.std(correction=0), len(kept))


def step_along(manifold: Manifold, path: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the function that gives the point at t (N, 1) between two codes (N, d) on a path.

    Raises:
        ValueError: there is no such path.
        TypeError: codes leave their manifold on such a path, or cannot move continuously.

    """
    if path not in ("geodesic", "linear", "slerp"):
        raise ValueError(f'expected path "geodesic", "linear" or "slerp", got {path!r}')
    manifold.check_continuous()
    if path != "geodesic" and manifold != Euclidean() and not (path == "linear" and isinstance(manifold, Euclidean)):
        raise TypeError(f'expected path "geodesic", got "{path}", on which codes leave {manifold}')
    if path == "slerp":
        return great_circles.slerp
    return lambda a, b, t: manifold.exp(a, t * manifold.tangent(a, manifold.log(a, b)))
