r"""Precision by radial basis functions: a decoder's uncertainty that grows away from the codes it was fitted on.

    beta(z) = W v(z) + zeta,    v_k(z) = exp(-lambda_k |z - c_k|^2),    W > 0,    sigma(z) = beta(z)^(-1/2).

The centres c_k are those of k-means on the codes, and with a factor a for the bandwidth

    lambda_k = 1/2 ( a / |C_k| sum_{z in C_k} |z - c_k| )^(-2) .

Once the mean is learnt and fixed, its squared errors r^2 determine W: the negative log-likelihood
1/2 sum_n (beta_n r_n^2 - log beta_n) is convex in W. Jensen's inequality on the logarithm bounds it from above by a
function whose minimum is in closed form, so that each step

    W_k <- W_k  sum_n v_k(z_n) / beta_n  /  sum_n v_k(z_n) r_n^2

lowers it and keeps W positive. Far from every centre sigma is zeta^(-1/2), the largest there is.

Reference: Arvanitidis, Hansen & Hauberg, "Latent space oddity" (2018), section 4.1 and equations 11 and 12,
https://arxiv.org/abs/1710.11379.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

__all__ = ["Precision", "RBFDecoder", "RBFPrecision", "checked_errors"]


class Precision(nn.Module, ABC):
    """Abstract network of precisions: codes (N, dim) -> precisions (N, *shape), positive everywhere.

    Attributes:
        dim: latent dimension d.
        shape: shape of one observation.

    """

    dim: int
    shape: tuple[int, ...]

    @property
    @abstractmethod
    def too_few_codes(self) -> int:
        """The largest number of codes that it cannot be fitted to."""

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Return the precisions at codes."""

    @abstractmethod
    def fit(self, codes: Tensor, squared_errors: Tensor) -> Tensor:
        """Fit it to codes (N, d) and squared errors (N, *shape) of a fixed mean.

        Returns:
            The negative log-likelihood before every step and after the last, in nats per observation, up to the
            constant D/2 log(2 pi).

        """


class RBFPrecision(Precision):
    """Codes (N, dim) -> precisions (N, *shape), positive everywhere.

    Args:
        dim: latent dimension d.
        shape: shape of one observation.
        centres: number K of basis functions.
        bandwidth: the factor a.
        largest: largest standard deviation, as a multiple of the root mean squared error; it sets zeta.

    Attributes:
        centres: c_k, (K, d).
        rates: lambda_k, (K,).
        log_weight: log W, (D, K).
        zeta: smallest precision, ().
        placed: whether the centres are where codes are.

    Raises:
        ValueError: a number is not positive.

    """

    centres: Tensor
    rates: Tensor
    zeta: Tensor

    def __init__(
        self, dim: int, shape: Sequence[int], centres: int = 64, bandwidth: float = 1.0, largest: float = 1000.0
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("centres", centres), ("bandwidth", bandwidth), ("largest", largest)):
            if not value > 0:
                raise ValueError(f"expected {name} > 0, got {value}")
        self.dim, self.shape = dim, tuple(int(size) for size in shape)
        self.bandwidth, self.largest = float(bandwidth), float(largest)
        self.register_buffer("centres", torch.zeros(centres, dim))
        self.register_buffer("rates", torch.full((centres,), torch.nan))
        self.register_buffer("zeta", torch.tensor(largest**-2))
        self.log_weight = nn.Parameter(torch.zeros(prod(self.shape), centres))
        self.placed = False
        self.register_load_state_dict_post_hook(_loaded)

    @property
    def too_few_codes(self) -> int:
        """The number of centres, all of which would be codes."""
        return len(self.centres)

    def basis(self, z: Tensor) -> Tensor:
        """Return v(z), of shape (N, K).

        Raises:
            RuntimeError: the centres have not been placed.

        """
        if not self.placed:
            raise RuntimeError("RBFPrecision expected centres placed by place(codes), got none: call it first")
        return torch.exp(-self.rates * (z.unsqueeze(1) - self.centres).square().sum(-1))

    def forward(self, z: Tensor) -> Tensor:
        """Return beta(z), of shape (N, *shape)."""
        return (self.basis(z) @ self.log_weight.exp().T + self.zeta).unflatten(1, self.shape)

    @torch.no_grad()
    def place(self, codes: Tensor, seed: int = 0) -> None:
        """Put the centres where k-means on codes (N, d) puts them, and choose their bandwidths.

        A cluster of one point, or of equal ones, takes the smallest bandwidth of the others.

        Raises:
            ValueError: codes have another dimension, are fewer than the centres, are not finite, or all coincide.

        """
        self._check(codes)
        fitted = KMeans(len(self.centres), random_state=seed, n_init=1).fit(codes.detach().double().cpu().numpy())
        centres = torch.from_numpy(fitted.cluster_centers_).to(codes.device)
        labels = torch.from_numpy(fitted.labels_).long().to(codes.device)
        distances = torch.linalg.vector_norm(codes.double() - centres[labels], dim=-1)
        total = torch.zeros(len(centres), dtype=torch.float64, device=codes.device).index_add(0, labels, distances)
        spread = total / labels.bincount(minlength=len(centres)).clamp(min=1)
        if not bool((spread > 0).any()):
            raise ValueError(f"expected more different codes than centres, got at most {len(centres)} different ones")
        spread = torch.where(spread > 0, spread, spread[spread > 0].min())
        self.centres.copy_(centres)
        self.rates.copy_(0.5 * (self.bandwidth * spread) ** -2)
        self.placed = True

    @torch.no_grad()
    def fit(
        self, codes: Tensor, squared_errors: Tensor, seed: int = 0, steps: int = 200, chunk_size: int = 4096
    ) -> Tensor:
        """Place the centres and maximise the likelihood of the errors of a fixed mean in W.

        Args:
            codes: codes (N, d).
            squared_errors: (x - mu(z))^2, (N, *shape).
            seed: of k-means.
            steps: number of updates.
            chunk_size: codes worked on at once.

        Returns:
            The negative log-likelihood before every step and after the last, in nats per observation, up to the
            constant D/2 log(2 pi), of shape (steps + 1,); it never grows.

        Raises:
            ValueError: see `place`; also where the errors have another shape, are negative or all zero.

        """
        self.place(codes, seed)
        errors = checked_errors(self, codes, squared_errors)
        average = errors.mean()
        self.zeta.copy_(1 / (average * self.largest**2))
        self.log_weight.fill_(-average.log())
        history = []
        for step in range(steps + 1):
            loss, growth, decay = self._sums(codes, errors, chunk_size)
            history.append(loss / len(codes))
            if step < steps:
                ratio = growth / decay.clamp(min=torch.finfo(decay.dtype).tiny)
                self.log_weight.add_(ratio.clamp(min=torch.finfo(ratio.dtype).tiny).log())
        return torch.stack(history)

    def _sums(self, codes: Tensor, errors: Tensor, chunk_size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss (), sum_n v / beta and sum_n v r^2, both (D, K)."""
        loss = errors.new_zeros((), dtype=torch.float64)
        growth, decay = torch.zeros_like(self.log_weight), torch.zeros_like(self.log_weight)
        for z, r2 in zip(codes.split(chunk_size), errors.split(chunk_size), strict=True):
            v = self.basis(z)
            beta = v @ self.log_weight.exp().T + self.zeta
            loss += (beta * r2 - beta.log()).double().sum() / 2
            growth += beta.reciprocal().T @ v
            decay += r2.T @ v
        return loss, growth, decay

    def _check(self, codes: Tensor) -> None:
        if codes.ndim != 2 or codes.shape[1] != self.dim:
            raise ValueError(f"expected codes of shape (N, {self.dim}), got {tuple(codes.shape)}")
        if len(codes) < len(self.centres):
            raise ValueError(f"expected at least as many codes as centres, {len(self.centres)}, got {len(codes)}")
        if not bool(torch.isfinite(codes).all()):
            raise ValueError("expected finite codes, got values that are not")


class RBFDecoder(nn.Module):
    """Codes (N, dim) -> the heads (mu, log sigma) of a Gaussian, the mean from a network and sigma from a precision.

    With the likelihood `Gaussian` its expected metric is J_mu^T J_mu + J_sigma^T J_sigma.

    Args:
        mean: codes (N, dim) -> means (N, *shape).
        precision: codes (N, dim) -> precisions (N, *shape).
        frozen: whether the weights of the mean stay as they are.

    """

    heads = 2

    def __init__(self, mean: nn.Module, precision: Precision, frozen: bool = True) -> None:
        super().__init__()
        self.dim, self.mean, self.precision = precision.dim, mean, precision
        if frozen:
            mean.requires_grad_(False)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, 2 * shape[0], *shape[1:])."""
        return torch.cat([self.mean(z), -0.5 * self.precision(z).log()], 1)


def checked_errors(precision: Precision, codes: Tensor, squared_errors: Tensor) -> Tensor:
    """Return squared errors as (N, D).

    Raises:
        ValueError: they have another shape than (N, *shape) for codes (N, d), are negative or all zero.

    """
    expected = (len(codes), *precision.shape)
    if tuple(squared_errors.shape) != expected:
        raise ValueError(f"expected squared errors of shape {expected}, got {tuple(squared_errors.shape)}")
    if not bool((squared_errors >= 0).all()) or not bool(squared_errors.any()):
        raise ValueError("expected squared errors that are at least 0 and not all 0, got others")
    return squared_errors.flatten(1)


def _loaded(module: RBFPrecision, _: Any) -> None:
    module.placed = bool(torch.isfinite(module.rates).all())
