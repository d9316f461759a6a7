r"""Classifier two-sample tests: can a classifier tell generated from real observations that it has not seen?

Half of either set trains a classifier of real against generated, m observations of either kind are held out. If both
are drawn from one distribution, labels of the held-out ones are exchangeable whatever the classifier, which calls k of
them generated, rightly so t of these. Then

    accuracy = (2 t + m - k) / 2m ,      t ~ hypergeometric(2m, m, k) ,      p = P(T >= t) ,

which is exact for any classifier and any m: accuracy has mean 1/2 and a variance of at most 1 / 4(2m - 1). The paper
has a binomial, of variance 1 / 8m, which is exact where every label is a coin of its own; here as many of either kind
are held out. The power against an alternative under which the classifier has the accuracy 1/2 + e is, with n = 2m,

    power = Phi( ( e sqrt(n) - z_(1-alpha) / 2 ) / sqrt( 1/4 - e^2 ) ) .

The accuracy itself is a distance: no classifier exceeds (1 + TV) / 2, TV the distance in total variation.

Reference: Lopez-Paz & Oquab, "Revisiting classifier two-sample tests" (ICLR 2017), https://arxiv.org/abs/1610.06545,
section 3 and theorem 1; k-nearest neighbours with k = sqrt(n_train) and a perceptron of 20 hidden units that is trained
for 100 epochs as in section 4.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt, sqrt
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest, hypergeom, norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from lsgen.metrics.quality.hypotheses.cells import as_array

__all__ = ["CLASSIFIERS", "ClassifierTest", "classifier_two_sample_test", "detectable_accuracy", "power_of_test"]

CLASSIFIERS: dict[str, Callable[[int, int], Any]] = {  # name -> (training observations, seed) -> classifier
    "knn": lambda n, seed: KNeighborsClassifier(isqrt(n)),
    "linear": lambda n, seed: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "mlp": lambda n, seed: make_pipeline(StandardScaler(), MLPClassifier((20,), max_iter=100, random_state=seed)),
}


@dataclass(frozen=True)
class ClassifierTest:
    """The outcome of a classifier two-sample test.

    Attributes:
        accuracy: share of held-out observations that are told rightly; 1/2 where the sets cannot be told apart.
        low: lower end of the exact (Clopper-Pearson) 95 % confidence interval of the accuracy of this classifier.
        high: its upper end.
        p_value: probability of at least this accuracy if both sets are drawn from one distribution, exact.
        detectable: the accuracy that a classifier needs to be found out with a power of 80 % at the level 5 %.
        n_test: held-out observations, of both kinds together.

    """

    accuracy: float
    low: float
    high: float
    p_value: float
    detectable: float
    n_test: int


def classifier_two_sample_test(real: Tensor, fake: Tensor, classifier: str = "knn", seed: int = 0) -> ClassifierTest:
    """Train a classifier of real against generated features on one half and test it on the other.

    Where there are more of one kind, as many are taken at random as there are of the other.

    Args:
        real: features (N, m) of real observations, other ones than the generator is trained on.
        fake: features (M, m) of generated observations.
        classifier: "knn", "linear" (logistic regression) or "mlp"; the last two on features that are standardised.
        seed: seed of the halves and of the classifier.

    Raises:
        ValueError: no such classifier, fewer than 4 observations of a kind, features that do not fit or are not finite.

    """
    if classifier not in CLASSIFIERS:
        raise ValueError(f"expected a classifier out of {', '.join(CLASSIFIERS)}, got {classifier!r}")
    if real.shape[1:] != fake.shape[1:] or min(len(real), len(fake)) < 4:
        shapes = f"{tuple(real.shape)} and {tuple(fake.shape)}"
        raise ValueError(f"expected at least 4 real and 4 generated features of one dimension, got {shapes}")
    generator = torch.Generator().manual_seed(seed)
    n = min(len(real), len(fake))
    pair = [as_array(x)[torch.randperm(len(x), generator=generator)[:n].numpy()] for x in (real, fake)]
    half = n // 2
    x, y = (np.concatenate([part[:half] for part in pair]), np.repeat([0, 1], half))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the perceptron's epochs are counted, not run to the end
        model = CLASSIFIERS[classifier](len(x), seed).fit(x, y)
    called = [model.predict(part[half:]) for part in pair]
    return outcome(int(called[0].sum()), int(called[1].sum()), n - half)


def outcome(wrongly: int, rightly: int, m: int) -> ClassifierTest:
    """Return the outcome where m observations of either kind are held out.

    Args:
        wrongly: real ones that are called generated.
        rightly: generated ones that are called generated.
        m: held-out observations of either kind.

    """
    correct = m - wrongly + rightly
    interval = binomtest(correct, 2 * m).proportion_ci(0.95, method="exact")
    p = float(hypergeom(2 * m, m, wrongly + rightly).sf(rightly - 1))
    return ClassifierTest(
        correct / (2 * m), float(interval.low), float(interval.high), min(p, 1.0), detectable_accuracy(2 * m), 2 * m
    )


def power_of_test(accuracy: float, n: int, alpha: float = 0.05) -> float:
    """Return the probability of a p-value of at most alpha, by theorem 1 of the paper.

    Args:
        accuracy: the classifier's accuracy under the alternative, between 1/2 and 1.
        n: held-out observations.
        alpha: level of the test.

    Raises:
        ValueError: the accuracy is not in [1/2, 1), or alpha not in (0, 1).

    """
    if not (0.5 <= accuracy < 1 and 0 < alpha < 1):
        raise ValueError(f"expected an accuracy in [1/2, 1) and alpha in (0, 1), got {accuracy} and {alpha}")
    e = accuracy - 0.5
    return float(norm.cdf((e * sqrt(n) - norm.isf(alpha) / 2) / sqrt(0.25 - e**2)))


def detectable_accuracy(n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the accuracy at which the test has a given power, the inverse of `power_of_test`.

    Args:
        n: held-out observations.
        alpha: level of the test.
        power: probability to detect it, at least alpha.

    Raises:
        ValueError: n is not positive, or not 0 < alpha < power < 1.

    """
    if not (n >= 1 and 0 < alpha < power < 1):
        raise ValueError(f"expected n >= 1 and 0 < alpha < power < 1, got {n}, {alpha} and {power}")
    z, w = norm.isf(alpha) / 2, norm.ppf(power)
    # e sqrt(n) - z = w sqrt(1/4 - e^2), of which the square is quadratic in e.
    root = abs(w) * sqrt(max(n / 4 + w**2 / 4 - z**2, 0.0))
    return float(min(0.5 + (z * sqrt(n) + (root if w > 0 else -root)) / (n + w**2), 1.0))
