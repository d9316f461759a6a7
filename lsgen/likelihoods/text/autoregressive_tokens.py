r"""Sentences that a network writes word by word, each given those before it and a condition h.

    p(x|h) = prod_{t <= T} p(x_t | x_<t, h),    T the place of the first end, L where there is none;
    p(x_1 = end | h) = 0 .

The p(x|h) of all sentences add up to 1. The score is a sum of martingale differences, s = sum_t s_t with
E[s_t | x_<t] = 0, so that no products of different places are left in

    F(h) = E[s s^T] = sum_t E_{x_<t}[ J_t^T (diag(p_t) - p_t p_t^T) J_t ],    J_t = d logits_t / dh,

where words that come after the end have none. The sum over x_t is exact, and the mean over what comes before it is that
of n sentences x^k drawn from p(x|h):

    F(h) ~ 1/n sum_k sum_{t <= T_k} w_t^k J_t^T (diag(p_t) - p_t p_t^T) J_t,    w_t^k = p(x_<t^k | h) / p(x_<t^k | h~) .

Here h~ is h without its derivatives: the weights are 1, and their derivatives are what makes those of the estimate
unbiased, to any order. Sentences are drawn by inversion from the same numbers at all h, those of the first word
stratified, so that F is a function of h; it jumps by a share of 1/n where a sentence changes. It is not smooth, and
curvature, which takes its second derivatives, has the variance of weights that have been differentiated twice.

Reference: Bowman et al., "Generating sentences from a continuous space" (2016), https://arxiv.org/abs/1511.06349, for
word dropout; Foerster et al., "DiCE: the infinitely differentiable Monte Carlo estimator" (2018),
https://arxiv.org/abs/1802.05098, for the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints

from lsgen.likelihoods.text.base import TextLikelihood

__all__ = ["AutoregressiveTokens", "NextWord", "WrittenSentences"]

_ENTRIES = 2**24  # of derivatives of logits that are held at once
_SEED = 0


class NextWord(Protocol):
    """A network that tells the next word; see `lsgen.nn.sequences`.

    Attributes:
        condition: size H of the condition.
        size: number V of words.

    """

    condition: int
    size: int

    def __call__(self, words: Tensor, h: Tensor) -> Tensor:
        """Return logits (N, L, V) of what follows on words (N, L), the first of which is 0, given conditions (N, H)."""

    def start(self, h: Tensor) -> tuple[Tensor, ...]:
        """Return the state before the first word, tensors of N rows."""

    def step(self, words: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the logits (N, V) of what follows on words (N,), and the next state."""


class AutoregressiveTokens(TextLikelihood):
    """Sentences whose words are told by a network, from those before and from the decoder's raw outputs.

    Args:
        network: words (N, L) and conditions (N, H) -> logits (N, L, V); see `NextWord`.
        shape: (L,), the number of words that a sentence has room for.
        size: number V of words, the end included.
        word_dropout: probability with which, in training, the network is not told a word before, and sees the number 0
            in its place.
        prefixes: number n of sentences that the Fisher information is the mean over.

    Raises:
        ValueError: the shape is not (L,), a number is out of range, or the network has another size.

    """

    _noise: Tensor

    def __init__(
        self, network: nn.Module, shape: Sequence[int], size: int, word_dropout: float = 0.0, prefixes: int = 64
    ) -> None:
        super().__init__(shape, size)
        if not 0 <= word_dropout <= 1:
            raise ValueError(f"expected a word_dropout from 0 to 1, got {word_dropout}")
        if prefixes < 1:
            raise ValueError(f"expected at least 1 of prefixes, got {prefixes}")
        if getattr(network, "size", None) != self.size:
            raise ValueError(f"expected a network of {size} words, got {getattr(network, 'size', None)}")
        self.network, self.word_dropout, self.prefixes = network, float(word_dropout), int(prefixes)
        self.register_buffer("_noise", _stratified(self.prefixes, self.length), persistent=False)

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape (H,) of the condition."""
        return (self._network.condition,)

    def forward(self, h: Tensor) -> WrittenSentences:
        """Return the distribution of sentences; in training, words before are left out each time it is asked."""
        self.check_raw(h)
        return WrittenSentences(self, h, self.word_dropout if self.training else 0.0)

    def split(self, h: Tensor) -> Tensor:
        """Return h as (B, 1, H): one member with H coordinates."""
        self.check_raw(h)
        return h.unsqueeze(-2)

    def join(self, coordinates: Tensor) -> Tensor:
        """Return coordinates (B, 1, H) in the layout of h."""
        return coordinates.squeeze(-2)

    def fisher(self, h: Tensor) -> Tensor:
        """Return the estimate of F from `prefixes` sentences, of shape (B, 1, H, H)."""
        self.check_raw(h)
        flat = h.reshape(-1, h.shape[-1])
        at_once = max(1, _ENTRIES // (self.prefixes * self.length * self.size * h.shape[-1]))
        found = torch.cat([self._information(part) for part in flat.split(at_once)])
        return found.reshape(*h.shape[:-1], 1, *found.shape[-2:])

    def log_p(self, words: Tensor, h: Tensor) -> Tensor:
        """Return log p(v | x_<t, h) of all words v (N, L, V), after words (N, L) under conditions (N, H)."""
        return self.without_empty(self._network(words, h)).log_softmax(-1)

    def step(self, words: Tensor, state: tuple[Tensor, ...], t: int) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return log p (N, V) of place t, after words (N,), and the next state of the network."""
        logits, state = self._network.step(words, state)
        return logits.masked_fill(self._empty[t], -torch.inf).log_softmax(-1), state

    def write(self, h: Tensor, choose: Any) -> Tensor:
        """Return sentences (N, L), int64, whose words are chosen one by one.

        Args:
            h: conditions (N, H).
            choose: log p (N, V) and the place t -> words (N,), int64.

        """
        state, word = self._network.start(h), torch.zeros(len(h), dtype=torch.int64, device=h.device)
        words, goes_on = [], torch.ones_like(word)
        for t in range(self.length):
            log_p, state = self.step(word, state, t)
            word = choose(log_p, t) * goes_on
            goes_on = goes_on * (word != 0)
            words.append(word)
        return torch.stack(words, -1)

    def _information(self, h: Tensor) -> Tensor:
        """Return F (N, H, H) at conditions (N, H)."""
        n, k = len(h), self.prefixes
        fixed = h.detach().repeat_interleave(k, 0)
        with torch.no_grad():
            noise = self._noise.to(fixed).repeat(n, 1)
            x = self.write(fixed, lambda log_p, t: _inverted(log_p, noise[:, t]))
        x, observed = self.targets(x)
        before = _before(x)

        def log_p(own: Tensor) -> Tensor:
            return self.log_p(before, own.repeat_interleave(k, 0))

        basis = torch.eye(h.shape[1], dtype=h.dtype, device=h.device)[:, None].expand(-1, n, -1)
        value, slopes = _with_slopes(log_p, h, basis)
        chosen = torch.where(observed, value.gather(-1, x.unsqueeze(-1)).squeeze(-1), 0)
        told = torch.cat([torch.zeros_like(chosen[:, :1]), chosen[:, :-1]], 1).cumsum(1)
        weight = torch.exp(told - told.detach()) * observed / k
        p = value.exp()
        slopes = torch.where(p > 0, slopes, 0)  # of log p, so that their mean is 0
        return torch.einsum("ktv,aktv,bktv->kab", weight.unsqueeze(-1) * p, slopes, slopes).unflatten(0, (n, k)).sum(1)

    @property
    def _network(self) -> NextWord:
        return cast(NextWord, self.network)


class WrittenSentences(Distribution):
    """Sentences that a network writes, given conditions (B, H).

    Args:
        family: asks the network.
        h: the conditions.
        word_dropout: probability with which log-probabilities leave out a word before.

    """

    arg_constraints = {}  # noqa: RUF012 (the name and the type are those of torch.distributions)
    support = constraints.nonnegative_integer

    def __init__(self, family: AutoregressiveTokens, h: Tensor, word_dropout: float = 0.0) -> None:
        self.family, self.h, self.word_dropout = family, h, word_dropout
        super().__init__(h.shape[:-1], Size(family.shape), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> WrittenSentences:
        """Return the distribution with a larger batch shape."""
        return WrittenSentences(self.family, self.h.expand(*batch_shape, self.h.shape[-1]), self.word_dropout)

    @property
    def mean(self) -> Tensor:
        """The sentences of the most probable word at each place, given those before it, as numbers (B, L)."""
        return self._written(self.h, lambda log_p, t: log_p.argmax(-1))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw sentences word by word, (*sample_shape, B, L)."""
        h = self.h.expand(*sample_shape, *self.h.shape)
        return self._written(h, lambda log_p, t: torch.multinomial(log_p.exp(), 1).squeeze(-1))

    def beam(self, width: int) -> Tensor:
        """Return the most probable sentences found among the `width` most probable beginnings of each length, (B, L).

        With one beginning it is `mean`; if there are as many as sentences, it is exact.

        Raises:
            ValueError: the width is not positive.

        """
        if width < 1:
            raise ValueError(f"expected a beam of width 1 or more, got {width}")
        family, h = self.family, self.h.reshape(-1, self.h.shape[-1])
        with torch.no_grad():
            state, n = family.network.start(h), len(h)  # type: ignore[operator]
            rows = torch.zeros(n, 1, 0, dtype=torch.int64, device=h.device)
            word, score = torch.zeros_like(rows[..., 0:1].sum(-1)), torch.zeros(n, 1, dtype=h.dtype, device=h.device)
            for t in range(family.length):
                log_p, state = family.step(word.flatten(), state, t)
                log_p = log_p.unflatten(0, word.shape)
                if t:  # nothing follows on an end but ends
                    over = torch.full_like(log_p, -torch.inf).index_fill(-1, word.new_zeros(1), 0.0)
                    log_p = torch.where((word == 0).unsqueeze(-1), over, log_p)
                total = (score.unsqueeze(-1) + log_p).flatten(1)
                score, best = total.topk(min(width, total.shape[1]), 1)
                parent, word = best // family.size, best % family.size
                rows = torch.cat([rows.gather(1, parent.unsqueeze(-1).expand(-1, -1, t)), word.unsqueeze(-1)], -1)
                places = (parent + torch.arange(n, device=h.device).unsqueeze(1) * (len(state[0]) // n)).flatten()
                state = tuple(part[places] for part in state)
        return rows[:, 0].to(self.h.dtype).reshape(*self.h.shape[:-1], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of the tokens, the first end included, each told all words before it."""
        batch = torch.broadcast_shapes(value.shape[:-1], self.h.shape[:-1])
        x, observed = self.family.targets(value)
        x = x.expand(*batch, -1).reshape(-1, x.shape[-1])
        before = _before(x)
        if self.word_dropout:
            before = before * (torch.rand(before.shape, device=before.device) >= self.word_dropout)
        log_p = self.family.log_p(before, self.h.expand(*batch, -1).reshape(len(x), -1))
        told = log_p.gather(-1, x.unsqueeze(-1)).squeeze(-1).reshape(*batch, -1)
        return torch.where(observed, told, 0).sum(-1)

    def _written(self, h: Tensor, choose: Any) -> Tensor:
        with torch.no_grad():
            words = self.family.write(h.reshape(-1, h.shape[-1]), choose)
        return words.to(h.dtype).reshape(*h.shape[:-1], -1)


def _before(x: Tensor) -> Tensor:
    """Return the words before each place of sentences (N, L): 0, then all but the last."""
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)


def _stratified(n: int, length: int) -> Tensor:
    """Return numbers in [0, 1), (n, length), always the same; the first column has one in each n-th of the interval."""
    noise = torch.rand(n, length, dtype=torch.float64, generator=torch.Generator().manual_seed(_SEED))
    first = (torch.arange(n) + noise[:, 0]) / n
    return torch.cat([first[:, None], noise[:, 1:]], 1)


def _inverted(log_p: Tensor, noise: Tensor) -> Tensor:
    """Return the words (N,) at which the distribution function, of log p (N, V), passes numbers (N,)."""
    distribution = log_p.exp().cumsum(-1)
    passed = (distribution <= noise.unsqueeze(-1) * distribution[:, -1:]).sum(-1)
    return passed.clamp(max=log_p.shape[-1] - 1)


def _with_slopes(fn: Any, h: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Return fn(h) and its derivatives along directions (H, N, H), (H, ...)."""
    value = fn(h)
    slopes = torch.func.vmap(lambda v: torch.func.jvp(fn, (h,), (v,))[1])(directions)
    return value, slopes
