"""Several scores of strange codes side by side, with conformal p-values.

No single score can be relied on: one that is best on some codes is worse than chance on others. So a panel reports all
that apply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsgen.analysis.anomalies.conformal import conformal_p_values, false_alarms
from lsgen.analysis.anomalies.scores import anomaly_score, applicable_scores
from lsgen.analysis.anomalies.separation import Detection, detection
from lsgen.analysis.flat import check_alike
from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes

__all__ = ["AnomalyPanel", "anomaly_panel"]


@dataclass(frozen=True)
class AnomalyPanel:
    """Scores of codes, and how strange each is.

    Attributes:
        scores: by name of the score, one for each code, greater where it is stranger, (N,).
        p_values: conformal p-values of the same.
        detections: how well each score tells the strange codes; empty where it is not known which are strange.
        false_alarms: share of ordinary codes with p <= `alpha`, which should not exceed it; empty where that is not
            known.
        refused: why a score that was asked for has no values, by name.
        alpha: the level of false alarms.

    """

    scores: Mapping[str, NDArray[np.float64]]
    p_values: Mapping[str, NDArray[np.float64]]
    detections: Mapping[str, Detection] = field(default_factory=dict)
    false_alarms: Mapping[str, Statistic] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    alpha: float = 0.05


def anomaly_panel(
    ordinary: Codes,
    calibration: Codes,
    codes: Codes,
    strange: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    k: int = 10,
    label: str = "label",
    alpha: float = 0.05,
    seed: int = 0,
) -> AnomalyPanel:
    """Return scores of codes with their p-values and, where it is known which are strange, how well each score tells.

    Args:
        ordinary: ordinary codes to which scores are fitted.
        calibration: other ordinary codes, for p-values.
        codes: the codes that are judged.
        strange: which of them are strange, (N,); None where nobody knows.
        names: which scores, see `lsgen.analysis.anomalies.scores`; all that apply unless given.
        k: number of neighbours of knn and lof.
        label: column of classes.
        alpha: level of false alarms.
        seed: seed of the resamples for intervals, and of detectors of pyod that draw random numbers from numpy.

    Raises:
        ValueError: the tables are of different spaces, two of them share a code, the calibration codes have a class
            that the ordinary ones have not, or an argument is out of its range. A score that the codes do not allow is
            among `refused` instead, unless it was asked for by name.

    """
    if not 0 < alpha < 1:
        raise ValueError(f"expected a level alpha between 0 and 1, got {alpha}")
    for table in (calibration, codes):
        check_alike(ordinary, table)
    _check_apart(ordinary, calibration, codes)
    _check_classes(ordinary, calibration, label)
    chosen = applicable_scores(ordinary, label) if names is None else list(names)
    both = _joined(calibration, codes)
    scores, p_values, refused = dict[str, NDArray[np.float64]](), dict[str, NDArray[np.float64]](), dict[str, str]()
    for name in chosen:
        try:
            held, judged = np.split(_scored(name, ordinary, both, k, label, seed), [len(calibration)])
        except ValueError as error:
            if names is not None:
                raise
            refused[name] = str(error)
            continue
        scores[name], p_values[name] = judged, conformal_p_values(held, judged)
    if strange is None:
        return AnomalyPanel(scores, p_values, refused=refused, alpha=alpha)
    mask = np.asarray(strange)
    detections = {name: detection(values, mask, seed=seed) for name, values in scores.items()}
    alarms = {name: false_alarms(p[~mask], len(calibration), alpha, seed) for name, p in p_values.items()}
    return AnomalyPanel(scores, p_values, detections, alarms, refused, alpha)


def _scored(name: str, ordinary: Codes, codes: Codes, k: int, label: str, seed: int) -> NDArray[np.float64]:
    """Return a score, for which numpy's own random numbers begin at the seed."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        return anomaly_score(name, ordinary, codes, k, label)
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _joined(a: Codes, b: Codes) -> Codes:
    """Return one table with the codes of two and the columns that both have."""
    columns = {name: np.concatenate([a.columns[name], b.columns[name]]) for name in a.columns if name in b.columns}
    return Codes(np.concatenate([a.z, b.z]), None, a.manifold, columns)


def _check_apart(*tables: Codes) -> None:
    """Refuse tables that share a code."""
    seen = dict[object, str]()
    for role, table in zip(("ordinary", "calibration", "judged"), tables, strict=True):
        for name in table.ids.tolist():
            if name in seen:
                raise ValueError(f"expected tables without a code in common, got {name!r} as {seen[name]} and {role}")
            seen[name] = role


def _check_classes(ordinary: Codes, calibration: Codes, label: str) -> None:
    """Refuse calibration codes of a class that is not ordinary."""
    if label not in ordinary.columns or label not in calibration.columns:
        return
    known, others = (set(table.columns[label].astype(str).tolist()) for table in (ordinary, calibration))
    if strangers := sorted(others - known):
        raise ValueError(
            f"expected calibration codes of the classes of the ordinary ones, got {strangers[0]!r}, which these have "
            "not: p-values would be too great"
        )
