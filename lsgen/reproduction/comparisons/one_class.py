"""How well shallow methods that have seen one class alone tell the others from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen.analysis.anomalies import anomaly_score, conformal_p_values, detection
from lsgen.data import DataModule
from lsgen.latent import Codes
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["OneClass", "contrast_normalised"]

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class OneClass:
    """Measures the AUROC, in per cent, of scores that are fitted to one class, for test data of all classes.

    Observations are normalised in contrast (`contrast_normalised`), scaled to [0, 1] by the least and the greatest
    value of the class, and projected onto the principal components that keep `kept` of its variance. No label of a test
    observation is used to choose anything.

    Keys: METHOD_CLASS and METHOD_mean, the average over classes; METHOD_false_alarms, the share in per cent of ordinary
    test observations whose conformal p-value is at most 5 %, by training observations that are held out for it. Arrays:
    METHOD (classes,), METHOD_interval (classes, 2).

    Attributes:
        data: labelled data; training and test split.
        classes: the classes that are ordinary in turn; all if None.
        methods: ocsvm, a one-class SVM with nu = 0.1 and gamma = 1/(d times the variance); iforest, an isolation forest
            of 100 trees; pca, the squared distance from the components; knn, mahalanobis and lof of
            `lsgen.analysis.anomalies`.
        kept: share of the variance that is kept.
        calibration: share of the ordinary training observations held out for p-values.
        n: ordinary training observations, drawn at random; all if None.
        k: neighbours of knn and lof.

    Raises:
        TypeError: the data are no `lsgen.data.DataModule`.
        ValueError: a number is out of its range, or there is no such method.

    Reference: Ruff et al., "Deep one-class classification" (ICML 2018), section 4.1.
    """

    data: DataModule
    classes: Sequence[int] | None = None
    methods: Sequence[str] = ("ocsvm", "iforest", "pca", "knn", "mahalanobis")
    kept: float = 0.95
    calibration: float = 0.1
    n: int | None = None
    k: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.data, DataModule):
            raise TypeError(f"OneClass expected a lsgen.data.DataModule, got {type(self.data).__name__}")
        known = (*_FITTED, "knn", "mahalanobis", "lof")
        if not self.methods or not set(self.methods) <= set(known):
            raise ValueError(f"OneClass expected methods out of {', '.join(known)}, got {list(self.methods)}")
        if not (0 < self.kept < 1 and 0 < self.calibration < 1):
            raise ValueError(f"OneClass expected shares between 0 and 1, got {self.kept} and {self.calibration}")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return AUROCs; no run is looked at."""
        train, test = (_observations(self.data, split) for split in ("train", "test"))
        classes = np.unique(train[1]).tolist() if self.classes is None else list(self.classes)
        found = [self._of_class(number, train, test) for number in classes]
        values, arrays = dict[str, float](), dict[str, Any]()
        for method in self.methods:
            statistics = [one[method][0].auroc for one in found]
            arrays[method] = np.array([100 * one.value for one in statistics])
            arrays[f"{method}_interval"] = np.array([[100 * end for end in one.interval or ()] for one in statistics])
            values |= {f"{method}_{number}": value for number, value in zip(classes, arrays[method], strict=True)}
            values[f"{method}_mean"] = float(arrays[method].mean())
            values[f"{method}_false_alarms"] = 100 * float(np.mean([one[method][1] for one in found]))
        return Measured({key: float(value) for key, value in values.items()}, arrays)

    def _of_class(self, number: int, train: Any, test: Any) -> dict[str, Any]:
        """Return, by method, how well it tells other classes from one, and the share of false alarms at 5 %."""
        rng = np.random.default_rng(number)
        own = rng.permutation(np.flatnonzero(train[1] == number))[: self.n]
        strange = test[1] != number
        if not len(own) or strange.all() or not strange.any():
            raise ValueError(f"expected the class {number} and others among training and test data, got not both")
        held = max(1, round(self.calibration * len(own)))
        low, high = train[0][own].min(), train[0][own].max()
        parts = [(x - low) / (high - low) for x in (train[0][own[held:]], train[0][own[:held]], test[0])]
        spaces = _projected(parts, self.kept)
        found = {}
        for method in self.methods:
            if method in _FITTED:
                calibrated, scores = _FITTED[method](parts, spaces)
            else:
                tables = [Codes(z) for z in spaces]
                calibrated, scores = (anomaly_score(method, tables[0], other, self.k) for other in tables[1:])
            p = conformal_p_values(calibrated, scores)
            found[method] = (detection(scores, strange, resamples=200), float((p[~strange] <= 0.05).mean()))
        return found


def contrast_normalised(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return observations (N, D) less their mean, over the mean of their absolute values.

    Raises:
        ValueError: an observation is constant.

    """
    centred = x - x.mean(1, keepdims=True)
    scale = np.abs(centred).mean(1, keepdims=True)
    if not scale.all():
        raise ValueError(f"expected observations with contrast, got {int((scale == 0).sum())} that are constant")
    normalised: NDArray[np.float64] = centred / scale
    return normalised


def _projected(parts: Sequence[Scores], kept: float) -> list[Scores]:
    """Return the components of observations that keep a share of the variance of the first part."""
    from sklearn.decomposition import PCA

    fitted = PCA(kept, svd_solver="covariance_eigh").fit(parts[0])
    return [np.asarray(fitted.transform(x)) for x in parts]


def _svm(parts: Sequence[Scores], spaces: Sequence[Scores]) -> list[Scores]:
    from sklearn.svm import OneClassSVM

    fitted = OneClassSVM(nu=0.1, gamma="scale", cache_size=500).fit(spaces[0])
    return [-fitted.score_samples(z) for z in spaces[1:]]


def _forest(parts: Sequence[Scores], spaces: Sequence[Scores]) -> list[Scores]:
    from sklearn.ensemble import IsolationForest

    fitted = IsolationForest(n_estimators=100, random_state=0).fit(spaces[0])
    return [-fitted.score_samples(z) for z in spaces[1:]]


def _residual(parts: Sequence[Scores], spaces: Sequence[Scores]) -> list[Scores]:
    """Return squared distances from the components."""
    mean = parts[0].mean(0)
    return [np.square(x - mean).sum(1) - np.square(z).sum(1) for x, z in zip(parts[1:], spaces[1:], strict=True)]


_FITTED: Mapping[str, Callable[[Sequence[Scores], Sequence[Scores]], list[Scores]]] = {
    "ocsvm": _svm,
    "iforest": _forest,
    "pca": _residual,
}


def _observations(data: DataModule, split: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the observations (N, D) of a split, normalised in contrast, and their classes."""
    chosen = data.dataset(split)
    batch = chosen[torch.arange(len(chosen))]
    return contrast_normalised(batch["x"].flatten(1).double().numpy()), batch["label"].numpy()
