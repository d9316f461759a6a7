r"""Decoders of embedding models, from the code of an item to the probabilities of its contexts, with their losses.

                        score of context c at code z                 loss of a pair
    FullSoftmax         h_c = u_c.z                                  -log softmax(h)_c
    NegativeSampling    h_c = u_c.z + log q_c                        -log s(u_c.z) - sum_k log s(-u_k.z),    k ~ q
    HierarchicalSoftmax h_c = sum_n log s(sigma_cn u_n.z)            -h_c,    n on the path to c in a Huffman tree

where s is the logistic function and q ~ count^power the distribution of the noise. All are the logits of p(c|z):
negative sampling has its optimum at u_c.z = log p(c|z) / (k q_c), so that p(c|z) is proportional to q_c exp(u_c.z);
the tree's probabilities sum to 1 as they are. A negative may be the context itself, as in the paper; word2vec.c leaves
it out, which moves the optimum to log p(c|z) / (k q_c (1 - p(c|z))).

Reference: Mikolov et al., "Distributed representations of words and phrases and their compositionality" (2013),
section 2; Levy & Goldberg, "Neural word embedding as implicit matrix factorization" (2014), equation 7.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, softplus

__all__ = ["BinaryDecoder", "ContextDecoder", "FullSoftmax", "HierarchicalSoftmax", "NegativeSampling"]

MOST = 2**24  # numbers that single precision tells apart


class ContextDecoder(nn.Module, ABC):
    """Abstract decoder of codes (N, d) into the logits (N, V) of the contexts of an item.

    Args:
        items: number V of items.
        dim: dimension d of codes.

    Attributes:
        weight: the vectors of contexts, which are 0 at the start as in word2vec.c.
        counts: how often each item occurs, int64 (V,); all equally often until they are counted.

    Raises:
        ValueError: there are fewer than 2 items or more than 16,777,216, or dim is not positive.

    """

    counts: Tensor

    def __init__(self, items: int, dim: int) -> None:
        super().__init__()
        if not 2 <= items <= MOST:
            raise ValueError(f"expected a vocabulary of 2 to {MOST} items, got {items}")
        if dim < 1:
            raise ValueError(f"expected a latent dimension of at least 1, got {dim}")
        self.items, self.dim, self.heads = int(items), int(dim), int(items)
        self.weight = nn.Parameter(torch.zeros(self.outputs, dim))
        self.register_buffer("counts", torch.ones(items, dtype=torch.int64))
        self.prepare()
        self.register_load_state_dict_post_hook(_loaded)

    @property
    def outputs(self) -> int:
        """The number of vectors of contexts; V unless told otherwise."""
        return self.items

    def count(self, counts: Tensor) -> None:
        """Store how often each item occurs, whole numbers (V,), and what follows from it.

        Raises:
            ValueError: there are more or fewer of them, or none occurs.

        """
        if counts.shape != (self.items,) or not bool((counts >= 0).all()) or not bool((counts > 0).any()):
            raise ValueError(f"expected counts ({self.items},) of items, not negative and not all 0, got others")
        self.counts.copy_(counts)
        self.prepare()

    def prepare(self) -> None:
        """Compute what follows from the counts."""

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (N, V) of contexts at codes (N, d)."""

    def scores(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the logits (n, m) of one context each, int64 (n,), at codes (n, m, d)."""
        return (z @ self.weight[context][..., None])[..., 0]

    def losses(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the losses (n, m) of codes (n, m, d) of which each row has one context, int64 (n,).

        They are -log p(c|z) unless told otherwise.
        """
        return -self(z).log_softmax(-1).gather(-1, context[:, None, None].expand(-1, z.shape[1], 1))[..., 0]


class FullSoftmax(ContextDecoder):
    """The softmax over all items, for small vocabularies: a pair costs V d operations."""

    def forward(self, z: Tensor) -> Tensor:
        """Return u_c.z."""
        return z @ self.weight.mT


class BinaryDecoder(ContextDecoder):
    """Abstract decoder whose loss is a sum over some of its vectors: -log s(u.z) of those, -log s(-u.z) of others."""

    @abstractmethod
    def targets(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return which vectors count for contexts (n,), int64 (n, T), and their signs 1 and -1, int8, 0 for none."""

    def losses(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the sums over targets, which are the same for all codes of a row."""
        rows, signs = self.targets(context)
        scores = z @ embedding(rows, self.weight, sparse=self.weight.requires_grad).mT
        signs = signs[:, None].to(scores)
        return (softplus(-signs * scores) * signs.abs()).sum(-1)


class NegativeSampling(BinaryDecoder):
    """Negative sampling: a pair is told from pairs with contexts drawn from the noise.

    Args:
        items: number V of items.
        dim: dimension d of codes.
        negatives: noise contexts of each item of a batch, which all pairs of its window share.
        power: of the counts, to which the noise is proportional.

    Raises:
        ValueError: negatives is not positive, power is no finite number, or see `ContextDecoder`.

    """

    bias: Tensor
    cumulative: Tensor

    def __init__(self, items: int, dim: int, negatives: int = 5, power: float = 0.75) -> None:
        if negatives < 1 or not abs(power) < float("inf"):
            raise ValueError(f"expected at least 1 negative and a finite power, got {negatives} and {power}")
        self.negatives, self.power = int(negatives), float(power)
        super().__init__(items, dim)

    def prepare(self) -> None:
        """Compute the distribution of the noise; an item that never occurs has none."""
        weights = torch.where(self.counts > 0, self.counts.double() ** self.power, 0)
        q = weights / weights.sum()
        like = self.weight
        self.register_buffer("bias", q.log().to(like).clamp(min=torch.finfo(like.dtype).min / 2), persistent=False)
        self.register_buffer("cumulative", (q.cumsum(0) / q.sum())[:-1].to(like.device), persistent=False)

    def _apply(self, fn: Any, recurse: bool = True) -> NegativeSampling:
        """Compute the noise anew where another precision is asked for, rather than round it and round it again."""
        before = self.weight.dtype
        super()._apply(fn, recurse)
        if self.weight.dtype != before:
            self.prepare()
        return self

    @property
    def noise(self) -> Tensor:
        """The distribution q of the noise, (V,)."""
        return self.bias.exp()

    def forward(self, z: Tensor) -> Tensor:
        """Return u_c.z + log q_c."""
        return z @ self.weight.mT + self.bias

    def scores(self, z: Tensor, context: Tensor) -> Tensor:
        """Return u_c.z + log q_c."""
        return super().scores(z, context) + self.bias[context][:, None]

    def targets(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return each context with new negatives, (n, 1 + negatives)."""
        shape = (len(context), self.negatives)
        drawn = torch.rand(shape, dtype=torch.float64, device=context.device)
        negatives = torch.searchsorted(self.cumulative, drawn, right=True)
        rows = torch.cat([context[:, None], negatives], 1)
        signs = torch.full_like(rows, -1, dtype=torch.int8)
        signs[:, 0] = 1
        return rows, signs


class HierarchicalSoftmax(BinaryDecoder):
    """The hierarchical softmax: binary decisions along the path to an item in the Huffman tree of the counts."""

    paths: Tensor
    signs: Tensor

    @property
    def outputs(self) -> int:
        """The number of nodes of the tree, V - 1."""
        return self.items - 1

    def prepare(self) -> None:
        """Build the tree, in which frequent items have short paths."""
        paths, signs = _huffman(self.counts.tolist())
        self.register_buffer("paths", paths.to(self.weight.device), persistent=False)
        self.register_buffer("signs", signs.to(self.weight.device), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """Return log p(c|z), level by level of the tree."""
        scores, out = z @ self.weight.mT, z.new_zeros(*z.shape[:-1], self.items)
        for path, sign in zip(self.paths.unbind(1), self.signs.unbind(1), strict=True):
            out = out - softplus(-sign * scores[..., path]) * sign.abs()
        return out

    def scores(self, z: Tensor, context: Tensor) -> Tensor:
        """Return log p(c|z)."""
        return -self.losses(z, context)

    def targets(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the path to each context, (n, depth of the tree)."""
        return self.paths[context], self.signs[context]


def _loaded(decoder: ContextDecoder, incompatible: Any) -> None:
    decoder.prepare()


def _huffman(counts: list[int]) -> tuple[Tensor, Tensor]:
    """Return the nodes on the path to each item from the root, int64 (V, depth), and signs, int8, 0 after its end."""
    total = len(counts)
    heap = [(count, number) for number, count in enumerate(counts)]
    heapq.heapify(heap)
    parent, sign = [0] * (2 * total - 1), [0] * (2 * total - 1)
    for node in range(total, 2 * total - 1):
        (a, one), (b, other) = heapq.heappop(heap), heapq.heappop(heap)
        parent[one], sign[one], parent[other], sign[other] = node, 1, node, -1
        heapq.heappush(heap, (a + b, node))
    depth = [0] * (2 * total - 1)
    for node in range(2 * total - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1
    paths = torch.zeros(total, max(depth), dtype=torch.int64)
    signs = torch.zeros(total, max(depth), dtype=torch.int8)
    parents, own, level = torch.tensor(parent), torch.tensor(sign, dtype=torch.int8), torch.tensor(depth)
    here, rows = torch.arange(total), torch.arange(total)
    while len(rows):
        paths[rows, level[here] - 1], signs[rows, level[here] - 1] = parents[here] - total, own[here]
        here = parents[here]
        rows, here = rows[here < 2 * total - 2], here[here < 2 * total - 2]
    return paths, signs
