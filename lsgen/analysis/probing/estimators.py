"""Probes: small predictors of a label or a number from flat coordinates, fitted to few labels.

    linear   logistic regression, or ridge regression, with an L2 penalty of 1 on standardised coordinates
    knn      the majority, or the mean, of the 5 nearest labelled items, or of all where there are fewer
    mlp      one hidden layer of 64 on standardised coordinates, Adam, at most 300 epochs

Coordinates are standardised by the items that the probe is fitted to.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["Kind", "Probe", "check_kind", "fitted_predictions"]

Kind = Literal["classification", "regression"]
Probe = Literal["linear", "knn", "mlp"]

NEIGHBOURS, HIDDEN, EPOCHS = 5, 64, 300


def check_kind(probe: str) -> None:
    """Raise an error if a probe is not known.

    Raises:
        ValueError: it is not.

    """
    if probe not in get_args(Probe):
        raise ValueError(f"expected a probe out of {', '.join(get_args(Probe))}, got {probe!r}")


def fitted_predictions(
    probe: Probe, kind: Kind, x: NDArray[np.float64], y: NDArray[Any], other: NDArray[np.float64], seed: int
) -> NDArray[Any]:
    """Return the predictions (M,) for other items of a probe that is fitted to labelled ones.

    Args:
        probe: which one.
        kind: whether classes or numbers are predicted.
        x: coordinates of the labelled items (N, d).
        y: their labels (N,).
        other: coordinates (M, d).
        seed: seed of a probe that starts from random weights.

    """
    if kind == "classification" and len(np.unique(y)) == 1:
        return np.repeat(y[:1], len(other))
    if probe == "knn":
        near = KNeighborsClassifier if kind == "classification" else KNeighborsRegressor
        fitted = near(n_neighbors=min(NEIGHBOURS, len(x)), algorithm="brute").fit(x, y)
        return np.asarray(fitted.predict(other))
    scale = float(np.std(y)) if kind == "regression" else 1.0
    centre = float(np.mean(y)) if kind == "regression" else 0.0
    if not scale:
        return np.full(len(other), centre)
    target = y if kind == "classification" else (y - centre) / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = make_pipeline(StandardScaler(), _model(probe, kind, seed)).fit(x, target)
    found = np.asarray(fitted.predict(other))
    return found if kind == "classification" else centre + scale * found


def _model(probe: Probe, kind: Kind, seed: int) -> Any:
    if probe == "linear":
        return LogisticRegression(max_iter=EPOCHS) if kind == "classification" else Ridge(alpha=1.0)
    network = MLPClassifier if kind == "classification" else MLPRegressor
    return network(hidden_layer_sizes=(HIDDEN,), max_iter=EPOCHS, random_state=seed)
