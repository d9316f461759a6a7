"""Strange codes: p-values of all codes, and how well each score tells a class that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsgen import viz
from lsgen.analysis import Statistic
from lsgen.analysis.anomalies import AnomalyPanel, anomaly_panel, false_alarms
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import LeftOutError, Subject
from lsgen.latent import Codes

__all__ = ["anomalies"]

FOLDS, LEAST = 3, 30


def anomalies(subject: Subject, found: Findings) -> None:
    """Log false alarms of conformal p-values among the codes, and AUROCs of classes that were held out.

    The codes are cut into three parts. Scores are fitted to one, calibrated by the second, and judge the third; each
    part is judged once. Then, for every class in turn, its codes of the judged part are strange, and scores are fitted
    to none of that class; those that the model itself gives, which has seen all classes, are left out.
    """
    codes, k = subject.codes, subject.detail.k
    if len(codes) < max(LEAST, 3 * (k + 2)):
        raise LeftOutError(f"expected {max(LEAST, 3 * (k + 2))} codes or more, got {len(codes)}")
    order = np.random.default_rng(subject.seed).permutation(len(codes))
    parts = [np.sort(part) for part in np.array_split(order, FOLDS)]
    plain = Codes(codes.z, codes.ids, codes.manifold, {n: c for n, c in codes.columns.items() if n != "label"})
    p_values = _rotated(plain, parts, subject)
    for name, p in p_values.items():
        found.add(f"analysis/anomaly/{name}/false_alarms", false_alarms(p, len(p), seed=subject.seed))
        found.columns[f"p_{name}"] = p
    sink = found.sink
    sink.image("analysis/p_values", viz.p_value_histograms(p_values, "p-values of codes among the others"))
    _unseen_classes(subject, plain, parts, found)


def _rotated(codes: Codes, parts: list[NDArray[np.int64]], subject: Subject) -> dict[str, NDArray[np.float64]]:
    """Return p-values of all codes, (N,), by score."""
    p_values: dict[str, NDArray[np.float64]] = {}
    for turn in range(FOLDS):
        fitted, calibration, judged = (parts[(turn + i) % FOLDS] for i in range(FOLDS))
        panel = _panel(subject, codes, fitted, calibration, judged)
        for name, p in panel.p_values.items():
            p_values.setdefault(name, np.full(len(codes), np.nan))[judged] = p
    return {name: p for name, p in p_values.items() if np.isfinite(p).all()}


def _unseen_classes(subject: Subject, codes: Codes, parts: list[NDArray[np.int64]], found: Findings) -> None:
    """Log how well the codes of a class are told by scores that were not fitted to it, on average over classes."""
    names = subject.detail.scores or ("knn", "mahalanobis", "lof")
    fitted_scores = [name for name in names if name not in codes.columns]
    if not fitted_scores:
        return
    try:
        column, labels = subject.classes()
    except LeftOutError:
        return
    panels: dict[str, AnomalyPanel] = {}
    for name in np.unique(labels):
        fitted, calibration = (part[labels[part] != name] for part in parts[:2])
        strange = labels[parts[2]] == name
        if strange.all() or not strange.any() or len(fitted) <= subject.detail.k + 1 or not len(calibration):
            continue
        panels[str(name)] = _panel(subject, codes, fitted, calibration, parts[2], strange, fitted_scores)
    if not panels:
        return
    for score in sorted(set.intersection(*(set(panel.detections) for panel in panels.values()))):
        of_classes = [panel.detections[score] for panel in panels.values()]
        for part in ("auroc", "aupr", "fpr95"):
            found.add(f"analysis/anomaly/{score}/{part}", _average([getattr(one, part) for one in of_classes]))
    worst = min(panels, key=lambda name: max(one.auroc.value for one in panels[name].detections.values()))
    curves = {score: (one.fpr, one.tpr) for score, one in panels[worst].detections.items()}
    title = f"{column} = {worst}, to which no score was fitted"
    found.sink.image("analysis/roc", viz.roc_curves(curves, title))


def _panel(
    subject: Subject,
    codes: Codes,
    fitted: NDArray[np.int64],
    calibration: NDArray[np.int64],
    judged: NDArray[np.int64],
    strange: NDArray[np.bool_] | None = None,
    names: Sequence[str] | None = None,
) -> AnomalyPanel:
    ordinary, held, others = (codes.select(rows) for rows in (fitted, calibration, judged))
    chosen = subject.detail.scores if names is None else names
    return anomaly_panel(ordinary, held, others, strange, chosen, subject.detail.k, seed=subject.seed)


def _average(parts: list[Statistic]) -> Statistic:
    """Return the average over classes, whose interval is as wide as theirs on average, as they share ordinary codes."""
    value = float(np.mean([one.value for one in parts]))
    widths = np.array([(one.interval or (np.nan, np.nan)) for one in parts])
    half = float((widths[:, 1] - widths[:, 0]).mean()) / 2
    chance = float(np.mean([one.baseline or 0.0 for one in parts]))
    n, seed = sum(one.n for one in parts), parts[0].seed
    return Statistic(value, n, (max(0.0, value - half), min(1.0, value + half)), chance, seed, parts[0].level)
