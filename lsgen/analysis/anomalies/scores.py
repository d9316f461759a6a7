r"""Scores of how strange codes are, given codes that are ordinary: greater is stranger.

    knn                d_k(z), the distance to the k-th nearest ordinary code, on the manifold
    mahalanobis        (z - m)^T S^+ (z - m) for the mean m and the covariance S of ordinary codes
    class_mahalanobis  min_c (z - m_c)^T W^+ (z - m_c) for the means of classes and the covariance W within them
    lof                local outlier factor of k neighbours
    pyod:NAME          a detector of pyod by name, such as pyod:ECOD, with its own settings
    prior_nll, reconstruction_error, elbo    columns of both tables, the ELBO with its sign turned
    anything else      a column of that name, greater being stranger

S^+ is the pseudo-inverse: along directions in which ordinary codes do not vary, a code that differs from them is
infinitely strange. Except for knn, codes of a curved manifold are taken in the tangent space at the Frechet mean of the
ordinary ones.

Reference: Ramaswamy, Rastogi & Shim (2000) for knn; Lee, Lee, Lee & Shin (2018), https://arxiv.org/abs/1807.03888, for
class_mahalanobis; Breunig, Kriegel, Ng & Sander, "LOF" (2000).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import LocalOutlierFactor

from lsgen.analysis.flat import check_alike, flat_pair
from lsgen.extras import from_extra
from lsgen.latent import Codes
from lsgen.latent.columns import is_text
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["anomaly_score", "applicable_scores"]

Scores = NDArray[np.float64]

COLUMNS = {"prior_nll": 1.0, "reconstruction_error": 1.0, "elbo": -1.0}


def applicable_scores(ordinary: Codes, label: str = "label") -> list[str]:
    """Return the names of the scores that a table of ordinary codes has what is needed for."""
    names = ["knn", "mahalanobis"]
    if label in ordinary.columns and len(np.unique(_labels(ordinary, label))) > 1:
        names.append("class_mahalanobis")
    return [*names, "lof", *(name for name in COLUMNS if name in ordinary.columns)]


def anomaly_score(name: str, ordinary: Codes, codes: Codes, k: int = 10, label: str = "label") -> Scores:
    """Return a score of codes, greater where they are stranger, (N,).

    Args:
        name: which score, see this module.
        ordinary: codes that are ordinary, to which the score is fitted.
        codes: the codes that are judged, none of them among the ordinary ones.
        k: number of neighbours of knn and lof.
        label: column of classes for class_mahalanobis.

    Raises:
        ValueError: the tables are of different spaces, there are too few ordinary codes, the score is not known, a
            column is missing or holds something else, or a score is not a number.
        ImportError: the score needs pyod, which is not installed.

    """
    check_alike(ordinary, codes)
    if not len(codes):
        return np.empty(0)
    if name.startswith("pyod:"):
        values = _pyod(name.removeprefix("pyod:"), ordinary, codes)
    elif name in _SCORES:
        values = _SCORES[name](ordinary, codes, k, label)
    else:
        values = COLUMNS.get(name, 1.0) * _numbers(name, codes)
    if np.isnan(values).any():
        raise ValueError(f"expected the score {name} of every code, got {int(np.isnan(values).sum())} without")
    return values


def _knn(ordinary: Codes, codes: Codes, k: int, label: str) -> Scores:
    if not 1 <= k <= len(ordinary):
        raise ValueError(f"expected from 1 to {len(ordinary)} neighbours among the ordinary codes, got {k}")
    x, data = codes.tensor().double(), ordinary.tensor().double()
    far: Scores = nearest_neighbours(x, data, k, distance_on(codes.manifold)).distances[:, -1].numpy()
    return far


def _mahalanobis(ordinary: Codes, codes: Codes, k: int, label: str) -> Scores:
    known, z = flat_pair(ordinary, codes)
    return _Ellipsoid(known - known.mean(0), len(known) - 1).squares(z - known.mean(0))


def _class_mahalanobis(ordinary: Codes, codes: Codes, k: int, label: str) -> Scores:
    known, z = flat_pair(ordinary, codes)
    names, classes = np.unique(_labels(ordinary, label), return_inverse=True)
    means = np.stack([known[classes == c].mean(0) for c in range(len(names))])
    within = _Ellipsoid(known - means[classes], len(known) - len(names))
    nearest: Scores = np.min([within.squares(z - mean) for mean in means], axis=0)
    return nearest


def _lof(ordinary: Codes, codes: Codes, k: int, label: str) -> Scores:
    if not 1 <= k < len(ordinary):
        raise ValueError(f"expected from 1 to {len(ordinary) - 1} neighbours of each ordinary code, got {k}")
    known, z = flat_pair(ordinary, codes)
    strange: Scores = -LocalOutlierFactor(n_neighbors=k, novelty=True).fit(known).score_samples(z)
    return strange


_SCORES: dict[str, Callable[[Codes, Codes, int, str], Scores]] = {
    "knn": _knn,
    "mahalanobis": _mahalanobis,
    "class_mahalanobis": _class_mahalanobis,
    "lof": _lof,
}


class _Ellipsoid:
    """Squared lengths of vectors in units of a covariance, infinite where vectors leave its range."""

    def __init__(self, centred: NDArray[np.float64], freedom: int) -> None:
        if freedom < 1:
            raise ValueError(f"expected more ordinary codes than means, to have a covariance, got {len(centred)}")
        self._unit = float(np.abs(centred).max(initial=0.0)) or 1.0
        _, lengths, axes = np.linalg.svd(centred / self._unit, full_matrices=False)
        slack = max(centred.shape) * np.finfo(float).eps
        kept = lengths > slack * lengths.max(initial=0.0)
        self._axes, self._scale = axes[kept], lengths[kept] / np.sqrt(freedom)
        self._rounding = np.sqrt(np.finfo(np.float32).eps)

    def squares(self, x: NDArray[np.float64]) -> Scores:
        """Return the squared lengths (N,) of vectors (N, d)."""
        x = x / self._unit
        along = x @ self._axes.T
        outside = np.linalg.norm(x - along @ self._axes, axis=1) > self._rounding * np.linalg.norm(x, axis=1)
        return np.where(outside, np.inf, np.square(along / self._scale).sum(1))


def _pyod(name: str, ordinary: Codes, codes: Codes) -> Scores:
    with from_extra("anomaly", "scores of pyod need it installed"):
        from pyod import models
    places = [one.name for one in pkgutil.iter_modules(models.__path__) if one.name.replace("_", "") == name.lower()]
    kind = getattr(importlib.import_module(f"pyod.models.{places[0]}"), name, None) if places else None
    if not isinstance(kind, type):
        raise ValueError(f"expected a detector of pyod such as pyod:ECOD, got pyod:{name}")
    known, z = flat_pair(ordinary, codes)
    fitted = kind()
    fitted.fit(known)
    return np.asarray(fitted.decision_function(z), dtype=float)


def _numbers(name: str, codes: Codes) -> Scores:
    """Return a column of numbers."""
    if name not in codes.columns:
        known = ", ".join([*_SCORES, "pyod:NAME", *codes.columns])
        raise ValueError(f"expected a score out of {known}, got {name!r}")
    column = codes.columns[name]
    if is_text(column) or column.dtype.kind not in "biuf":
        raise ValueError(f"expected numbers in the column {name!r}, got {'text' if is_text(column) else column.dtype}")
    return column.astype(float)


def _labels(codes: Codes, name: str) -> NDArray[np.str_]:
    """Return the classes of codes as text."""
    if name not in codes.columns:
        raise ValueError(f"expected classes in a column {name!r}, got {', '.join(codes.columns) or 'no columns'}")
    return codes.columns[name].astype(str)
