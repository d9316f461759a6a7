"""The space of word vectors, and of other items that are known by their contexts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lsgen.latent import Atoms, Codes, ItemSpace, LatentSpace
from lsgen.likelihoods import Categorical
from lsgen.models.embedding.decoders import ContextDecoder
from lsgen.models.embedding.subwords import Subwords, SubwordVectors

__all__ = ["WordSpace"]


class WordSpace(LatentSpace, ItemSpace):
    """One code for each of V words or other items, decoded into the probabilities of its contexts.

    The decoder has the logits (N, V) of p(c|z), the likelihood is categorical, and the prior puts the probability of
    each word, its part of all counts, at its code. Words are called "0", "1", ... until they are named.

    Args:
        decoder: codes (N, d) -> logits (N, V).
        subwords: which n-grams words share vectors of; words have vectors of their own alone where it is None.
        summed: whether the code of a word is the sum of its vector and of its vector as a context.

    Attributes:
        codes: the vectors of the words (V, d), drawn uniformly from [-1/2d, 1/2d] as in word2vec.c; with n-grams the
            vectors of both, `SubwordVectors`, of which the codes are averages.
        words: their names.

    Raises:
        TypeError: the decoder is none of contexts.

    """

    decoder: ContextDecoder
    prior: Atoms
    codes: nn.Parameter | SubwordVectors

    def __init__(self, decoder: ContextDecoder, subwords: Subwords | None = None, summed: bool = False) -> None:
        if not isinstance(decoder, ContextDecoder):
            raise TypeError(f"expected a ContextDecoder, got {type(decoder).__name__}")
        items, dim = decoder.items, decoder.dim
        likelihood = Categorical((1,), levels=items, high=items - 1)
        super().__init__(decoder, likelihood, Atoms(dim, decoder.counts))
        self.words = tuple(map(str, range(items)))
        if subwords is None:
            self.codes = nn.Parameter((torch.rand(items, dim) - 0.5) / dim)
        else:
            self.codes = SubwordVectors(self.words, dim, subwords)
        self.summed = bool(summed)
        self.prior.bind(self.table)

    def table(self) -> Tensor:
        """Return the codes of the words (V, d), as they stand."""
        codes = self.codes() if isinstance(self.codes, SubwordVectors) else self.codes
        return codes + self.decoder.weight if self.summed else codes

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
        self.rename(words)
        own = self.decoder.counts.double()
        self.prior.weights.copy_(own / own.sum())

    def rename(self, words: Sequence[str]) -> None:
        """Store what the words are called, (V,), whose n-grams follow from that."""
        self.words = tuple(words)
        if isinstance(self.codes, SubwordVectors):
            self.codes.name(self.words)

    def items(self) -> Codes:
        """Return the vectors of all words by name, with a column "count".

        Raises:
            ValueError: a vector is not finite.

        """
        z = self.table().detach()
        z = z.float() if z.dtype == torch.bfloat16 else z
        return Codes(z.cpu(), self.words, self.manifold, {"count": self.decoder.counts.cpu()})
