"""How often intervals of draws hold the truth: coverage of imputations, and of any predictive distribution.

A model that knows its uncertainty has a share `level` of the true values between the ends of its central intervals.
Values of one observation are dependent, so the confidence interval of the share is the exact binomial one for the
number of independent values that vary as much between observations, see `lsgen.analysis.intervals`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.analysis.intervals import check_level, clustered_share
from lsgen.analysis.statistic import Statistic
from lsgen.latent import central_interval

__all__ = ["Coverage", "imputation_coverage"]


@dataclass(frozen=True)
class Coverage:
    """How often intervals of draws hold the truth.

    Attributes:
        share: the share of missing values within; its baseline is what the intervals promise.
        below: share of missing values below their interval; (1 - level)/2 is promised.
        above: share of missing values above it.
        width: average length of the intervals.
        unknown: missing values whose truth nobody knows, which are left out.

    """

    share: Statistic
    below: float
    above: float
    width: float
    unknown: int


def imputation_coverage(
    x: Tensor, observed: Tensor, draws: Tensor, promised: float = 0.9, level: float = 0.95
) -> Coverage:
    """Return how often the central intervals of draws hold the true values that were missing.

    Args:
        x: the truth, (B, *shape); NaN where nobody knows it.
        observed: what was observed, boolean, (B, *shape).
        draws: draws of the observations given what was observed, (n, B, *shape), as `lsgen.latent.impute` has them.
        promised: probability of the central intervals.
        level: coverage of the confidence interval of the share.

    Raises:
        ValueError: shapes differ, a draw is not finite, there are too few draws for such intervals, nothing is missing
            whose truth is known, or it is so in a single observation with several values.

    """
    check_level(promised)
    if observed.dtype != torch.bool or x.shape != observed.shape or draws.shape[1:] != x.shape:
        raise ValueError(
            f"expected a truth and a mask (B, *shape) and draws (n, B, *shape), got {tuple(x.shape)}, {observed.dtype} "
            f"{tuple(observed.shape)} and {tuple(draws.shape)}"
        )
    if len(draws) < (least := round(2 / (1 - promised) - 1, 6)):
        raise ValueError(f"expected {least:g} draws or more for intervals of {promised:g}, got {len(draws)}")
    missing = ~observed & ~x.isnan()
    if not bool(missing.any()):
        raise ValueError("expected missing values with a known truth, got none")
    truth, drawn = x[missing].double(), draws[:, missing].double()
    if not bool(drawn.isfinite().all()):
        raise ValueError(f"expected finite draws, got {int((~drawn.isfinite()).sum())} that are not")
    low, high = central_interval(drawn, promised)
    below, above = truth < low, truth > high
    share, interval = clustered_share((~below & ~above).cpu().numpy(), missing.nonzero()[:, 0].cpu().numpy(), level)
    return Coverage(
        Statistic(share, len(truth), interval, promised, None, level),
        float(below.double().mean()),
        float(above.double().mean()),
        float((high - low).mean()),
        int((~observed & x.isnan()).sum()),
    )
