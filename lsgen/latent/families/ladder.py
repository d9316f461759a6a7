r"""Levels of codes, z = (e_1 ... e_L) from the top down, as one latent space with a standard normal prior.

    z_l = m_l + s_l e_l,    (m_l, s_l) functions of z_1 ... z_{l-1},    x | z_1 ... z_L ~ p(x | z),    e_l ~ N(0, I)

is the hierarchy p(z_1) p(z_2|z_1) ... p(x|z) written in its noise. So each level is a set of coordinates that can be
traversed: e_1 moves what is global, e_l what is left to the levels from l on, at fixed levels above. The posterior goes
down as well: q(e_l | e_1 ... e_{l-1}, x) is a normal, made of what the encoder says and of the state that the decoder
has come to.

With messages N(m, s^2) of the encoder about every z_l, the precision-weighted posterior is that at the top, and below

    s_q^2 = 1 / (s^-2 + s_l^-2),    m_q = s_q^2 (m s^-2 + m_l s_l^-2),    e_l | ... ~ N( (m_q - m_l)/s_l, (s_q/s_l)^2 ).

Reference: Sonderby et al., "Ladder variational autoencoders" (2016), equations 9 to 12,
https://arxiv.org/abs/1602.02282.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints
from torch.nn.functional import logsigmoid

from lsgen.latent.posteriors import DecoderDependentPosterior

__all__ = ["LadderDecoder", "LadderNormal", "LadderPosterior", "TopDownDecoder", "TopDownPosterior"]


class TopDownDecoder(nn.Module, ABC):
    """Abstract decoder that goes down levels of codes: codes (N, d) -> raw outputs.

    Args:
        sizes: dimension of every level, the top one first; d is their sum.

    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(int(size) for size in sizes)
        self.dim = sum(self.sizes)

    @abstractmethod
    def start(self, like: Tensor) -> Tensor:
        """Return the state above the top level, (N, ...), for codes (N, d)."""

    @abstractmethod
    def prior(self, level: int, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean and log standard deviation of z_l given the state above, (N, sizes[level]), and a state.

        The state is what `descend` goes on from.
        """

    @abstractmethod
    def descend(self, level: int, state: Tensor, z: Tensor) -> Tensor:
        """Return the state below a level whose codes are z_l, (N, sizes[level])."""

    @abstractmethod
    def output(self, state: Tensor) -> Tensor:
        """Return raw outputs of the state below the bottom level."""

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs of codes (N, d)."""
        return self.output(self._down(z)[0])

    def levels(self, z: Tensor) -> list[Tensor]:
        """Return z_1 ... z_L, (N, sizes[l]) each, of codes (N, d)."""
        return self._down(z)[1]

    def _down(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        state, found = self.start(z), []
        for level, e in enumerate(z.split(self.sizes, dim=-1)):
            mean, log_scale, state = self.prior(level, state)
            found.append(mean + log_scale.exp() * e)
            state = self.descend(level, state, found[-1])
        return state, found


class LadderDecoder(TopDownDecoder):
    """A decoder with two levels: codes (N, top_dim + bottom_dim) -> raw outputs.

    Args:
        top: codes (N, top_dim) -> mean and log variance of z_2, (N, 2 bottom_dim).
        bottom: codes z_2 (N, bottom_dim) -> raw outputs.
        top_dim: dimension of z_1; the first coordinates of a code.
        bottom_dim: dimension of z_2.
        heads: raw outputs per data channel, for whoever has to state them; those of `bottom` where it is None.

    Raises:
        ValueError: heads is not that of `bottom`.

    """

    def __init__(
        self, top: nn.Module, bottom: nn.Module, top_dim: int, bottom_dim: int, heads: int | None = None
    ) -> None:
        super().__init__([top_dim, bottom_dim])
        own = getattr(bottom, "heads", heads)
        if heads is not None and heads != own:
            raise ValueError(f"expected heads = bottom.heads = {own}, got {heads}")
        self.top, self.bottom, self.top_dim, self.bottom_dim = top, bottom, top_dim, bottom_dim
        self.heads = own

    def below(self, e: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of z_2 given z_1 = e_1, (B, bottom_dim) each."""
        mean, log_variance = self.top(e.reshape(-1, self.top_dim)).chunk(2, dim=-1)
        shape = (*e.shape[:-1], self.bottom_dim)
        return mean.reshape(shape), (log_variance / 2).exp().reshape(shape)

    def start(self, like: Tensor) -> Tensor:
        """Return zeros (N, top_dim), the mean of z_1."""
        return like.new_zeros(len(like), self.top_dim)

    def prior(self, level: int, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean and log standard deviation of z_l given z_{l-1}; they are zero at the top."""
        if level == 0:
            return state, torch.zeros_like(state), state
        mean, log_variance = self.top(state).chunk(2, dim=-1)
        return mean, log_variance / 2, state

    def descend(self, level: int, state: Tensor, z: Tensor) -> Tensor:
        """Return z_l."""
        return z

    def output(self, state: Tensor) -> Tensor:
        """Return raw outputs of z_2 (N, bottom_dim)."""
        out: Tensor = self.bottom(state)
        return out


class LadderNormal(Distribution):
    """The distribution q(e_1|x) q(e_2|e_1, x) ... over the codes of all levels.

    The factors of the latest draw, and the decoder's raw output at it, are known from the way down that drew it.

    Args:
        messages: what the encoder says for every level, (B, ...) each.
        posterior: what makes normals of messages and states.
        decoder: what goes down the levels.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, messages: Sequence[Tensor], posterior: TopDownPosterior, decoder: TopDownDecoder) -> None:
        self.messages, self.posterior, self.decoder = messages, posterior, decoder
        self._drawn: tuple[Tensor, Independent] | None = None
        super().__init__(messages[0].shape[:1], torch.Size((decoder.dim,)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean of every level given the means above, (B, d): the centre, as E[e_l] has no closed form."""
        return self._down(lambda level, q: q.loc, ())[0]

    @property
    def variance(self) -> Tensor:
        """The variance of every level given the means above, (B, d)."""
        return self._down(lambda level, q: q.loc, ())[1].variance

    def factors(self, z: Tensor) -> Independent:
        """Return the normals of each coordinate given the levels above at codes (*, B, d)."""
        if self._drawn is not None and z is self._drawn[0]:
            known = self._drawn[1]
            if known.mean.requires_grad or not torch.is_grad_enabled():
                return known
        shape = torch.broadcast_shapes(z.shape[:-1], self.batch_shape)
        levels = z.expand(*shape, -1).reshape(-1, self.decoder.dim).split(self.decoder.sizes, -1)
        return self._down(lambda level, q: levels[level], shape[:-1])[1]

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(e_1|x) + log q(e_2|e_1, x) + ..., (B,)."""
        log_prob: Tensor = self.factors(value).log_prob(value)
        return log_prob

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return reparameterised codes (*sample_shape, B, d)."""
        return self._draw(sample_shape)[0]

    def rsample_decoded(self, sample_shape: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        """Return reparameterised codes (*sample_shape, B, d) and the decoder's raw outputs there."""
        z, state = self._draw(sample_shape)
        h = self.decoder.output(state)
        return z, h.reshape(*z.shape[:-1], *h.shape[1:])

    def _draw(self, sample_shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        z, factors, state = self._down(lambda level, q: q.rsample(), sample_shape)
        self._drawn = z, factors
        return z, state

    def _down(
        self, choose: Callable[[int, Normal], Tensor], sample_shape: Sequence[int]
    ) -> tuple[Tensor, Independent, Tensor]:
        """Return codes, their normals and the state at the bottom; `choose` gives e_l (N, sizes[l]) of each normal."""
        copies = prod(sample_shape)
        messages = [message.expand(copies, *message.shape).flatten(0, 1) for message in self.messages]
        state, codes, normals = self.decoder.start(messages[0]), [], []
        for level, message in enumerate(messages):
            mean, log_scale, below = self.decoder.prior(level, state)
            normals.append(self.posterior.given(level, message, state, mean, log_scale))
            codes.append(choose(level, normals[-1]))
            state = self.decoder.descend(level, below, mean + log_scale.exp() * codes[-1])
        shape = (*sample_shape, *self.batch_shape, -1)
        loc = torch.cat([q.loc for q in normals], -1).reshape(shape)
        scale = torch.cat([q.scale for q in normals], -1).reshape(shape)
        factors = Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)
        return torch.cat(codes, -1).reshape(shape), factors, state


class TopDownPosterior(DecoderDependentPosterior):
    """Abstract posterior that goes down the levels of a `TopDownDecoder`."""

    def bind(self, decoder: nn.Module) -> None:
        """Store the decoder of the latent space.

        Raises:
            TypeError: it has no levels.

        """
        if not isinstance(decoder, TopDownDecoder):
            name = type(self).__name__
            raise TypeError(f"{name} expected a decoder with levels, a TopDownDecoder, got {type(decoder).__name__}")
        super().bind(decoder)

    @property
    def ladder(self) -> TopDownDecoder:
        """The decoder, down its levels."""
        assert isinstance(self.decoder, TopDownDecoder)
        return self.decoder

    @abstractmethod
    def messages(self, raw: Tensor) -> list[Tensor]:
        """Return what raw outputs (B, heads * d) say for every level, (B, ...) each."""

    @abstractmethod
    def given(self, level: int, message: Tensor, state: Tensor, mean: Tensor, log_scale: Tensor) -> Normal:
        """Return q(e_l | e_1 ... e_{l-1}, x), of batch shape (N, sizes[level]).

        Args:
            level: l, counted from 0.
            message: what the encoder says, (N, ...).
            state: the decoder's state above the level, (N, ...).
            mean: mean of z_l given the levels above, (N, sizes[level]).
            log_scale: log standard deviation of z_l given the levels above, of the same shape.

        """

    def forward(self, raw: Tensor) -> LadderNormal:
        """Return the posterior of raw outputs."""
        return LadderNormal(self.messages(raw), self, self.ladder)


class LadderPosterior(TopDownPosterior):
    """The precision-weighted posterior; the heads are means and log variances of all levels, the top one first."""

    heads: ClassVar[int] = 2

    def messages(self, raw: Tensor) -> list[Tensor]:
        """Return means and log variances (B, 2 sizes[l]) of raw outputs (B, 2 d)."""
        means, log_variances = (part.split(self.ladder.sizes, -1) for part in raw.chunk(2, dim=-1))
        return [torch.cat(pair, -1) for pair in zip(means, log_variances, strict=True)]

    def given(self, level: int, message: Tensor, state: Tensor, mean: Tensor, log_scale: Tensor) -> Normal:
        """Return the product of message and prior as a normal of e_l; at the top the message alone."""
        loc, log_variance = message.chunk(2, dim=-1)
        shift = (loc - mean) * (-log_scale).exp()
        log_ratio = 2 * log_scale - log_variance  # of the precision of the message to that of the prior
        if level == 0:
            return Normal(shift, (-log_ratio / 2).exp(), validate_args=False)
        scale = (logsigmoid(-log_ratio) / 2).exp()
        return Normal(shift * torch.sigmoid(log_ratio), scale, validate_args=False)
