r"""The evidence by annealed importance sampling, which needs no encoder.

    f_t(z) = p(z) p(x|z)^{b_t},    0 = b_0 < ... < b_T = 1,    log w = sum_t (b_t - b_{t-1}) log p(x|z_{t-1}),

where z_0 ~ p(z) and z_t comes from z_{t-1} by a move that leaves f_t invariant and the code on its manifold (see
`lsgen.latent.sampling.transitions`): E[w] = p(x), so that log w bounds log p(x) from below in expectation. Run
backwards from an exact posterior sample, which simulated data have, the same chain bounds it from above; the two
enclose the truth (bidirectional Monte Carlo).

Temperatures follow the sigmoidal schedule. Step sizes are found in a first run that aims at 65 % acceptance and kept
for the second, whose weights are returned: steps that depended on the chain's own past would bias them.

Reference: Neal, "Annealed importance sampling" (2001); Wu et al., "On the quantitative analysis of decoder-based
generative models" (2017), sections 3 and 4, https://arxiv.org/abs/1611.04273.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from lsgen.latent import LatentSpace
from lsgen.latent.sampling.transitions import TemperedPosterior, Walkers

__all__ = ["Annealed", "annealed_log_evidence", "sigmoidal"]


@dataclass(frozen=True)
class Annealed:
    """The result of a run of annealed importance sampling.

    Attributes:
        log_evidence: bound on log p(x) in nats, averaged over chains inside the logarithm, (B,).
        log_weights: the bound of every chain, (chains, B).
        z: where the chains end, (chains, B, d).
        acceptance: accepted part of the Hamiltonian proposals at each temperature, (T,); where codes cannot move
            continuously, the part of codes that have changed.

    """

    log_evidence: Tensor
    log_weights: Tensor
    z: Tensor
    acceptance: Tensor


def sigmoidal(temperatures: int, like: Tensor, sharpness: float = 4.0) -> Tensor:
    """Return b_0 = 0 ... b_T = 1, (T + 1,): a logistic curve from -sharpness to +sharpness, dense at both ends."""
    curve = torch.sigmoid(torch.linspace(-sharpness, sharpness, temperatures + 1, dtype=like.dtype, device=like.device))
    return (curve - curve[0]) / (curve[-1] - curve[0])


def annealed_log_evidence(
    space: LatentSpace,
    x: Tensor,
    temperatures: int = 1000,
    chains: int = 16,
    leapfrog_steps: int = 10,
    start: Tensor | None = None,
) -> Annealed:
    """Return a stochastic bound on the evidence of observations (B, *shape).

    Args:
        space: prior, decoder and likelihood.
        x: observations (B, *shape).
        temperatures: intermediate distributions T; more tighten the bound.
        chains: chains for every observation; all are decoded at once.
        leapfrog_steps: steps of each Hamiltonian trajectory; where codes hold classes or entries of a codebook, also
            how many alternatives of one of them are decoded at once, beside the present one.
        start: exact posterior samples (chains, B, d): the chain runs backwards from them, and bounds from above.

    Raises:
        ValueError: a number is not positive, there is no observation, or start has another shape or holds no codes.
        TypeError: the prior has no density.

    """
    if min(temperatures, chains, leapfrog_steps) < 1:
        numbers = f"{temperatures}, {chains} and {leapfrog_steps}"
        raise ValueError(f"expected temperatures, chains and leapfrog_steps of at least 1, got {numbers}")
    if not len(x):
        raise ValueError("expected at least 1 observation, got none")
    target, shape = TemperedPosterior(space, x), (chains, len(x), space.dim)
    if start is not None and start.shape != shape:
        raise ValueError(f"expected start of shape {shape}, got {tuple(start.shape)}")
    if start is not None and not bool(space.manifold.contains(start).all()):
        raise ValueError(f"expected start to hold codes of {space.manifold}, got points that are none")
    betas = sigmoidal(temperatures, x)
    betas = betas if start is None else betas.flip(0)

    def begin() -> Walkers:
        return target.begin(chains) if start is None else target.at(start)

    pilot = _anneal(target, begin(), betas, leapfrog_steps, None)
    run = _anneal(target, begin(), betas, leapfrog_steps, pilot.step_sizes)
    bound = torch.logsumexp(run.log_w, 0) - log(chains)
    if start is None:
        return Annealed(bound, run.log_w, run.z, run.acceptance)
    return Annealed(-bound, -run.log_w, run.z, run.acceptance)


@dataclass(frozen=True)
class _Run:
    z: Tensor
    log_w: Tensor
    step_sizes: Tensor
    acceptance: Tensor


def _anneal(
    target: TemperedPosterior, walkers: Walkers, betas: Tensor, leapfrog_steps: int, step_sizes: Tensor | None
) -> _Run:
    """Run the chain; where no step sizes (T, B) are given, adapt them on the way."""
    log_w = torch.zeros_like(walkers.fit)
    size = torch.full_like(log_w[0], 0.1)
    sizes, accepted = [], []
    for t in range(1, len(betas)):
        log_w = log_w + (betas[t] - betas[t - 1]) * walkers.fit
        size = size if step_sizes is None else step_sizes[t - 1]
        walkers, accept = target.move(walkers, betas[t], size, leapfrog_steps)
        sizes.append(size)
        accepted.append(accept.mean())
        if step_sizes is None:
            size = (size * torch.where(accept.mean(0) > 0.65, 1.05, 0.95)).clamp(1e-4, 2.0)
    return _Run(walkers.z, log_w, torch.stack(sizes), torch.stack(accepted))
