r"""What words tell of the next one by counting: unigrams and bigrams, the baselines of models that write sentences.

    p(w) = (n_w + 1) / (n + V),    p(w | v) = (n_vw + s p(w)) / (n_v + s),

for numbers 0, ..., V - 1 of words and the end; the word before the first is the end, and no sentence ends before its
first word, so that both are normalised over sentences. Held-out tokens are counted up to the first end.

Reference: MacKay & Peto, "A hierarchical Dirichlet language model" (1995), for the smoothing.
"""

from __future__ import annotations

from math import exp, log

import torch
from torch import Tensor

from lsgen.likelihoods.text.vocabulary import tokens

__all__ = ["STRENGTHS", "bigram_log_probs", "bits_per_token", "perplexity", "token_count", "unigram_log_probs"]

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def unigram_log_probs(training: Tensor, x: Tensor, size: int) -> Tensor:
    """Return log p (M,) of sentences x (M, L) by the frequencies of words in training sentences (N, L)."""
    p = _unigram(training, size)
    return _of_sentences(p.expand(size, -1), x)


def bigram_log_probs(training: Tensor, x: Tensor, size: int, strength: float | None = None) -> Tensor:
    """Return log p (M,) of sentences x (M, L) by the frequencies of pairs of words in training sentences (N, L).

    Args:
        training: training sentences.
        x: held-out sentences.
        size: number V of words.
        strength: s; of `STRENGTHS` the one that is best for these very sentences where it is None, in favour of the
            baseline.

    """
    if strength is None:
        found = [bigram_log_probs(training, x, size, one) for one in STRENGTHS]
        return max(found, key=lambda log_p: float(log_p.sum()))
    before, now, observed = _pairs(training)
    counts = torch.bincount((before * size + now)[observed], minlength=size**2).double().unflatten(0, (size, size))
    p = (counts + strength * _unigram(training, size)) / (counts.sum(1, keepdim=True) + strength)
    return _of_sentences(p, x)


def token_count(x: Tensor) -> int:
    """Return the number of tokens of sentences (M, L), their first ends included."""
    return int(tokens(x).sum())


def bits_per_token(log_p: Tensor, x: Tensor) -> float:
    """Return -sum log2 p over the number of tokens, of log p (M,) in nats of sentences (M, L)."""
    return -float(log_p.double().sum()) / token_count(x) / log(2)


def perplexity(log_p: Tensor, x: Tensor) -> float:
    """Return exp(-sum log p over the number of tokens)."""
    return exp(-float(log_p.double().sum()) / token_count(x))


def _pairs(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return words before, words, and which are tokens, (N, L)."""
    observed = tokens(x)
    now = torch.where(observed, x.round(), 0).long()
    return torch.cat([torch.zeros_like(now[:, :1]), now[:, :-1]], 1), now, observed


def _unigram(training: Tensor, size: int) -> Tensor:
    _, now, observed = _pairs(training)
    counts = torch.bincount(now[observed], minlength=size).double()
    return (counts + 1) / (counts.sum() + size)


def _of_sentences(p: Tensor, x: Tensor) -> Tensor:
    """Return log p (M,) of sentences by p(w | v) (V, V), where none ends before its first word."""
    before, now, observed = _pairs(x)
    first = torch.cat([torch.zeros_like(p[:1, :1]), p[:1, 1:]], 1)
    log_first, log_p = (first / first.sum()).log(), p.log()
    told = torch.cat([log_first[0, now[:, :1]], log_p[before[:, 1:], now[:, 1:]]], 1)
    return torch.where(observed, told, 0).sum(1)
