r"""Sentences whose words are independent until one of them is the end.

    p(x|h) = prod_{t <= T} p_t(x_t),    p_t = softmax(h_t),    T the place of the first end, L where there is none;
    p_1(end) = 0,    S_t = P(T >= t) = prod_{s < t} (1 - p_s(end)).

What comes after the end is not observed: it has no probability of its own, and the p(x|h) of all sentences add up to 1.
Scores of different places are uncorrelated, since that of place t has the mean 0 whatever comes before it, so that

    F = diag(F_1, ..., F_L),    F_t = S_t (diag(p_t) - p_t p_t^T) .

This warped product of spheres embeds isometrically into a flat space of L V dimensions of space and L - 1 of time,

    e(h) = (2 sqrt(S_1 p_1), ..., 2 sqrt(S_L p_L); 2 sqrt(S_2), ..., 2 sqrt(S_L)),    signature (+, ..., +; -, ..., -),

because |d sqrt(S_t p_t)|^2 = (d sqrt(S_t))^2 + S_t |d sqrt(p_t)|^2, where <sqrt(p_t), d sqrt(p_t)> = 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Categorical, Distribution, constraints

from lsgen.likelihoods.base import FlatLikelihood
from lsgen.likelihoods.categorical import covariance
from lsgen.likelihoods.text.base import TextLikelihood

__all__ = ["IndependentTokens"]


class IndependentTokens(TextLikelihood, FlatLikelihood):
    """Sentences of words that are drawn by themselves up to the first end; the heads are the logits of the words.

    Args:
        shape: (L,), the number of words that a sentence has room for.
        size: number V of words, the end included.

    Raises:
        ValueError: the shape is not (L,), or there are fewer than 2 words.

    """

    @property
    def heads(self) -> int:  # type: ignore[override]
        """The logits of each place, V."""
        return self.size

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution of sentences."""
        return _Sentences(self._log_p(h), self)

    def fisher(self, h: Tensor) -> Tensor:
        """Return S_t (diag(p_t) - p_t p_t^T), of shape (B, L, V, V)."""
        log_p = self._log_p(h)
        return covariance(log_p.exp()) * _log_reached(log_p).exp()[..., None, None]

    @property
    def signature(self) -> Tensor:
        """The signs (L V + L - 1,): +1 for the words of every place, -1 for reaching each place but the first."""
        return torch.cat([torch.ones(self.length * self.size), -torch.ones(self.length - 1)])

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return 2 sqrt(S_t p_t) of all words, then 2 sqrt(S_t), of shape (B, L V + L - 1)."""
        log_p = self._log_p(h)
        reached = _log_reached(log_p)
        words = torch.exp((reached.unsqueeze(-1) + log_p) / 2).flatten(-2)
        return 2 * torch.cat([words, torch.exp(reached[..., 1:] / 2)], -1)

    def _log_p(self, h: Tensor) -> Tensor:
        """Return log p_t(v), (B, L, V)."""
        return self.without_empty(self.split(h)).log_softmax(-1)


def _log_reached(log_p: Tensor) -> Tensor:
    """Return log S_t (B, L)."""
    goes_on = log_p[..., 1:].logsumexp(-1).cumsum(-1)
    return torch.cat([torch.zeros_like(goes_on[..., :1]), goes_on[..., :-1]], -1)


class _Sentences(Distribution):
    """Sentences with log-probabilities of the words of every place, (B, L, V)."""

    arg_constraints = {}  # noqa: RUF012 (the name and the type are those of torch.distributions)
    support = constraints.nonnegative_integer

    def __init__(self, log_p: Tensor, family: TextLikelihood) -> None:
        self.log_p, self.family = log_p, family
        super().__init__(log_p.shape[:-2], Size(family.shape), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> _Sentences:
        """Return the distribution with a larger batch shape."""
        return _Sentences(self.log_p.expand(*batch_shape, *self.log_p.shape[-2:]), self.family)

    @property
    def mean(self) -> Tensor:
        """The most probable sentence, as numbers (B, L)."""
        with torch.no_grad():
            best, words = self.log_p[..., 1:].max(-1)
            before = best.cumsum(-1)
            ended = before[..., :-1] + self.log_p[..., 1:, 0]
            length = torch.cat([ended, before[..., -1:]], -1).argmax(-1, keepdim=True) + 1
            kept = torch.arange(words.shape[-1], device=words.device) < length
            return torch.where(kept, words + 1, 0).to(self.log_p.dtype)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw sentences."""
        with torch.no_grad():
            x = Categorical(logits=self.log_p, validate_args=False).sample(Size(sample_shape))
            return (x * (x != 0).long().cumprod(-1)).to(self.log_p.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of the tokens, the first end included."""
        x, observed = self.family.targets(value)
        x, log_p = torch.broadcast_tensors(x.unsqueeze(-1), self.log_p)
        return torch.where(observed, log_p.gather(-1, x[..., :1]).squeeze(-1), 0).sum(-1)
