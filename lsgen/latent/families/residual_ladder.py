r"""Ladders of any depth made of residual blocks, for images: levels of codes of any resolution and channels.

On the way down, a state h of `width` channels meets each level, is doubled in size by nearest neighbours between sides,

    (m_l, log s_l, r_l) = P_l(h),    z_l = m_l + s_l e_l,    h <- B_l( h + r_l + A_l z_l ),

with blocks P_l, B_l and a 1x1 convolution A_l; the posterior has a block Q_l of its own, which sees h and the encoder's
feature maps of that side:

    residual:  (Dm, Dlog s) = Q_l(h, maps),   z_l ~ N(m_l + Dm, (s_l Ds)^2),   e_l ~ N(Dm / s_l, Ds^2)
    absolute:  (m_q, log s_q) = Q_l(h, maps), z_l ~ N(m_q, s_q^2),             e_l ~ N((m_q - m_l)/s_l, (s_q/s_l)^2)

Means and logarithms of scales are kept within (-5, 5) by 5 tanh(./5). A_l and the last layers of B_l begin scaled by
1/sqrt(number of levels).

Reference: Child, "Very deep VAEs" (2021), https://arxiv.org/abs/2011.10650, for the blocks; Vahdat & Kautz, "NVAE"
(2020), section 3.2, https://arxiv.org/abs/2007.03898, for the residual normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import interpolate

from lsgen.latent.families.ladder import TopDownDecoder, TopDownPosterior
from lsgen.nn.residual_ladder import BottleneckBlock, bottleneck_width, ladder_sides, side_of

__all__ = ["ResidualLadderDecoder", "ResidualLadderPosterior"]


class ResidualLadderDecoder(TopDownDecoder):
    """The way down: codes (N, d) -> raw outputs (N, heads * C, ...); a level of side S and C_l channels has C_l S^2.

    Args:
        shape: shape of one image, (C, S, S), or of a vector, (C,), an image of one pixel.
        levels: side and channels of every level of codes, the top one first.
        width: channels of the state.
        bottleneck: channels between the convolutions of a block, as a part of the width.
        heads: raw outputs per data channel, as the likelihood asks.

    Raises:
        ValueError: see `ladder_sides` and `bottleneck_width` of `lsgen.nn.residual_ladder`.

    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: Sequence[Sequence[int]] = ((1, 4), (4, 2)),
        width: int = 64,
        bottleneck: float = 0.25,
        heads: int = 1,
    ) -> None:
        sides = ladder_sides(shape, levels)
        super().__init__([side**2 * channels for side, channels in levels])
        self.heads, self.image = heads, (heads * shape[0], *shape[1:])
        self.width, self.places = width, [(int(channels), int(side), int(side)) for side, channels in levels]
        gain, middle = 1 / sqrt(len(levels)), bottleneck_width(width, bottleneck)
        self.first = nn.Parameter(torch.randn(width, sides[0], sides[0]) / sqrt(width))
        self.priors, self.entries, self.blocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for channels, side, _ in self.places:
            self.priors.append(BottleneckBlock(width, 2 * channels + width, middle, side, gain, residual=False))
            entry = nn.Conv2d(channels, width, 1)
            entry.weight.data *= gain
            self.entries.append(entry)
            self.blocks.append(BottleneckBlock(width, width, middle, side, gain))
        self.side = side_of(shape)
        self.last = BottleneckBlock(width, width, middle, self.side, gain)
        self.out = nn.Conv2d(width, self.image[0], 1)

    def start(self, like: Tensor) -> Tensor:
        """Return the learned state above the top level, (N, width, S, S)."""
        return self.first.expand(len(like), *self.first.shape)

    def prior(self, level: int, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean and log standard deviation of z_l, flattened, and the state with what the prior adds to it."""
        channels = self.places[level][0]
        mean, log_scale, added = self.priors[level](state).split([channels, channels, self.width], 1)
        return soft_clamp(mean).flatten(1), soft_clamp(log_scale).flatten(1), state + added

    def descend(self, level: int, state: Tensor, z: Tensor) -> Tensor:
        """Return the state after a level, at the side of the next."""
        state = self.blocks[level](state + self.entries[level](z.unflatten(1, self.places[level])))
        following = self.places[level + 1][1] if level + 1 < len(self.places) else self.side
        return state if following == state.shape[-1] else interpolate(state, size=(following, following))

    def output(self, state: Tensor) -> Tensor:
        """Return raw outputs of the state below the bottom level."""
        out: Tensor = self.out(self.last(state))
        return out.reshape(len(out), *self.image)


class ResidualLadderPosterior(TopDownPosterior):
    """The posterior of a `ResidualLadderDecoder`, which sees the feature maps of a `lsgen.nn.ResidualLadderEncoder`.

    Args:
        levels: side and channels of every level of codes, the top one first, as in the decoder.
        width: channels of the decoder's state and of the encoder's maps.
        bottleneck: channels between the convolutions of a block, as a part of the width.
        relative: whether the blocks tell the difference from the prior, as in NVAE, or the normal itself.

    Raises:
        ValueError: see `lsgen.nn.residual_ladder.bottleneck_width`.

    """

    heads: ClassVar[int] = 1

    def __init__(
        self,
        levels: Sequence[Sequence[int]] = ((1, 4), (4, 2)),
        width: int = 64,
        bottleneck: float = 0.25,
        relative: bool = True,
    ) -> None:
        super().__init__()
        self.places = [(int(channels), int(side), int(side)) for side, channels in levels]
        self.sides = sorted({side for _, side, _ in self.places})
        self.width, self.relative = width, relative
        self.raw_dim = width * sum(side**2 for side in self.sides)
        gain, middle = 1 / sqrt(len(levels)), bottleneck_width(width, bottleneck)
        self.blocks = nn.ModuleList(
            BottleneckBlock(2 * width, 2 * channels, middle, side, gain, residual=False)
            for channels, side, _ in self.places
        )

    def bind(self, decoder: nn.Module) -> None:
        """Store the decoder of the latent space.

        Raises:
            TypeError: it is no `ResidualLadderDecoder`.
            ValueError: it has other levels, or another width.

        """
        if not isinstance(decoder, ResidualLadderDecoder):
            raise TypeError(f"ResidualLadderPosterior expected a ResidualLadderDecoder, got {type(decoder).__name__}")
        if (decoder.places, decoder.width) != (self.places, self.width):
            theirs, own = (f"{one.places} of width {one.width}" for one in (decoder, self))
            raise ValueError(f"ResidualLadderPosterior expected the decoder's levels {theirs}, got {own}")
        super().bind(decoder)

    def messages(self, raw: Tensor) -> list[Tensor]:
        """Return the encoder's feature maps for every level, (B, width, S, S) each."""
        parts = raw.split([self.width * side**2 for side in self.sides], -1)
        maps = {side: part.unflatten(1, (self.width, side, side)) for side, part in zip(self.sides, parts, strict=True)}
        return [maps[side] for _, side, _ in self.places]

    def given(self, level: int, message: Tensor, state: Tensor, mean: Tensor, log_scale: Tensor) -> Normal:
        """Return q(e_l | e_1 ... e_{l-1}, x); see the module."""
        heads = self.blocks[level](torch.cat([state, message], 1)).chunk(2, dim=1)
        loc, log_q = (soft_clamp(head).flatten(1) for head in heads)
        if self.relative:
            return Normal(loc * (-log_scale).exp(), log_q.exp(), validate_args=False)
        return Normal((loc - mean) * (-log_scale).exp(), (log_q - log_scale).exp(), validate_args=False)


def soft_clamp(x: Tensor) -> Tensor:
    """Return numbers moved into (-5, 5) by 5 tanh(x/5)."""
    return 5 * torch.tanh(x / 5)
