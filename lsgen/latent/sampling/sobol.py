"""Codes of a prior that fill its space evenly: z = F^-1(u), u a scrambled Sobol sequence, F the prior's distributions.

Reference: Owen, "Scrambling Sobol' and Niederreiter-Xing points" (1998), https://doi.org/10.1006/jcom.1998.0487; Chong
& Forsyth, "Effectively unbiased FID and inception score and where to find them" (2020), section 4.2,
https://arxiv.org/abs/1911.07023, for generators.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.quasirandom import SobolEngine

from lsgen.latent.priors import Prior
from lsgen.latent.sampling.samplers import CodeSampler

__all__ = ["FromSobol"]


class FromSobol(CodeSampler):
    """Draws codes from a prior of independent coordinates, more evenly than at random.

    Averages over samples, and distances between samples and data, then vary less; intervals that take samples for
    independent are too wide. Every set of draws that begins with `bind` is the same; 2^k codes are the most even.

    Args:
        prior: a prior of independent coordinates, such as `StandardNormal`; the model's where it is not given.
        seed: seed of the scrambling.

    Raises:
        TypeError: the coordinates of the prior are dependent, or their quantiles are not known.

    """

    needs_codes = False

    def __init__(self, prior: Prior | None = None, seed: int = 0) -> None:
        self.seed = seed
        self._coordinates: Distribution | None = None
        self._engine: SobolEngine | None = None
        if prior is not None:
            self.bind(prior)

    def bind(self, prior: Prior) -> None:
        """Take the prior of the model, and begin the sequence anew."""
        p = prior()
        base = p.base_dist if isinstance(p, Independent) and len(p.event_shape) == 1 else None
        if base is None or type(base).icdf is Distribution.icdf:
            raise TypeError(
                "FromSobol expected a prior of independent coordinates whose quantiles are known, such as a "
                f"StandardNormal, got {type(prior).__name__}"
            )
        self._coordinates = base
        self._engine = SobolEngine(p.event_shape[0], scramble=True, seed=self.seed)

    def learn(self, codes: Tensor) -> None:
        """Do nothing: the prior needs no fit."""

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return the next n codes of the sequence."""
        if self._coordinates is None or self._engine is None:
            raise RuntimeError("FromSobol expected to know the prior of the model: give it prior=, or call bind(prior)")
        like = self._coordinates.mean
        least = torch.finfo(like.dtype).eps / 2  # the quantiles of 0 and of 1 are not finite
        u = self._engine.draw(n, dtype=torch.float64).clamp(least, 1 - least)
        codes: Tensor = self._coordinates.icdf(u.to(like))
        return codes
