r"""The time at which noisy observations decide for a class, and how often two of their futures agree.

In the clock of Ornstein and Uhlenbeck, x_t = e^-t x_0 + sqrt(Delta) eps, Delta = 1 - e^-2t, the covariance of the data
becomes visible above the noise when its largest eigenvalue L does, L e^-2t = 1:

    t_S = (1/2) log L .

For two classes N(+-m, sigma^2 I) the class of x_t is seen along m alone, where it is G+- = N(+-|m| e^-t, Delta +
sigma^2 e^-2t). Two clones of x_t that are cleaned independently agree with probability

    phi(t) = (1/2) int (G+^2 + G-^2) / (G+ + G-) = E[w^2 + (1 - w)^2],    w = p(+ | x_t),

a function of delta = |m| e^-t / sqrt(Delta + sigma^2 e^-2t) alone; at |m|^2 = d, sigma = 1 and t_S = (1/2) log d it is
phi = 0.7752 whatever d is.

Reference: Biroli, Bonnaire, de Bortoli & Mezard, "Dynamical regimes of diffusion models" (2024),
https://arxiv.org/abs/2402.18491.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lsgen.metrics.phases.noised_points import log_weights
from lsgen.metrics.quality.frechet import add_gram, moments_of

__all__ = [
    "SpeciationTime",
    "class_agreement",
    "data_agreement",
    "log_snr_at",
    "ornstein_uhlenbeck_time",
    "speciation_time",
]


def ornstein_uhlenbeck_time(log_snr: Tensor) -> Tensor:
    """Return t = (1/2) log(1 + e^-l), the time at which e^-2t / (1 - e^-2t) = e^l."""
    return torch.nn.functional.softplus(-log_snr) / 2


def log_snr_at(time: Tensor) -> Tensor:
    """Return l = -log(e^2t - 1) at times t > 0, the inverse of `ornstein_uhlenbeck_time`."""
    return -torch.expm1(2 * time).log()


def speciation_time(eigenvalue: Tensor) -> Tensor:
    """Return t_S = (1/2) log L for the largest eigenvalue L of the covariance of the data, in their units."""
    return eigenvalue.log() / 2


def class_agreement(time: Tensor, separation: float, sigma: float = 1.0) -> Tensor:
    """Return phi(t), the probability that two clones end in the same of two classes N(+-m, sigma^2 I).

    Args:
        time: t (B,), 0 or more.
        separation: |m|, half the distance of the centres.
        sigma: the standard deviation within a class.

    Raises:
        ValueError: a time or sigma is negative, or both sigma and a time are 0.

    """
    time = torch.as_tensor(time, dtype=torch.float64)
    if bool((time < 0).any()) or sigma < 0 or (sigma == 0 and bool((time == 0).any())):
        raise ValueError(f"expected times and sigma of 0 or more, not both 0, got {time.tolist()} and {sigma}")
    shrunk = (-2 * time).exp()
    delta = separation * (-time).exp() / (1 - shrunk + sigma**2 * shrunk).sqrt()
    y = torch.linspace(-12, 12, 4001, dtype=torch.float64, device=time.device)
    mass = (-y.square() / 2).exp() * (y[1] - y[0]) / sqrt(2 * pi)
    plus = torch.sigmoid(2 * delta[..., None] * (y + delta[..., None]))
    return (mass * (1 - 2 * plus * (1 - plus))).sum(-1)


def data_agreement(
    points: Tensor,
    labels: Tensor | None,
    time: float,
    draws: int = 5000,
    generator: torch.Generator | None = None,
    chunk_size: int = 256,
) -> tuple[Tensor, Tensor]:
    """Return phi(t) of the classes of a data set whose exact denoiser cleans the clones, with its standard error.

    No cloning is needed: the clones of x_t are two draws from p(x_0 | x_t), so that phi is the average over x_t of the
    sum over classes of p(c | x_t)^2.

    Args:
        points: observations (n, d), in the scale that they are noised in.
        labels: their classes (n,), 0 or more; None for a class of each observation by itself.
        time: t > 0.
        draws: the number of noised observations.
        generator: draws them; that of PyTorch where it is not given.
        chunk_size: noised observations at once, of which each is compared with all points.

    Raises:
        ValueError: points are no table of two or more, the time is not positive, or labels are others than n.

    """
    if labels is not None and labels.shape != points.shape[:1]:
        raise ValueError(f"expected labels ({len(points)},), got {tuple(labels.shape)}")
    member = None if labels is None else torch.nn.functional.one_hot(labels.long()).double()
    posteriors = (w.softmax(1) for w in log_weights(points, time, draws, generator, chunk_size))
    parts = [(p if member is None else p @ member).square().sum(1) for p in posteriors]
    agreement = torch.cat(parts)
    return agreement.mean(), agreement.std() / draws**0.5


class SpeciationTime(Metric):
    """The largest eigenvalue of the covariance of observations, and the speciation time that it predicts.

    `update(x)` takes observations (N, *shape); `compute()` returns `eigenvalue` and `time`, float64 scalars. Both
    depend on the scale of the data: images of [-1, 1] have 4 times the eigenvalue of those of [0, 1], and log 2 more
    time. Sums are kept in float64 and add up over processes.

    Args:
        dim: the number of values of an observation.

    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    observations: Tensor
    total: Tensor
    gram: Tensor

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.add_state("observations", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(dim, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("gram", torch.zeros(dim, dim, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, x: Tensor) -> None:
        """Add a batch of observations (N, *shape).

        Raises:
            ValueError: an observation has another number of values.

        """
        rows = x.flatten(1).double()
        if rows.shape[1] != self.dim:
            raise ValueError(f"expected observations of {self.dim} values, got {tuple(x.shape)}")
        self.observations += len(rows)
        self.total += rows.sum(0)
        add_gram(self.gram, rows)

    def compute(self) -> dict[str, Tensor]:
        """Return the largest eigenvalue and the time."""
        covariance = moments_of(self.observations, self.total, self.gram).covariance
        eigenvalue = torch.linalg.eigvalsh(covariance)[-1]
        return {"eigenvalue": eigenvalue, "time": speciation_time(eigenvalue)}
