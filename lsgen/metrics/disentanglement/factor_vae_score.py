r"""The score of the FactorVAE paper: the code with the least variance predicts the factor that was fixed.

A batch of L observations with factor j held gives one vote (i*, j),

    i* = argmin_i Var_batch(z_i) / Var(z_i) ,

over codes whose standard deviation reaches a threshold. The score is the accuracy, on new votes, of the classifier
that maps each i* to the factor it named most often.

Reference: Kim & Mnih, "Disentangling by factorising" (ICML 2018), section 4, https://arxiv.org/abs/1802.05983; number
of votes and threshold as by Locatello et al. (2019).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric
from lsgen.metrics.disentanglement.groups import FixedFactor

__all__ = ["FactorVAEScore"]

CHUNK = 2000


class FactorVAEScore(DisentanglementMetric):
    """The FactorVAE score, an accuracy with chance level 1/k; batches are drawn from the given codes.

    Args:
        batch_size: observations L of one vote.
        train_votes: votes that make the classifier.
        test_votes: votes that it is tested on.
        threshold: least standard deviation of a code.
        seed: seed of the draws.

    Raises:
        ValueError: fewer than 2 observations of a vote, or no votes.

    """

    parts: ClassVar[tuple[str, ...]] = ("accuracy", "train_accuracy")

    def __init__(
        self,
        batch_size: int = 64,
        train_votes: int = 10_000,
        test_votes: int = 5_000,
        threshold: float = 0.05,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if batch_size < 2 or train_votes < 1 or test_votes < 1:
            got = f"batch_size = {batch_size}, train_votes = {train_votes}, test_votes = {test_votes}"
            raise ValueError(f"expected batches of at least 2 observations and at least 1 vote, got {got}")
        self.batch_size, self.train_votes, self.test_votes = batch_size, train_votes, test_votes
        self.threshold, self.seed = threshold, seed

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return both accuracies, the number of active codes and the votes (d', k); 0 where no code is active."""
        active = codes[:, codes.std(0) >= self.threshold]
        zero = codes.new_zeros(())
        if not active.shape[1]:
            return {"accuracy": zero, "train_accuracy": zero, "active": zero}
        active = active / active.std(0)
        sampler = FixedFactor(factors, self.seed)
        train, test = (self._votes(active, factors, sampler, n) for n in (self.train_votes, self.test_votes))
        named = train.argmax(1, keepdim=True)
        accuracy, train_accuracy = (votes.gather(1, named).sum() / votes.sum() for votes in (test, train))
        count = torch.tensor(float(active.shape[1])).to(zero)
        return {"accuracy": accuracy, "train_accuracy": train_accuracy, "active": count, "votes": train}

    def _votes(self, codes: Tensor, factors: Tensor, sampler: FixedFactor, n: int) -> Tensor:
        """Return how often each code (rows) varied least while each factor (columns) was fixed."""
        d, k = codes.shape[1], factors.shape[1]
        votes = codes.new_zeros(d * k)
        for start in range(0, n, CHUNK):
            factor, anchor = sampler.choose(min(CHUNK, n - start), 1)
            batch = sampler.partners(factor, anchor.expand(-1, self.batch_size))
            drawn = codes[batch]
            least = drawn.sub_(drawn.mean(1, keepdim=True)).square_().sum(1).argmin(1)
            votes += torch.bincount(least * k + factor, minlength=d * k)
        return votes.view(d, k)
