r"""Coherence of topics: how often the top words of a topic occur in the same documents of a reference corpus.

With P(a), P(a, b) the shares of documents that have a word, or both, and eps = 1e-12:

    npmi(a, b) = log( (P(a, b) + eps) / (P(a) P(b)) ) / -log( P(a, b) + eps )
    NPMI       = mean of npmi(a, b) over pairs of different top words
    U_mass     = mean over pairs of log( (P(a, b) + eps) / P(b) ), b before a in the list
    C_v        = mean over top words a of cos( v_a, sum_b v_b ),    v_a = ( npmi(a, b) )_b over the top words b

These are gensim's definitions with documents for sliding windows, which bags of words do not have: a window as long as
the longest document gives the same numbers. C_v as published has windows of 110 words. Pairs with a word that no
document of the reference corpus has count as -1 in NPMI and C_v; in U_mass P(b) = 0 counts as 1.

Reference: Roeder, Both & Hinneburg, "Exploring the space of topic coherence measures" (2015); Lau, Newman & Baldwin,
"Machine reading tea leaves" (2014); Mimno et al., "Optimizing semantic coherence in topic models" (2011).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["TopicCoherence"]

EPSILON = 1e-12


class TopicCoherence(Metric):
    """NPMI, C_v and U_mass of lists of words, over the documents of a reference corpus.

    `update` takes counts of words of documents; `compute()` returns `npmi`, `c_v` and `u_mass`, each (K,).

    Args:
        top_words: numbers of the words of each topic, the most probable first, (K, n) with n of at least 2.

    Raises:
        ValueError: there are fewer than 2 words of a topic, or none different.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    documents: Tensor
    together: Tensor

    def __init__(self, top_words: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        lists = torch.as_tensor(top_words)
        if lists.ndim != 2 or lists.shape[1] < 2 or not len(lists):
            raise ValueError(f"expected lists of at least 2 words of each topic (K, n), got {tuple(lists.shape)}")
        if bool((lists.sort(-1).values.diff() == 0).any()):
            raise ValueError("expected different words in the list of a topic, got one twice")
        words, places = lists.unique(return_inverse=True)
        self._last = int(words[-1])
        self.register_buffer("words", words, persistent=False)
        self.register_buffer("places", places, persistent=False)
        self.add_state("documents", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        together = torch.zeros(len(words), len(words), dtype=torch.float64)
        self.add_state("together", together, dist_reduce_fx="sum")

    def update(self, x: Tensor) -> None:
        """Add documents, counts of words (B, *shape)."""
        counts = x.flatten(1)
        if counts.shape[1] <= self._last:
            raise ValueError(f"expected counts of more than {self._last} words, got {counts.shape[1]}")
        has = (counts[:, self.get_buffer("words")] > 0).float()
        self.together += (has.T @ has).double()
        self.documents += len(x)

    def compute(self) -> dict[str, Tensor]:
        """Return the coherences of each topic.

        Raises:
            ValueError: there is no document.

        """
        if not bool(self.documents > 0):
            raise ValueError("expected documents of a reference corpus, got none")
        places = self.get_buffer("places")
        both = (self.together / self.documents)[places[:, :, None], places[:, None, :]]  # (K, n, n)
        alone = both.diagonal(dim1=-2, dim2=-1)
        known = (alone[:, :, None] > 0) & (alone[:, None, :] > 0)
        product = (alone[:, :, None] * alone[:, None, :]).where(known, 1)
        npmi = torch.where(known, ((both + EPSILON) / product).log() / -(both + EPSILON).log(), -1.0)
        npmi = torch.where(both == 1, -1.0, npmi)  # words that every document has: log(1 + eps) / -log(1 + eps)
        n = places.shape[1]
        off = ~torch.eye(n, dtype=torch.bool, device=npmi.device)
        ordered = torch.ones(n, n, dtype=torch.bool, device=npmi.device).tril(-1)  # row a after column b
        before = alone[:, None, :].expand_as(both)
        conditional = ((both + EPSILON) / before.where(before > 0, 1)).log()
        cosine = torch.nn.functional.cosine_similarity(npmi, npmi.sum(-2, keepdim=True), -1)
        return {
            "npmi": npmi[:, off].mean(-1),
            "c_v": cosine.mean(-1),
            "u_mass": conditional[:, ordered].mean(-1),
        }
