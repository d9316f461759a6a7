r"""Small Transformers for sentences, with learned vectors of places.

    block     h + attention(norm h);   h + mlp(norm h)
    encoder   every token sees all tokens of its sentence; the mean over tokens of norm h is read
    decoder   word t sees the words before it and the condition, which is the first place of the row

The norm comes before each part, and dropout after it. Attention is written out as a softmax between two products, so
that forward-mode and second derivatives pass.

Reference: Vaswani et al., "Attention is all you need" (2017), https://arxiv.org/abs/1706.03762; Xiong et al., "On layer
normalization in the Transformer architecture" (2020), https://arxiv.org/abs/2002.04745.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lsgen.nn.sequences.words import WordVectors, sentence_length, token_mask

__all__ = ["TransformerDecoder", "TransformerEncoder"]


class TransformerEncoder(nn.Module):
    """Sentences (N, L) -> (N, heads * dim).

    Args:
        shape: shape (L,) of a sentence.
        size: number V of words, the end included.
        dim: latent dimension d.
        heads: posterior parameters per latent dimension.
        width: size of a place.
        depth: number of blocks.
        attention: heads of attention, which divide the width.
        dropout: share of the outputs of each part that is left out in training.

    Raises:
        ValueError: the shape is not (L,), or a size does not fit the others.

    """

    def __init__(
        self,
        shape: Sequence[int],
        size: int,
        dim: int,
        heads: int = 2,
        width: int = 64,
        depth: int = 2,
        attention: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.words = WordVectors(size, width)
        self.places = nn.Parameter(torch.randn(sentence_length(shape), width) * width**-0.5)
        self.blocks = nn.ModuleList(_Block(width, attention, dropout) for _ in range(depth))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, heads * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return posterior parameters (N, heads * dim)."""
        seen = token_mask(x)
        h = self.words(x) + self.places
        for block in self.blocks:
            h = block(h, seen[:, None, None])
        weight = seen.to(h).unsqueeze(2)
        out: Tensor = self.last((self.norm(h) * weight).sum(1) / weight.sum(1))
        return out


class TransformerDecoder(nn.Module):
    """The words before each (N, L) and a condition (N, H) -> logits of each word (N, L, V).

    Args:
        shape: shape (L,) of a sentence.
        size: number V of words, the end included.
        condition: size H of the condition.
        width: size of a place.
        depth: number of blocks.
        attention: heads of attention, which divide the width.
        dropout: share of the outputs of each part that is left out in training.

    Raises:
        ValueError: the shape is not (L,), or a size does not fit the others.

    """

    def __init__(
        self,
        shape: Sequence[int],
        size: int,
        condition: int,
        width: int = 64,
        depth: int = 2,
        attention: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.condition, self.size = condition, size
        self.words = WordVectors(size, width)
        self.places = nn.Parameter(torch.randn(sentence_length(shape), width) * width**-0.5)
        self.first = nn.Linear(condition, width)
        self.blocks = nn.ModuleList(_Block(width, attention, dropout) for _ in range(depth))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, size)

    def forward(self, words: Tensor, h: Tensor) -> Tensor:
        """Return logits (N, L, V) of the words that follow on words (N, L), each with those before it."""
        n = words.shape[1]
        x = torch.cat([self.first(h)[:, None], self.words(words) + self.places[:n]], 1)
        seen = torch.ones(n + 1, n + 1, dtype=torch.bool, device=x.device).tril()
        for block in self.blocks:
            x = block(x, seen)
        out: Tensor = self.last(self.norm(x[:, 1:]))
        return out

    def start(self, h: Tensor) -> tuple[Tensor, ...]:
        """Return the state before the first word, tensors of N rows: no words, and the condition."""
        return torch.zeros(len(h), 0, dtype=torch.int64, device=h.device), h

    def step(self, words: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the logits (N, V) of what follows on words (N,), and the next state; all words are read again."""
        before, h = state
        before = torch.cat([before, words[:, None].long()], 1)
        return self(before, h)[:, -1], (before, h)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"expected a number of heads that divides the width {width}, got {heads}")
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Return places (N, L, width), each of which has seen those where `seen` says so, (..., L, L)."""
        x = x + self.dropout(self.out(self._attended(self.norms[0](x), seen)))
        out: Tensor = x + self.dropout(self.mlp(self.norms[1](x)))
        return out

    def _attended(self, x: Tensor, seen: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.project(x).chunk(3, 2))
        scores = (q * q.shape[-1] ** -0.5 @ k.mT).masked_fill(~seen, -torch.inf)
        return (torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2)
