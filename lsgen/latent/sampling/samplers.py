r"""Samplers of codes for a trained model: the prior, the codes of the data, or a density fitted to them.

    prior                   z ~ p(z)
    aggregate posterior     z ~ q(z) = 1/N sum_n q(z|x_n), the codes seen
    mixture of normals      z ~ sum_k pi_k N(z; m_k, S_k), fitted to the codes by expectation maximisation
    flow                    z = f(e), e ~ N(0, I), fitted to the codes by maximum likelihood
    truncated prior         z ~ p(z) given |z_i| <= t in every normal coordinate
    one class               (z, y) ~ p(z|y) for a given y

The model generates from p(z); where q(z) differs from it, as it does for every deterministic encoder, other codes
than those of p(z) are the ones that the decoder knows.

Reference: Ghosh et al., "From variational to deterministic autoencoders" (2020), section 4,
https://arxiv.org/abs/1903.12436, for the mixture after training; Dai & Wipf, "Diagnosing and enhancing VAE models"
(2019), https://arxiv.org/abs/1903.05789, for the mismatch; Brock et al. (2019), https://arxiv.org/abs/1809.11096,
section 3.1, for truncation, which trades diversity for fidelity.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import erf, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from lsgen.latent.families.flows import FlowPrior
from lsgen.latent.families.product import Product
from lsgen.latent.manifolds.manifold import Euclidean, Manifold
from lsgen.latent.priors import Prior, StandardNormal
from lsgen.latent.space import LatentSpace

__all__ = [
    "CodeSampler",
    "FromAggregatePosterior",
    "FromClass",
    "FromFlow",
    "FromGaussianMixture",
    "FromPrior",
    "FromTruncatedPrior",
    "generate",
    "generate_in_chunks",
]


class CodeSampler(ABC):
    """Abstract sampler of codes.

    Attributes:
        needs_codes: whether `fit` must see codes before `sample` can draw any.
        curved: whether it draws codes that stay on the manifold of any latent space.

    """

    needs_codes: bool = True
    curved: bool = False

    def bind(self, prior: Prior) -> None:  # noqa: B027 (most samplers do not need it)
        """Take the prior of the model that codes are drawn for.

        Raises:
            TypeError: the sampler cannot draw with it.

        """

    def fit(self, codes: Tensor) -> CodeSampler:
        """Fit to codes of observations, (N, d), one draw from each posterior.

        Raises:
            ValueError: the codes have another shape, or are not finite.

        """
        if codes.ndim != 2 or not len(codes) or not bool(torch.isfinite(codes).all()):
            raise ValueError(f"{type(self).__name__} expected finite codes (N, d), got shape {tuple(codes.shape)}")
        self.learn(codes.detach())
        return self

    @abstractmethod
    def learn(self, codes: Tensor) -> None:
        """Fit to codes (N, d) that have been checked."""

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """Return n codes, (n, d).

        Raises:
            RuntimeError: it has not been fitted.

        """

    def check(self, manifold: Manifold) -> None:
        """Raise an error if the sampler cannot draw codes on a manifold.

        Raises:
            ValueError: codes lie on a manifold that the draws would leave.

        """
        if not self.curved and manifold != Euclidean():
            raise ValueError(
                f"{type(self).__name__} expected codes in flat space, got a {type(manifold).__name__}: "
                "use FromPrior or FromAggregatePosterior"
            )

    def _unfitted(self) -> RuntimeError:
        return RuntimeError(f"{type(self).__name__} expected to be fitted to codes first: call fit(codes)")


class FromPrior(CodeSampler):
    """Draws codes from the prior.

    Args:
        prior: p(z), a module that returns a distribution.

    """

    needs_codes = False
    curved = True

    def __init__(self, prior: nn.Module) -> None:
        self.prior = prior

    def learn(self, codes: Tensor) -> None:
        """Do nothing: the prior needs no fit."""

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return draws from p(z)."""
        codes: Tensor = self.prior().sample((n,))
        return codes


class FromTruncatedPrior(CodeSampler):
    """Draws codes from the prior, its standard normal coordinates truncated to [-threshold, threshold].

    Other parts of a product, such as classes, are drawn as they are.

    Args:
        threshold: t; small ones give typical observations.

    Raises:
        ValueError: the threshold is not positive.

    """

    needs_codes = False
    curved = True

    def __init__(self, threshold: float = 0.5) -> None:
        if not threshold > 0:
            raise ValueError(f"expected a threshold above 0, got {threshold}")
        self.threshold = float(threshold)
        self._prior: Prior | None = None

    def bind(self, prior: Prior) -> None:
        """Store the prior: a `StandardNormal`, or a `Product` with one among its parts.

        Raises:
            TypeError: no coordinate is standard normal.

        """
        parts: list[Any] = list(prior.parts) if isinstance(prior, Product) else [prior]
        if not any(isinstance(part, StandardNormal) for part in parts):
            raise TypeError(f"FromTruncatedPrior expected a StandardNormal among the prior, got {type(prior).__name__}")
        self._prior = prior
        self._normal = [isinstance(part, StandardNormal) for part in parts for _ in range(part.dim)]

    def learn(self, codes: Tensor) -> None:
        """Do nothing: the prior needs no fit."""

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return draws, by inversion: sqrt(2) erfinv(u erf(t / sqrt(2))), u ~ U(-1, 1)."""
        if self._prior is None:
            raise RuntimeError("FromTruncatedPrior expected to know a prior first: call bind(prior)")
        codes: Tensor = self._prior().sample((n,))
        u = (2 * torch.rand_like(codes) - 1) * erf(self.threshold / sqrt(2))
        truncated = (sqrt(2) * torch.erfinv(u)).clamp(-self.threshold, self.threshold)
        return torch.where(torch.tensor(self._normal, device=codes.device), truncated, codes)


class FromClass(CodeSampler):
    """Draws codes of one class from the prior of the model, which has classes.

    Args:
        label: the class.
        prior: a prior with classes, such as a `Product` that ends in a `OneHot`; the model's where it is not given.

    Raises:
        ValueError: there is no such class.
        TypeError: the prior has no classes.

    """

    needs_codes = False
    curved = True

    def __init__(self, label: int, prior: Prior | None = None) -> None:
        if label < 0:
            raise ValueError(f"expected a class of at least 0, got {label}")
        self.label = int(label)
        self._prior: Any = None
        if prior is not None:
            self.bind(prior)

    def bind(self, prior: Prior) -> None:
        """Take the prior of the model."""
        classes = int(getattr(prior, "classes", 0)) if hasattr(prior, "draw_class") else 0
        if not classes:
            raise TypeError(f"FromClass expected a prior whose codes end in a class, got {type(prior).__name__}")
        if self.label >= classes:
            raise ValueError(f"FromClass expected a class below {classes}, got {self.label}")
        self._prior = prior

    def learn(self, codes: Tensor) -> None:
        """Do nothing: the prior needs no fit."""

    def sample(self, n: int) -> Tensor:
        """Return draws of the class."""
        if self._prior is None:
            raise RuntimeError("FromClass expected to know the prior of the model: give it prior=, or call bind(prior)")
        device = next(iter([*self._prior.parameters(), *self._prior.buffers()])).device
        codes: Tensor = self._prior.draw_class(torch.full((n,), self.label, device=device))
        return codes


class FromAggregatePosterior(CodeSampler):
    """Draws codes from the aggregate posterior: the fitted codes, with replacement."""

    curved = True

    def __init__(self) -> None:
        self._codes: Tensor | None = None

    def learn(self, codes: Tensor) -> None:
        """Keep the codes."""
        self._codes = codes

    def sample(self, n: int) -> Tensor:
        """Return some of the codes."""
        if self._codes is None:
            raise self._unfitted()
        return self._codes[torch.randint(len(self._codes), (n,), device=self._codes.device)]


class FromGaussianMixture(CodeSampler):
    """Draws codes from a mixture of normals with full covariances, fitted by scikit-learn.

    Args:
        components: number K of normals.
        seed: seed of the initial clusters.

    Raises:
        ValueError: components is not positive, or there are fewer codes.

    """

    def __init__(self, components: int = 10, seed: int = 0) -> None:
        if components < 1:
            raise ValueError(f"expected at least 1 component, got {components}")
        self.components, self.seed = components, seed
        self._parts: tuple[Tensor, Tensor, Tensor] | None = None

    def learn(self, codes: Tensor) -> None:
        """Fit weights, means and covariances."""
        from sklearn.mixture import GaussianMixture as Mixture

        if len(codes) < self.components:
            raise ValueError(f"expected at least {self.components} codes, one for each component, got {len(codes)}")
        mixture = Mixture(self.components, random_state=self.seed).fit(codes.double().cpu().numpy())
        weights, means, factors = (
            torch.as_tensor(part).to(codes)
            for part in (mixture.weights_, mixture.means_, torch.linalg.cholesky(torch.as_tensor(mixture.covariances_)))
        )
        self._parts = weights, means, factors

    def sample(self, n: int) -> Tensor:
        """Return draws from the mixture."""
        if self._parts is None:
            raise self._unfitted()
        weights, means, factors = self._parts
        chosen = torch.multinomial(weights, n, replacement=True)
        noise = torch.randn(n, means.shape[1], dtype=means.dtype, device=means.device)
        return means[chosen] + (factors[chosen] @ noise.unsqueeze(-1)).squeeze(-1)


class FromFlow(CodeSampler):
    """Draws codes from a neural spline flow, fitted to standardised codes (extra `flows`).

    Args:
        steps: optimiser steps.
        batch_size: codes in each.
        learning_rate: of Adam.

    Attributes:
        log_likelihood: average log density of the codes, in nats, over the last tenth of the steps.

    Raises:
        ValueError: a number is not positive, or codes have one dimension.
        ImportError: zuko is not installed.

    """

    def __init__(self, steps: int = 1000, batch_size: int = 256, learning_rate: float = 2e-3) -> None:
        if min(steps, batch_size) < 1 or not learning_rate > 0:
            raise ValueError(f"expected positive numbers, got {steps}, {batch_size} and {learning_rate}")
        self.steps, self.batch_size, self.learning_rate = steps, batch_size, learning_rate
        self.log_likelihood = float("nan")
        self._flow: FlowPrior | None = None

    @torch.inference_mode(False)
    @torch.enable_grad()
    def learn(self, codes: Tensor) -> None:
        """Maximise the likelihood of the codes."""
        codes = codes.clone()
        self._mean, self._scale = codes.mean(0), codes.std(0).clamp(min=torch.finfo(codes.dtype).eps)
        standard = (codes - self._mean) / self._scale
        flow = FlowPrior(codes.shape[1]).to(codes)
        optimizer = torch.optim.Adam(flow.parameters(), self.learning_rate)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        last: list[Tensor] = []
        for step in range(self.steps):
            batch = standard[torch.randint(len(codes), (self.batch_size,), device=codes.device)]
            loss = -flow().log_prob(batch).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            if step >= self.steps - max(1, self.steps // 10):
                last.append(-loss.detach())
        self.log_likelihood = float(torch.stack(last).mean() - self._scale.log().sum())
        self._flow = flow.requires_grad_(False)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return draws from the flow."""
        if self._flow is None:
            raise self._unfitted()
        return self._mean + self._scale * self._flow().sample(torch.Size((n,)))


def generate(space: LatentSpace, n: int, sampler: CodeSampler | None = None, mean: bool = False) -> Tensor:
    """Return n observations from codes of a sampler, (n, *shape).

    Args:
        space: decoder and likelihood.
        n: observations.
        sampler: where codes come from; the prior unless given.
        mean: whether the means of p(x|z) are returned instead of what `space.observe` draws.

    Raises:
        ValueError: the sampler cannot draw on the manifold of the codes.
        TypeError: the sampler cannot draw from such a prior.

    """
    source = _bound(space, sampler)
    return _drawn(space, source, n, mean)


def generate_in_chunks(
    space: LatentSpace, n: int, chunk_size: int, sampler: CodeSampler | None = None
) -> Iterator[Tensor]:
    """Yield n observations, at most `chunk_size` at a time, of one set of draws of a sampler: the prior unless given.

    Raises:
        ValueError, TypeError: see `generate`.

    """
    source = _bound(space, sampler)
    for start in range(0, n, chunk_size):
        yield _drawn(space, source, min(chunk_size, n - start))


def _bound(space: LatentSpace, sampler: CodeSampler | None) -> CodeSampler:
    """Return a sampler that knows the prior, at the beginning of a set of draws."""
    source = FromPrior(space.prior) if sampler is None else sampler
    source.check(space.manifold)
    source.bind(space.prior)
    return source


@torch.no_grad()
def _drawn(space: LatentSpace, source: CodeSampler, n: int, mean: bool = False) -> Tensor:
    z = source.sample(n)
    return space.decode(z).mean if mean else space.observe(z)
