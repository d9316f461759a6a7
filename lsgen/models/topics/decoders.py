r"""Decoders of mixtures theta of K topics into the logits of V words.

    mixture:     p = theta beta                          LDA, NMF, PLSA, NVLDA, embedded topics
    experts:     p = softmax(normalised(theta W))        ProdLDA: a weighted product of the topics' distributions

Reference: Srivastava & Sutton, "Autoencoding variational inference for topic models" (2017),
https://arxiv.org/abs/1703.01488; Dieng, Ruiz & Blei, "Topic modeling in embedding spaces" (2020),
https://arxiv.org/abs/1907.04907.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from lsgen.latent import Codes

__all__ = ["EmbeddedTopics", "ExpertTopics", "SoftmaxTopics", "TopicDecoder", "WeightedTopics"]


class TopicDecoder(nn.Module, ABC):
    """Abstract decoder of mixtures of topics (N, K) into logits of words (N, *shape).

    Args:
        dim: number K of topics.
        shape: shape of one observation, whose V values are counts of words.
        dropout: share of the topics of a document that are left out in training; the rest are scaled up.

    Raises:
        ValueError: dim is not positive, or dropout is not in [0, 1).

    """

    def __init__(self, dim: int, shape: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"expected at least 1 topic, got {dim}")
        if not 0 <= dropout < 1:
            raise ValueError(f"expected dropout in [0, 1), got {dropout}")
        self.dim, self.heads, self.shape, self.words = int(dim), 1, tuple(shape), prod(shape)
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def topics(self) -> Tensor:
        """Return the weights of words of each topic, beta (K, V), which sum to 1 for each topic."""

    def logits(self, theta: Tensor) -> Tensor:
        """Return log theta beta, (N, V), of mixtures (N, K); a word that no topic has has the least."""
        p = theta @ self.topics()
        return p.clamp(min=torch.finfo(p.dtype).tiny).log()

    def forward(self, theta: Tensor) -> Tensor:
        """Return the logits of words, (N, *shape)."""
        return self.logits(self.dropout(theta)).unflatten(-1, self.shape)


class WeightedTopics(TopicDecoder):
    """Topics that are given as weights of words, up to their sum.

    Args:
        weights: weights (K, V), not negative; those of a topic of zeros alone are equal.
        shape: shape of one observation.

    """

    def __init__(self, weights: nn.Parameter, shape: Sequence[int]) -> None:
        super().__init__(len(weights), shape)
        self.weights = weights

    def topics(self) -> Tensor:
        """Return the weights over their sums."""
        return normalised(self.weights)


class SoftmaxTopics(TopicDecoder):
    """Topics softmax(w_k) over words, whose mixture is that of their probabilities.

    Args:
        dim: number K of topics.
        shape: shape of one observation.
        dropout: see `TopicDecoder`.

    """

    def __init__(self, dim: int, shape: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__(dim, shape, dropout)
        self.weights = nn.Parameter(torch.empty(dim, self.words))
        nn.init.xavier_uniform_(self.weights)

    def topics(self) -> Tensor:
        """Return the softmax of the weights."""
        return torch.softmax(self.weights, -1)


class ExpertTopics(SoftmaxTopics):
    """Topics whose logits are mixed: a product of experts, with batch normalisation over documents.

    A topic's weights of words are softmax(w_k), as in the authors' code, which sorts words by w_k.

    Args:
        dim: number K of topics.
        shape: shape of one observation.
        dropout: see `TopicDecoder`.

    """

    def __init__(self, dim: int, shape: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__(dim, shape, dropout)
        self.normalisation = batch_norm(self.words)

    def logits(self, theta: Tensor) -> Tensor:
        """Return the normalised mixture of the topics' logits, (N, V)."""
        out: Tensor = self.normalisation(theta @ self.weights)
        return out


class EmbeddedTopics(TopicDecoder):
    """Topics softmax(rho alpha_k) of words and topics in one space of vectors.

    Args:
        dim: number K of topics.
        shape: shape of one observation.
        size: length of the vectors; that of `vectors` where they are given.
        vectors: vectors of words, `Codes` or a file of them, which are not trained; learned where it is None.
        words: names of the words in the order of x, or a file with one a line, by which vectors are looked up; where
            it is None, vectors are V in the order of x.

    Raises:
        ValueError: size is not positive, there are not V vectors, or a word has none.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        size: int = 300,
        vectors: Codes | str | None = None,
        words: Sequence[str] | str | None = None,
    ) -> None:
        super().__init__(dim, shape)
        if size < 1:
            raise ValueError(f"expected word vectors of length 1 or more, got {size}")
        if vectors is None:
            self.vectors = nn.Parameter(torch.empty(self.words, size))
            nn.init.kaiming_uniform_(self.vectors, a=5**0.5)
        else:
            self.vectors = nn.Parameter(_looked_up(vectors, words, self.words), requires_grad=False)
        self.centres = nn.Parameter(torch.empty(dim, self.vectors.shape[1]))
        nn.init.kaiming_uniform_(self.centres, a=5**0.5)

    def topics(self) -> Tensor:
        """Return the softmax of inner products."""
        return torch.softmax(self.centres @ self.vectors.T, -1)


def batch_norm(size: int) -> nn.BatchNorm1d:
    """Return batch normalisation with a learned mean and a deviation of 1, as in the authors' code of ProdLDA."""
    layer = nn.BatchNorm1d(size, eps=1e-3)
    layer.weight.requires_grad_(False)
    return layer


def normalised(weights: Tensor) -> Tensor:
    """Return weights (N, K) over their sums; equal ones where all are 0."""
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total.where(total > 0, 1), 1 / weights.shape[-1])


def _looked_up(vectors: Codes | str, words: Sequence[str] | str | None, count: int) -> Tensor:
    codes = Codes.load(vectors) if isinstance(vectors, str) else vectors
    names = Path(words).read_text(encoding="utf-8").split() if isinstance(words, str) else words
    if names is None:
        rows = list(range(len(codes)))
    else:
        places = {str(name): row for row, name in enumerate(codes.ids.tolist())}
        if missing := [name for name in names if name not in places]:
            got = f"none of {len(missing)} out of {len(names)}, such as {missing[0]!r}"
            raise ValueError(f"expected a vector of each word, got {got}")
        rows = [places[name] for name in names]
    if len(rows) != count:
        raise ValueError(f"expected vectors of {count} words, got {len(rows)}")
    return torch.tensor(codes.z[rows], dtype=torch.get_default_dtype())
