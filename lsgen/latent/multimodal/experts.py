r"""Joint posteriors q(z|x_A) of any subset A of M modalities, from the normal experts of each, q_i = N(mu_i, T_i^-1).

    product      N(mu, T^-1),    T = T_0 + sum_{i in A} T_i,    mu = T^-1 sum_{i in A} T_i mu_i
    mixture      1/|A| sum_{i in A} q_i
    mixture of products    1/(2^|A| - 1) sum_{S in A, S not empty} N(mu_S, T_S^-1)

with diagonal precisions T_i, and T_0 = I the prior's expert where there is one. Precisions are added as logarithms, so
that no log variance is too large or too small. Which modalities there are is a mask: a precision that is absent is 0,
the weight of a component with an absent modality is 0, and nothing depends on what the experts say there.

The KL divergence of a mixture q = sum_c w_c q_c has no closed form. It is estimated by draws, or bounded by convexity,
KL(q || p) <= sum_c w_c KL(q_c || p), as in MoPoE.

Reference: Wu & Goodman, "Multimodal generative models for scalable weakly-supervised learning" (2018), equation 3,
https://arxiv.org/abs/1802.05335; Shi et al., "Variational mixture-of-experts autoencoders" (2019), equation 3,
https://arxiv.org/abs/1911.03393; Sutter, Daunhawer & Vogt, "Generalized multimodal ELBO" (2021), equations 5-7,
https://arxiv.org/abs/2105.02470.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from lsgen.latent.priors import Prior, StandardNormal

__all__ = [
    "Experts",
    "JointPosterior",
    "MixtureOfExperts",
    "MixtureOfProducts",
    "NormalMixture",
    "ProductOfExperts",
    "diagonal_normal",
    "every_subset",
    "product_of_normals",
]


@dataclass(frozen=True)
class Experts:
    """What the encoders of M modalities say of B observations.

    Attributes:
        mean: means of the code that modalities share, (B, M, d).
        log_variance: log variances of it, (B, M, d).
        private_mean: means of each modality's own code, (B, M, p); p = 0 where there is none.
        private_log_variance: log variances of it, (B, M, p).
        whole: mean and log variance (B, d) that a joint posterior with a network of its own gives; see
            `JointPosterior.see`.

    """

    mean: Tensor
    log_variance: Tensor
    private_mean: Tensor
    private_log_variance: Tensor
    whole: tuple[Tensor, Tensor] | None = None

    @property
    def count(self) -> int:
        """The number M of modalities."""
        return self.mean.shape[-2]

    def only(self, place: int) -> Experts:
        """Return what is said of one modality alone, as experts of M = 1."""
        here = slice(place, place + 1)
        shared = self.mean[..., here, :], self.log_variance[..., here, :]
        return Experts(*shared, self.private_mean[..., here, :], self.private_log_variance[..., here, :])

    def each(self) -> list[Independent]:
        """Return the expert q_i of every modality, of batch shape (B,) and event shape (d,), of the shared code."""
        return [diagonal_normal(m, v) for m, v in zip(self.mean.unbind(-2), self.log_variance.unbind(-2), strict=True)]


class NormalMixture(Distribution):
    r"""A mixture of C diagonal normals with weights that are not learned, of batch shape B and event shape (d,).

        q(z) = sum_c w_c N(z; mu_c, diag(s_c^2))

    Codes carry the gradient of the component that they are drawn from.

    Args:
        mean: the means, (B, C, d).
        log_variance: the log variances, (B, C, d).
        log_weights: log w, (B, C), normalised; -inf where a component does not count.

    """

    arg_constraints = {}  # noqa: RUF012 (the name and the type are those of torch.distributions)
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, mean: Tensor, log_variance: Tensor, log_weights: Tensor) -> None:
        self.means, self.log_variances = torch.broadcast_tensors(mean, log_variance)
        self.log_weights = log_weights.expand(self.means.shape[:-1])
        super().__init__(self.means.shape[:-2], self.means.shape[-1:], validate_args=False)

    @property
    def components(self) -> Independent:
        """The normals, of batch shape (B, C)."""
        return diagonal_normal(self.means, self.log_variances)

    @property
    def weights(self) -> Tensor:
        """The weights, (B, C)."""
        return self.log_weights.exp()

    @property
    def mean(self) -> Tensor:
        """The mean, (B, d)."""
        return self.average(self.means)

    @property
    def variance(self) -> Tensor:
        """The variance, (B, d): that within components and that of their means."""
        spread = (self.means - self.mean.unsqueeze(-2)).square()
        return self.average(self.log_variances.exp() + spread)

    def average(self, values: Tensor) -> Tensor:
        """Return sum_c w_c f_c of values (B, C, ...)."""
        weights = self.weights.reshape(*self.weights.shape, *[1] * (values.ndim - self.weights.ndim))
        return torch.where(weights > 0, weights * values, 0).sum(self.log_weights.ndim - 1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> NormalMixture:
        """Return the mixture with a larger batch shape."""
        shape = (*batch_shape, *self.means.shape[-2:])
        return NormalMixture(self.means.expand(shape), self.log_variances.expand(shape), self.log_weights)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw codes (*sample_shape, B, d), each from a component that is drawn first."""
        shape = Size(sample_shape) + self.log_weights.shape
        noise = -torch.empty(shape, dtype=self.means.dtype, device=self.means.device).exponential_().log()
        which = (self.log_weights + noise).argmax(-1, keepdim=True).unsqueeze(-1)
        which = which.expand(*which.shape[:-1], self.means.shape[-1])
        picked = [x.expand(*shape, -1).gather(-2, which).squeeze(-2) for x in (self.means, self.log_variances)]
        return diagonal_normal(*picked).rsample()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw codes without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def stratified(self, sample_shape: Any = ()) -> Tensor:
        """Return one equal share of codes of each component, (C, *sample_shape, B, d), with gradients through each.

        E_q f is the average over components, with their weights, of the mean of f over the codes of each.
        """
        return self.components.rsample(Size(sample_shape)).movedim(-2, 0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density in nats of codes (..., B, d)."""
        each = self.components.log_prob(value.unsqueeze(-2))
        return torch.logsumexp(each + self.log_weights, -1)

    def convex_divergence(self, p: Independent) -> Tensor:
        """Return sum_c w_c KL(q_c || p) for every dimension of a p that factorises, (B, d).

        It is an upper bound of KL(q || p).
        """
        base = self.components.base_dist
        return self.average(torch.distributions.kl_divergence(base, p.base_dist))


class JointPosterior(nn.Module, ABC):
    """Abstract way to make one posterior of the experts of several modalities; its options are frozen.

    Attributes:
        factorised: whether q(z|x) is `Independent` over latent dimensions.

    """

    factorised: ClassVar[bool] = False

    def check(self, prior: Prior) -> None:
        """Refuse a prior that does not go with the posterior; none by default.

        Raises:
            TypeError: it does not.

        """

    def see(self, x: Tensor, experts: Experts) -> Experts:
        """Return the experts with what a network of the posterior itself says of packed observations (B, D), if any."""
        return experts

    @abstractmethod
    def forward(self, experts: Experts, present: Tensor | None = None) -> Independent | NormalMixture:
        """Return the posterior of the shared code, of batch shape (B,) and event shape (d,).

        Args:
            experts: what the encoders say; of one modality alone as well (M = 1).
            present: which modalities an observation has, bool (..., M), which broadcasts with (B, M); all unless given.

        """


class ProductOfExperts(JointPosterior):
    """The product of the experts that are present.

    Args:
        prior_expert: whether the prior N(0, I) is one of the experts, as in MVAE. Without it a subset with no modality
            has no posterior: NaN.

    """

    factorised: ClassVar[bool] = True

    def __init__(self, prior_expert: bool = True) -> None:
        super().__init__()
        self.prior_expert = bool(prior_expert)

    def check(self, prior: Prior) -> None:
        """Refuse a prior whose expert is not N(0, I).

        Raises:
            TypeError: the prior is another and one of the experts.

        """
        _check_prior_expert(self, self.prior_expert, prior)

    def forward(self, experts: Experts, present: Tensor | None = None) -> Independent:
        """Return the product."""
        return diagonal_normal(*product_of_normals(experts.mean, experts.log_variance, present, self.prior_expert))


class MixtureOfExperts(JointPosterior):
    """The mixture of the experts that are present, with equal weights."""

    def forward(self, experts: Experts, present: Tensor | None = None) -> Independent | NormalMixture:
        """Return the mixture; of one modality its expert."""
        return _mixture(experts.mean, experts.log_variance, present)


class MixtureOfProducts(JointPosterior):
    """The mixture, with equal weights, of the products over all subsets of the modalities that are present (MoPoE).

    Args:
        prior_expert: whether N(0, I) is an expert of every product; the paper's products have none.

    """

    def __init__(self, prior_expert: bool = False) -> None:
        super().__init__()
        self.prior_expert = bool(prior_expert)

    def check(self, prior: Prior) -> None:
        """Refuse a prior whose expert is not N(0, I).

        Raises:
            TypeError: the prior is another and one of the experts.

        """
        _check_prior_expert(self, self.prior_expert, prior)

    def forward(self, experts: Experts, present: Tensor | None = None) -> Independent | NormalMixture:
        """Return the mixture of 2^M - 1 products, in the order of `every_subset`; of one modality its product."""
        subsets = every_subset(experts.count, experts.mean.device)
        mean, log_variance = experts.mean.unsqueeze(-3), experts.log_variance.unsqueeze(-3)
        products = product_of_normals(mean, log_variance, subsets, self.prior_expert)
        held = None if present is None else (present.unsqueeze(-2) | ~subsets).all(-1)
        return _mixture(*products, held)


def every_subset(count: int, device: torch.device | None = None) -> Tensor:
    """Return the 2^M - 1 subsets of M modalities that are not empty as masks, bool (2^M - 1, M), in binary order."""
    numbers = torch.arange(1, 2**count, device=device)
    return (numbers[:, None] >> torch.arange(count, device=device)) % 2 == 1


def product_of_normals(
    mean: Tensor, log_variance: Tensor, present: Tensor | None = None, prior_expert: bool = True
) -> tuple[Tensor, Tensor]:
    """Return mean and log variance (B, d) of the product of diagonal normals (B, M, d).

    Args:
        mean: their means.
        log_variance: their log variances.
        present: which of them there are, bool (B, M); all unless given.
        prior_expert: whether N(0, I) is one more.

    """
    log_precision = -log_variance
    if present is not None:
        log_precision = torch.where(present.unsqueeze(-1), log_precision, -torch.inf)
        mean = mean.expand_as(log_precision)
    if prior_expert:
        none = torch.zeros_like(mean[..., :1, :])
        mean, log_precision = torch.cat([mean, none], -2), torch.cat([log_precision, none], -2)
    return (log_precision.softmax(-2) * mean).sum(-2), -torch.logsumexp(log_precision, -2)


def diagonal_normal(mean: Tensor, log_variance: Tensor) -> Independent:
    """Return N(mean, diag(exp(log_variance))) of event shape (d,)."""
    return Independent(Normal(mean, (log_variance / 2).exp(), validate_args=False), 1, validate_args=False)


def with_private_codes(
    q: Independent | NormalMixture, experts: Experts, places: Sequence[int], count: int, present: Tensor | None
) -> Independent | NormalMixture:
    """Return the posterior of (z, w_1, ..., w_M): of the shared code and, independent of it, each modality's own.

    A private code whose modality is absent has its prior N(0, I).

    Args:
        q: the posterior of the shared code.
        experts: what the encoders say of some modalities.
        places: the numbers of these.
        count: the number M of all.
        present: which of them there are, bool (B, len(places)).

    """
    mean, log_variance = experts.private_mean, experts.private_log_variance
    if not mean.shape[-1]:
        return q
    if present is not None:
        mean, log_variance = (torch.where(present.unsqueeze(-1), x, 0) for x in (mean, log_variance))
    absent = torch.zeros_like(mean[..., 0, :])
    own = [
        torch.cat([x[..., places.index(i), :] if i in places else absent for i in range(count)], -1)
        for x in (mean, log_variance)
    ]
    if isinstance(q, NormalMixture):
        joined = [
            torch.cat([x, w.unsqueeze(-2).expand(*x.shape[:-1], -1)], -1)
            for x, w in zip((q.means, q.log_variances), own, strict=True)
        ]
        return NormalMixture(joined[0], joined[1], q.log_weights)
    shared = q.base_dist.mean, 2 * q.base_dist.stddev.log()
    return diagonal_normal(*(torch.cat([x, w], -1) for x, w in zip(shared, own, strict=True)))


def _mixture(mean: Tensor, log_variance: Tensor, present: Tensor | None) -> Independent | NormalMixture:
    """Return the mixture, with equal weights, of the normals (B, C, d) that are present; of one that normal."""
    count = mean.shape[-2]
    if count == 1:
        return diagonal_normal(mean.squeeze(-2), log_variance.squeeze(-2))
    if present is None:
        return NormalMixture(mean, log_variance, torch.full_like(mean[..., 0], 1 / count).log())
    many = present.sum(-1, keepdim=True).to(mean)
    log_weights = torch.where(present, -many.log(), -torch.inf)
    shape = torch.broadcast_shapes(mean.shape, (*present.shape, 1))
    return NormalMixture(mean.expand(shape), log_variance.expand(shape), log_weights)


def _check_prior_expert(posterior: JointPosterior, prior_expert: bool, prior: Prior) -> None:
    if prior_expert and not isinstance(prior, StandardNormal):
        raise TypeError(
            f"expected a StandardNormal as the prior, which is an expert of {type(posterior).__name__}, "
            f"got {type(prior).__name__}: choose it, or prior_expert=false"
        )
