r"""The cloning experiment: from which noise level on do two futures of one noisy observation agree?

A trajectory is cleaned from noise; at some levels it is copied, both copies are cleaned further with noise of their
own, and the end points are classified. The share of pairs of equal class is phi(l), which rises from what chance gives
to 1 on the way to the data; the speciation time is read where it crosses 0.775. The standard error of a share of N
pairs is sqrt(phi (1 - phi) / N).

Any sampler can be cloned that moves observations from one level to the next. That of DDPM on a variance-preserving
path, from l to s > l with k = e^{l - s}, is

    x_s = k (alpha_s / alpha_l) x_l + (1 - k) alpha_s D(x_l, l) + sigma_s sqrt(1 - k) eps .

Reference: Biroli, Bonnaire, de Bortoli & Mezard (2024), https://arxiv.org/abs/2402.18491; Ho, Jain & Abbeel (2020),
https://arxiv.org/abs/2006.11239.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.denoising.posterior import Denoise, variance_preserving

__all__ = ["CloneAgreement", "Step", "ancestral_step", "clone_agreement", "crossing"]

Step = Callable[[Tensor, Tensor, Tensor, torch.Generator | None], Tensor]


class CloneAgreement(NamedTuple):
    """Levels (K,) at which clones were made, the share of pairs that agree (K,), and its standard error (K,).

    Of several classifications at once, both are (K, C).
    """

    log_snr: Tensor
    agreement: Tensor
    error: Tensor


def ancestral_step(denoise: Denoise) -> Step:
    """Return the step of DDPM for a denoiser of a variance-preserving path."""

    def step(x: Tensor, level: Tensor, following: Tensor, generator: torch.Generator | None) -> Tensor:
        kept = (level - following).exp()
        here, there = variance_preserving(level), variance_preserving(following)
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        clean = denoise(x, level.expand(len(x)))
        spread = torch.sigmoid(-following).sqrt() * (1 - kept).sqrt()
        return kept * there / here * x + (1 - kept) * there * clean + spread * noise

    return step


def clone_agreement(
    step: Step,
    classify: Callable[[Tensor], Tensor],
    start: Tensor,
    levels: Tensor,
    branches: Sequence[int],
    generator: torch.Generator | None = None,
) -> CloneAgreement:
    """Return how often two clones that part at a level end in the same class.

    Args:
        step: `step(x, level, following, generator)` moves observations from one l to a greater one, at random.
        classify: end points (N, *shape) -> classes (N,), or those of several classifications (N, C).
        start: observations at levels[0] (N, *shape).
        levels: l (S,), increasing from noise to data.
        branches: the indices among levels at which clones part.
        generator: draws the noise; that of PyTorch where it is not given.

    Raises:
        ValueError: levels do not increase, or a branch is none of them.

    """
    if levels.ndim != 1 or len(levels) < 2 or not bool((levels.diff() > 0).all()):
        raise ValueError("expected two or more levels that increase from noise to data, got others")
    if not branches or not all(0 <= branch < len(levels) for branch in branches):
        raise ValueError(f"expected branches among the {len(levels)} levels, got {list(branches)}")

    def moved(x: Tensor, first: int, last: int) -> Tensor:
        for i in range(first, last):
            x = step(x, levels[i], levels[i + 1], generator)
        return x

    with torch.no_grad():
        x, at, shares, order = start, 0, {}, sorted(set(branches))
        for branch in order:
            x, at = moved(x, at, branch), branch
            ends = moved(torch.cat([x, x]), branch, len(levels) - 1)
            one, other = classify(ends).chunk(2)
            shares[branch] = (one == other).double().mean(0)
    agreement = torch.stack([shares[branch] for branch in branches])
    error = (agreement * (1 - agreement) / len(start)).sqrt()
    return CloneAgreement(levels[list(branches)], agreement, error)


def crossing(at: Tensor, values: Tensor, threshold: float = 0.775) -> float:
    """Return where values (K,) first cross a threshold as `at` (K,) grows, between points by a line; NaN if nowhere.

    Raises:
        ValueError: there are not two or more points of increasing `at`.

    """
    if at.shape != values.shape or at.ndim != 1 or len(at) < 2 or not bool((at.diff() > 0).all()):
        raise ValueError(f"expected two or more increasing points, got {tuple(at.shape)} and {tuple(values.shape)}")
    above = values >= threshold
    for i in range(len(at) - 1):
        if bool(above[i] != above[i + 1]):
            share = (threshold - values[i]) / (values[i + 1] - values[i])
            return float(at[i] + share * (at[i + 1] - at[i]))
    return float("nan")
