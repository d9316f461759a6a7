r"""Recurrent networks of sentences: gated recurrent units that read words one after the other.

    r_t = sigmoid(W_r x_t + U_r s_{t-1} + b_r),    u_t = sigmoid(W_u x_t + U_u s_{t-1} + b_u)
    n_t = tanh(W_n x_t + b_n + r_t * (U_n s_{t-1} + c_n)),    s_t = (1 - u_t) n_t + u_t s_{t-1}

The encoder gives the state after the last token, the first end included. Rows are read to their full length L; what
comes after is not looked at. The decoder is written out in products, so that forward-mode and second derivatives pass.

Reference: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014),
https://arxiv.org/abs/1406.1078; the reset gate acts as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lsgen.nn.sequences.words import WordVectors, sentence_length, token_mask

__all__ = ["GRUDecoder", "GRUEncoder"]


class GRUEncoder(nn.Module):
    """Sentences (N, L) -> (N, heads * dim).

    Args:
        shape: shape (L,) of a sentence.
        size: number V of words, the end included.
        dim: latent dimension d.
        heads: posterior parameters per latent dimension.
        embedding: size of the vectors of words.
        width: size of the state.
        layers: recurrent layers, each of which reads the states of the one below.

    Raises:
        ValueError: the shape is not (L,), or a size is not positive.

    """

    def __init__(
        self,
        shape: Sequence[int],
        size: int,
        dim: int,
        heads: int = 2,
        embedding: int = 64,
        width: int = 128,
        layers: int = 1,
    ) -> None:
        super().__init__()
        sentence_length(shape)
        self.dim, self.heads = dim, heads
        self.words = WordVectors(size, embedding)
        self.gru = nn.GRU(embedding, width, layers, batch_first=True)
        self.last = nn.Linear(width, heads * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return posterior parameters (N, heads * dim)."""
        states, _ = self.gru(self.words(x))
        last = token_mask(x).sum(1).sub(1)[:, None, None].expand(-1, 1, states.shape[2])
        out: Tensor = self.last(states.gather(1, last).squeeze(1))
        return out


class GRUDecoder(nn.Module):
    """The words before each (N, L) and a condition (N, H) -> logits of each word (N, L, V).

    Args:
        shape: shape (L,) of a sentence.
        size: number V of words, the end included.
        condition: size H of the condition.
        embedding: size of the vectors of words.
        width: size of the state.
        every_step: whether the condition is beside the vector of every word. It always decides on the first state,
            which is all that it does in Bowman et al. (2016).

    Raises:
        ValueError: the shape is not (L,), or a size is not positive.

    """

    def __init__(
        self,
        shape: Sequence[int],
        size: int,
        condition: int,
        embedding: int = 64,
        width: int = 128,
        every_step: bool = True,
    ) -> None:
        super().__init__()
        sentence_length(shape)
        self.condition, self.size, self.every_step = condition, size, every_step
        self.words = WordVectors(size, embedding)
        self.first = nn.Linear(condition, width)
        self.inputs = nn.Linear(embedding + every_step * condition, 3 * width)
        self.states = nn.Linear(width, 3 * width)
        self.last = nn.Linear(width, size)

    def forward(self, words: Tensor, h: Tensor) -> Tensor:
        """Return logits (N, L, V) of the words that follow on words (N, L), each with those before it."""
        state, states = self.start(h)[0], []
        for x in self._inputs(words, h).unbind(1):
            state = self._moved(x, state)
            states.append(state)
        out: Tensor = self.last(torch.stack(states, 1))
        return out

    def start(self, h: Tensor) -> tuple[Tensor, ...]:
        """Return the state before the first word, tensors of N rows."""
        return torch.tanh(self.first(h)), h

    def step(self, words: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the logits (N, V) of what follows on words (N,), and the next state."""
        s, h = state
        s = self._moved(self._inputs(words[:, None], h).squeeze(1), s)
        return self.last(s), (s, h)

    def _inputs(self, words: Tensor, h: Tensor) -> Tensor:
        x = self.words(words)
        if self.every_step:
            x = torch.cat([x, h[:, None].expand(-1, x.shape[1], -1)], 2)
        out: Tensor = self.inputs(x)
        return out

    def _moved(self, x: Tensor, s: Tensor) -> Tensor:
        """Return the next state (N, width) from the inputs (N, 3 width) and the last state."""
        (xr, xu, xn), (sr, su, sn) = x.chunk(3, -1), self.states(s).chunk(3, -1)
        u = torch.sigmoid(xu + su)
        new = torch.tanh(xn + torch.sigmoid(xr + sr) * sn)
        return new + u * (s - new)
