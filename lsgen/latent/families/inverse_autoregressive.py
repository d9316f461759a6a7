r"""Inverse autoregressive flows: posteriors whose dimensions depend on one another, sampled in one pass.

    z_0 = mu + sigma e,    e ~ N(0, I),
    [m_t, s_t] = MADE_t(z_{t-1}, h),    sigma_t = sigmoid(s_t),    z_t = sigma_t z_{t-1} + (1 - sigma_t) m_t,
    log q(z_T|x) = -sum_i ( e_i^2/2 + log(2 pi)/2 + log sigma_i + sum_t log sigma_{t,i} )

Every Jacobian is triangular, with sigma_t on its diagonal; the order of the dimensions is reversed from one step to the
next. The density of a draw comes with the draw. That of other codes needs the inverse, one dimension after another: d
passes of every network. Where a step forgets more than floats can undo, sigma_t below their relative precision, the
inverse takes that precision for sigma_t: what such a step is given cannot be told from what it gives.

Reference: Kingma et al., "Improving variational inference with inverse autoregressive flow" (2016), algorithm 1 and
equations 10 to 14, https://arxiv.org/abs/1606.04934.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from lsgen.latent.posteriors import Posterior
from lsgen.nn.made import MADE

__all__ = ["IAFDistribution", "IAFPosterior"]


class IAFDistribution(Distribution):
    """A normal distribution moved by steps of an inverse autoregressive flow.

    Args:
        loc: mean mu of the normal, (B, d).
        log_scale: log sigma, (B, d).
        context: what the steps see of the observation, (B, c).
        steps: networks with two heads, m and s.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, log_scale: Tensor, context: Tensor, steps: Sequence[MADE]) -> None:
        self.loc, self.log_scale, self.context, self.steps = loc, log_scale, context, steps
        self._drawn: tuple[Tensor, Tensor] | None = None
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The image of mu, (B, d), which stands for the centre: E[z] has no closed form."""
        return self._forward(self.loc)[0]

    @property
    def variance(self) -> Tensor:
        """The variance of 1000 draws, (B, d), an estimate that differs from call to call."""
        with torch.no_grad():
            return self.rsample((1000,)).var(0)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return reparameterised codes (*sample_shape, B, d)."""
        shape = (*sample_shape, *self.loc.shape)
        e = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        z, log_det = self._forward(self.loc + self.log_scale.exp() * e)
        self._drawn = z, self._base(e) - log_det
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, (B,); that of the latest draw is known, others take d passes of each step."""
        if self._drawn is not None and value is self._drawn[0]:
            log_q = self._drawn[1]
            if log_q.requires_grad or not torch.is_grad_enabled():
                return log_q
        z, log_det = self._inverse(value)
        return self._base((z - self.loc) * (-self.log_scale).exp()) - log_det

    def _base(self, e: Tensor) -> Tensor:
        return -(e.square() / 2 + log(2 * pi) / 2 + self.log_scale).sum(-1)

    def _forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return z_T and the log determinant of its Jacobian from z_0."""
        log_det = torch.zeros_like(z[..., 0])
        for step in self.steps:
            m, s = (head.to(z.dtype) for head in step(z, self.context))  # also where networks run in half precision
            z = m + torch.sigmoid(s) * (z - m)
            log_det = log_det + logsigmoid(s).sum(-1)
        return z, log_det

    def _inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return z_0 and the log determinant of the Jacobian of the way from it."""
        z = z.expand(*torch.broadcast_shapes(z.shape, self.loc.shape))
        log_det, precision = torch.zeros_like(z[..., 0]), -log(torch.finfo(z.dtype).eps)
        for step in reversed(list(self.steps)):
            above, columns = z.unbind(-1), list(torch.zeros_like(z).unbind(-1))
            for i in step.order:
                m, s = (head[..., i].to(z.dtype) for head in step(torch.stack(columns, -1), self.context))
                forgotten = -logsigmoid(s)
                columns[i] = m + (above[i] - m) * forgotten.clamp(max=precision).exp()
                log_det = log_det - forgotten
            z = torch.stack(columns, -1)
        return z, log_det


class IAFPosterior(Posterior):
    """A posterior with an inverse autoregressive flow; the heads are mu, 2 log sigma and the context h.

    Args:
        dim: latent dimension d.
        steps: steps T of the flow.
        hidden: widths of the hidden layers of each step's network.

    Raises:
        ValueError: a number is not positive.

    """

    heads: ClassVar[int] = 3

    def __init__(self, dim: int, steps: int = 4, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"expected at least 1 step of the flow, got {steps}")
        self.steps = nn.ModuleList(MADE(dim, dim, hidden, 2, bool(t % 2)) for t in range(steps))
        for step in self.steps:
            assert isinstance(step, MADE)
            nn.init.constant_(step.last.bias.data[dim:], 2.0)  # a step begins near the identity, as the paper advises

    def forward(self, raw: Tensor) -> IAFDistribution:
        """Return the posterior of raw outputs (B, 3 d)."""
        loc, log_variance, context = raw.chunk(3, dim=-1)
        steps = [step for step in self.steps if isinstance(step, MADE)]
        return IAFDistribution(loc, log_variance / 2, context, steps)
