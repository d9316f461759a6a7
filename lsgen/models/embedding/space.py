"""The space of word vectors, and of other items that are known by their contexts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lsgen.latent import Atoms, Codes, ItemSpace, LatentSpace
from lsgen.likelihoods import Categorical
from lsgen.models.embedding.decoders import ContextDecoder

__all__ = ["WordSpace"]


class WordSpace(LatentSpace, ItemSpace):
    """One code for each of V words or other items, decoded into the probabilities of its contexts.

    The decoder has the logits (N, V) of p(c|z), the likelihood is categorical, and the prior puts the probability of
    each word, its part of all counts, at its code. Words are called "0", "1", ... until they are named.

    Args:
        decoder: codes (N, d) -> logits (N, V).

    Attributes:
        codes: the vectors of the words (V, d), drawn uniformly from [-1/2d, 1/2d] as in word2vec.c.
        words: their names.

    Raises:
        TypeError: the decoder is none of contexts.

    """

    decoder: ContextDecoder
    prior: Atoms

    def __init__(self, decoder: ContextDecoder) -> None:
        if not isinstance(decoder, ContextDecoder):
            raise TypeError(f"expected a ContextDecoder, got {type(decoder).__name__}")
        items, dim = decoder.items, decoder.dim
        likelihood = Categorical((1,), levels=items, high=items - 1)
        super().__init__(decoder, likelihood, Atoms(dim, decoder.counts))
        self.codes = nn.Parameter((torch.rand(items, dim) - 0.5) / dim)
        self.words = tuple(map(str, range(items)))
        self.prior.bind(self.table)

    def table(self) -> Tensor:
        """Return the vectors of the words (V, d), as they stand."""
        return self.codes

    def name(self, words: Sequence[str], counts: Tensor) -> None:
        """Store what the words are called and how often they occur.

        Args:
            words: a name of each, all different, (V,).
            counts: whole numbers (V,).

        Raises:
            ValueError: there are more or fewer, or none occurs.

        """
        if len(words) != self.decoder.items:
            raise ValueError(f"expected {self.decoder.items} words, as model.decoder.items says, got {len(words)}")
        self.decoder.count(counts)
        self.words = tuple(words)
        own = self.decoder.counts.double()
        self.prior.weights.copy_(own / own.sum())

    def items(self) -> Codes:
        """Return the vectors of all words by name, with a column "count".

        Raises:
            ValueError: a vector is not finite.

        """
        z = self.codes.detach().float() if self.codes.dtype == torch.bfloat16 else self.codes.detach()
        return Codes(z.cpu(), self.words, self.manifold, {"count": self.decoder.counts.cpu()})
