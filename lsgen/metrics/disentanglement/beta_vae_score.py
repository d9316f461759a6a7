r"""The score of the beta-VAE paper: a classifier predicts from differences of codes which factor pairs share.

    z_diff = 1/L sum_l |z_l - z'_l|,    v_j(l) = v'_j(l) for the factor j that is to be named ,

and the score is the accuracy of a linear classifier z_diff -> j on new differences.

Reference: Higgins et al., "beta-VAE" (ICLR 2017), section 3 and appendix A.4, https://openreview.net/forum?id=Sy2fzU9gl;
numbers of points and the classifier, multinomial logistic regression with C = 1, as by Locatello et al. (2019).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric
from lsgen.metrics.disentanglement.groups import FixedFactor
from lsgen.metrics.disentanglement.predictors.logistic import LogisticRegression

__all__ = ["BetaVAEScore"]

CHUNK = 2000


class BetaVAEScore(DisentanglementMetric):
    """The beta-VAE score, an accuracy with chance level 1/k; pairs are drawn from the given codes.

    Args:
        batch_size: pairs L of one point.
        train_points: points to fit the classifier on.
        test_points: points to test it on.
        seed: seed of the draws.

    Raises:
        ValueError: fewer than 1 pair, or no points.

    """

    parts: ClassVar[tuple[str, ...]] = ("accuracy", "train_accuracy")
    least_factors: ClassVar[int] = 2

    def __init__(
        self,
        batch_size: int = 64,
        train_points: int = 10_000,
        test_points: int = 5_000,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(batch_size, train_points, test_points) < 1:
            got = f"batch_size = {batch_size}, train_points = {train_points}, test_points = {test_points}"
            raise ValueError(f"expected at least 1 pair and 1 point, got {got}")
        self.batch_size, self.train_points, self.test_points, self.seed = batch_size, train_points, test_points, seed

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return both accuracies."""
        sampler = FixedFactor(factors, self.seed)
        train, train_factor = self._points(codes, sampler, self.train_points)
        test, test_factor = self._points(codes, sampler, self.test_points)
        model = LogisticRegression(penalty=1.0).fit(train, train_factor, factors.shape[1])
        return {
            "accuracy": (model(test).argmax(1) == test_factor).double().mean(),
            "train_accuracy": (model(train).argmax(1) == train_factor).double().mean(),
        }

    def _points(self, codes: Tensor, sampler: FixedFactor, n: int) -> tuple[Tensor, Tensor]:
        points, held = [], []
        for start in range(0, n, CHUNK):
            factor, observation = sampler.choose(min(CHUNK, n - start), self.batch_size)
            partner = sampler.partners(factor, observation)
            points.append((codes[observation] - codes[partner]).abs().mean(1))
            held.append(factor)
        return torch.cat(points), torch.cat(held)
