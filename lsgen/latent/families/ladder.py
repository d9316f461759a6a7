r"""Two levels of codes, z = (e_2, e_1), as one latent space with a standard normal prior.

    z_2 = e_2,    z_1 = m_p(z_2) + s_p(z_2) e_1,    x | z_1 ~ p(x | z_1),    e_2, e_1 ~ N(0, I)

is the hierarchy p(z_2) p(z_1|z_2) p(x|z_1) written in its noise. So each level is a set of coordinates that can be
traversed: e_2 moves what is global, e_1 what is left to the level below it, at fixed e_2.

The posterior goes down as well, and combines at each step what the encoder says of z_1 with what z_2 says,

    s_q^2 = 1 / (s^-2 + s_p^-2),    m_q = s_q^2 (m s^-2 + m_p s_p^-2),    e_1 | e_2 ~ N( (m_q - m_p)/s_p, (s_q/s_p)^2 ).

Reference: Sonderby et al., "Ladder variational autoencoders" (2016), equations 9 to 12,
https://arxiv.org/abs/1602.02282.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from lsgen.latent.posteriors import DecoderDependentPosterior

__all__ = ["LadderDecoder", "LadderNormal", "LadderPosterior"]


class LadderDecoder(nn.Module):
    """A decoder with two levels: codes (N, top_dim + bottom_dim) -> raw outputs.

    Args:
        top: codes (N, top_dim) -> mean and log variance of z_1, (N, 2 bottom_dim).
        bottom: codes z_1 (N, bottom_dim) -> raw outputs.
        top_dim: dimension of z_2; the first coordinates of a code.
        bottom_dim: dimension of z_1.
        heads: raw outputs per data channel, for whoever has to state them; those of `bottom` where it is None.

    Raises:
        ValueError: heads is not that of `bottom`.

    """

    def __init__(
        self, top: nn.Module, bottom: nn.Module, top_dim: int, bottom_dim: int, heads: int | None = None
    ) -> None:
        super().__init__()
        own = getattr(bottom, "heads", heads)
        if heads is not None and heads != own:
            raise ValueError(f"expected heads = bottom.heads = {own}, got {heads}")
        self.top, self.bottom, self.top_dim, self.bottom_dim = top, bottom, top_dim, bottom_dim
        self.dim = top_dim + bottom_dim
        self.heads = own

    def below(self, e2: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of z_1 given z_2, (B, bottom_dim) each."""
        mean, log_variance = self.top(e2.reshape(-1, self.top_dim)).chunk(2, dim=-1)
        shape = (*e2.shape[:-1], self.bottom_dim)
        return mean.reshape(shape), (log_variance / 2).exp().reshape(shape)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs of codes (N, top_dim + bottom_dim)."""
        e2, e1 = z.split([self.top_dim, self.bottom_dim], dim=-1)
        mean, scale = self.below(e2)
        out: Tensor = self.bottom(mean + scale * e1)
        return out


class LadderNormal(Distribution):
    """The two-level distribution q(e_2|x) q(e_1|e_2, x).

    Args:
        top: q(e_2|x), a normal of batch shape (B, top_dim).
        bottom: what the encoder says of z_1, a normal of batch shape (B, bottom_dim).
        decoder: what says how z_1 depends on z_2.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, top: Normal, bottom: Normal, decoder: LadderDecoder) -> None:
        self.top, self.bottom, self.decoder = top, bottom, decoder
        super().__init__(top.loc.shape[:-1], torch.Size((decoder.dim,)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean of e_2, and of e_1 given that, (B, d): the centre, as E[e_1] has no closed form."""
        return torch.cat([self.top.loc, self._given(self.top.loc).loc], -1)

    @property
    def variance(self) -> Tensor:
        """The variance of e_2, and of e_1 given the mean of e_2, (B, d)."""
        return self.factors(self.mean).variance

    def factors(self, z: Tensor) -> Independent:
        """Return the normals of each coordinate given the level above at codes (B, d)."""
        e2 = z[..., : self.decoder.top_dim]
        lower = self._given(e2)
        batch = lower.loc.shape[:-1]
        loc = torch.cat([self.top.loc.expand(*batch, -1), lower.loc], -1)
        scale = torch.cat([self.top.scale.expand(*batch, -1), lower.scale], -1)
        return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(e_2|x) + log q(e_1|e_2, x), (B,)."""
        log_prob: Tensor = self.factors(value).log_prob(value)
        return log_prob

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return reparameterised codes (*sample_shape, B, d)."""
        e2 = self.top.rsample(torch.Size(sample_shape))
        return torch.cat([e2, self._given(e2).rsample()], -1)

    def _given(self, e2: Tensor) -> Normal:
        mean_p, scale_p = self.decoder.below(e2)
        ratio = (scale_p / self.bottom.scale).square()
        shift = (self.bottom.loc - mean_p) / scale_p * ratio / (1 + ratio)
        return Normal(shift, torch.rsqrt(1 + ratio), validate_args=False)


class LadderPosterior(DecoderDependentPosterior):
    """The two-level posterior; the heads are means and log variances of both levels, the top one first."""

    heads: ClassVar[int] = 2

    def bind(self, decoder: nn.Module) -> None:
        """Store the decoder of the latent space.

        Raises:
            TypeError: it has no two levels.

        """
        if not isinstance(decoder, LadderDecoder):
            raise TypeError(f"LadderPosterior expected a LadderDecoder, got {type(decoder).__name__}")
        super().bind(decoder)

    def forward(self, raw: Tensor) -> LadderNormal:
        """Return the posterior of raw outputs (B, 2 (top_dim + bottom_dim))."""
        decoder = self.decoder
        assert isinstance(decoder, LadderDecoder)
        mean, log_variance = raw.chunk(2, dim=-1)
        sizes = [decoder.top_dim, decoder.bottom_dim]
        locs, scales = mean.split(sizes, -1), (log_variance / 2).exp().split(sizes, -1)
        top, bottom = (Normal(loc, scale, validate_args=False) for loc, scale in zip(locs, scales, strict=True))
        return LadderNormal(top, bottom, decoder)
