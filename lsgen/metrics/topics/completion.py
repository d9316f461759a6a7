r"""Document completion: half of the words of a held-out document are folded in, the others are predicted.

    perplexity = exp( - sum_d sum_v x''_dv log p(v | theta_d) / sum_dv x''_dv ),    theta_d = E[theta | x'_d]

Each word of a document belongs to x' or to x'' by a fair coin, which depends on the document's words and the seed, not
on the batch. The multinomial coefficient is left out. Folding in a whole document and scoring it again, as for PLSA in
some papers, measures how well words are remembered.

Reference: Rosen-Zvi et al. (2004), section 4.2; Wallach et al., "Evaluation methods for topic models" (2009),
section 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from lsgen.data.draws import key, stream, uniform
from lsgen.latent import EncodableLatentSpace
from lsgen.likelihoods import Multinomial

__all__ = ["CompletionPerplexity"]


class CompletionPerplexity(Metric):
    """The perplexity of the second half of documents given the first.

    `update(topic_space, documents)` takes counts of words; `compute()` returns the perplexity, NaN without a word.

    Args:
        seed: of the halves.

    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    log_probability: Tensor
    words: Tensor

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.add_state("log_probability", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("words", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    @torch.no_grad()
    def update(self, topic_space: EncodableLatentSpace, documents: Tensor) -> None:
        """Add documents.

        Args:
            topic_space: encoder, decoder and a multinomial likelihood; in evaluation mode.
            documents: counts of words, (B, *shape).

        Raises:
            TypeError: the likelihood is another.

        """
        likelihood = topic_space.likelihood
        if not isinstance(likelihood, Multinomial):
            raise TypeError(f"expected a Multinomial likelihood for a perplexity, got {type(likelihood).__name__}")
        known = halves(documents, self.seed)
        rest = (documents - known).flatten(1)
        log_p = likelihood.split(topic_space.raw(topic_space.encode(known).mean)).squeeze(-2).log_softmax(-1)
        self.log_probability += (rest * log_p).sum(dtype=torch.float64)
        self.words += rest.sum(dtype=torch.float64)

    def compute(self) -> Tensor:
        """Return the perplexity."""
        return (-self.log_probability / self.words).exp()


def halves(x: Tensor, seed: int = 0) -> Tensor:
    """Return about half of the words of each document, counts of the shape of x."""
    from scipy.stats import binom

    counts = x.flatten(1).cpu()
    weights = torch.randint(2**31, (counts.shape[1],), generator=stream(seed, counts.shape[1]))
    names = (counts.long() * weights).sum(1)  # a number of each document, the same wherever it comes
    draws = uniform(key(seed), names, counts.shape[1])
    some = counts > 0
    taken = binom.ppf(draws[some].double().numpy(), counts[some].numpy(), 0.5)
    known = torch.zeros_like(counts)
    known[some] = torch.from_numpy(np.clip(taken, 0, None)).to(known)
    return known.reshape(x.shape).to(x)
