r"""Normalising flows as prior and as posterior, by zuko (extra `flows`).

    z = f(e),    e ~ N(0, I),    log p(z) = log N(f^{-1}(z)) + log |det d f^{-1}/dz|

The default is a neural spline flow of coupling layers, which samples and evaluates at the same price; any zuko flow of
the right dimension may be given in its place.

Reference: Rezende & Mohamed (2015), https://arxiv.org/abs/1505.05770; Durkan et al., "Neural spline flows" (2019),
https://arxiv.org/abs/1906.04032.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from lsgen.extras import from_extra
from lsgen.latent.posteriors import Posterior
from lsgen.latent.priors import Prior

__all__ = ["FlowDistribution", "FlowPosterior", "FlowPrior"]


class FlowDistribution(Distribution):
    """A distribution made by a flow, whose networks run in single precision also under automatic mixed precision.

    Args:
        flow: zuko's distribution, with `base`, `transform`, `log_prob` and `rsample`.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, flow: Any) -> None:
        self.flow = flow
        super().__init__(flow.batch_shape, flow.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The image f(0) of the base's mean, (B, d), which stands for the centre: E[z] has no closed form."""
        with self._without_autocast():
            centre: Tensor = self.flow.transform.inv(self.flow.base.mean)
        return centre

    @property
    def variance(self) -> Tensor:
        """The variance of 1000 draws, (B, d), an estimate that differs from call to call."""
        with torch.no_grad():
            return self.rsample((1000,)).var(0)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return reparameterised codes (*sample_shape, B, d)."""
        with self._without_autocast():
            codes: Tensor = self.flow.rsample(torch.Size(sample_shape))
        return codes

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, (B,)."""
        batch = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        value = value.expand(*batch, -1)  # some flows do not broadcast codes against contexts
        with self._without_autocast():
            log_prob: Tensor = self.flow.log_prob(value)
        return log_prob

    def _without_autocast(self) -> torch.autocast:
        return torch.autocast(self.flow.base.mean.device.type, enabled=False)


class FlowPrior(Prior):
    """A learned prior.

    Args:
        dim: latent dimension d, at least 2 for the default flow.
        flow: a zuko flow over d dimensions without context; a neural spline flow unless given.

    Raises:
        ValueError: dim is too small.
        ImportError: zuko is not installed.

    """

    def __init__(self, dim: int, flow: nn.Module | None = None) -> None:
        super().__init__(dim)
        self.flow = _spline_flow(dim, 0) if flow is None else flow

    def forward(self) -> Distribution:
        """Return the distribution of the flow."""
        return FlowDistribution(self.flow())


class FlowPosterior(Posterior):
    """A posterior whose flow sees all 2 d raw outputs of the encoder.

    Args:
        dim: latent dimension d, at least 2 for the default flow.
        flow: a zuko flow over d dimensions with a context of 2 d; a neural spline flow unless given.

    Raises:
        ValueError: dim is too small.
        ImportError: zuko is not installed.

    """

    heads: ClassVar[int] = 2

    def __init__(self, dim: int, flow: nn.Module | None = None) -> None:
        super().__init__()
        self.flow = _spline_flow(dim, 2 * dim) if flow is None else flow

    def forward(self, raw: Tensor) -> Distribution:
        """Return the distribution of the flow given raw outputs (B, 2 d)."""
        return FlowDistribution(self.flow(raw))


def _spline_flow(dim: int, context: int) -> nn.Module:
    if dim < 2:
        raise ValueError(f"expected at least 2 latent dimensions for a flow of coupling layers, got {dim}")
    with from_extra("flows", "a flow needs zuko"):
        from zuko.flows import NSF
    return NSF(dim, context, transforms=3, passes=2, hidden_features=(64, 64))
