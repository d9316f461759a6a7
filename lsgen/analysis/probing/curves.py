r"""How well probes of codes predict a column, by the number of labels that they are fitted to.

One part of the items, whole groups of them, is held out. For each seed, budgets of labels are drawn from the others, a
greater budget with all items of a smaller one, and every representation of the same items gets the same labels and is
judged by the same held-out items:

    classification   accuracy                 baseline: the most frequent of the drawn labels
    regression       R^2 = 1 - sum (y - f)^2 / sum (y - mean)^2      baseline: the mean of the drawn labels

Intervals are quantiles over resamples of the seeds and of the held-out groups, both at once: they hold for other
labels drawn and for other items. Labels are drawn at random, so that a small budget may miss a class.

Reference: Alain & Bengio, "Understanding intermediate layers using linear classifier probes" (2016),
https://arxiv.org/abs/1610.01644; Owen, "The pigeonhole bootstrap" (2007), https://arxiv.org/abs/0712.1111.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsgen.analysis.flat import check_alike, flat_pair
from lsgen.analysis.intervals import check_level, percentile_interval
from lsgen.analysis.probing.estimators import Kind, Probe, check_kind, fitted_predictions
from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes
from lsgen.latent.columns import is_text, rows_with

__all__ = ["ProbeCurves", "ProbeOptions", "Representation", "column_of", "measured_curves", "probe", "transfer"]

Representation = Codes | ArrayLike
Values = NDArray[Any]


@dataclass(frozen=True)
class ProbeOptions:
    """How probes are fitted and judged.

    Attributes:
        probe: "linear", "knn" or "mlp".
        budgets: numbers of labels; None stands for all.
        seeds: how often labels are drawn, and probes fitted, for each budget.
        held_out: share of the groups, or of the items, that probes are judged by.
        groups: column whose values name the group of an item, of which none is on both sides; every item is its own
            group where it is None.
        seed: seed of the split, of the labels drawn, and of the resamples.
        resamples: number of resamples for intervals.
        level: coverage of the intervals.

    Raises:
        ValueError: a number is out of its range, or the probe is not known.

    """

    probe: Probe = "linear"
    budgets: tuple[int | None, ...] = (10, 30, 100, 300, None)
    seeds: int = 5
    held_out: float = 0.2
    groups: str | None = None
    seed: int = 0
    resamples: int = 1000
    level: float = 0.95

    def __post_init__(self) -> None:
        check_kind(self.probe)
        check_level(self.level)
        budgets = self.budgets
        if not budgets or any(b is not None and b < 1 for b in budgets) or len(set(budgets)) < len(budgets):
            raise ValueError(f"expected distinct budgets of one label or more, or None for all, got {list(budgets)}")
        if self.seeds < 1 or self.resamples < 1 or not 0 < self.held_out < 1:
            raise ValueError(
                f"expected seeds and resamples of 1 or more and a held_out between 0 and 1, got {self.seeds}, "
                f"{self.resamples} and {self.held_out}"
            )


@dataclass(frozen=True)
class ProbeCurves:
    """Scores of probes by the number of labels, of codes and of other representations of the same items.

    Attributes:
        column: what is predicted.
        kind: "classification", judged by accuracy, or "regression", judged by R^2.
        budgets: numbers of labels, those that there are, in order.
        scores: by name of the representation one score for each budget; `majority` is the baseline that looks at
            labels alone.
        left_out: budgets that exceed the labels there are.

    """

    column: str
    kind: Kind
    budgets: tuple[int, ...]
    scores: Mapping[str, tuple[Statistic, ...]]
    left_out: tuple[int, ...] = ()


def probe(
    codes: Codes,
    column: str = "label",
    baselines: Mapping[str, Representation] | None = None,
    options: ProbeOptions = ProbeOptions(),
) -> ProbeCurves:
    """Return how well codes, and other representations of the same items, predict a column by few labels.

    Args:
        codes: the codes; those whose value in the column is missing are left out.
        column: text, truth values or whole numbers are classes; other numbers are predicted as such.
        baselines: other representations by name, such as the raw observations, as many of their principal components
            as codes have coordinates, or codes of the untrained network: a table with the ids of the codes, or an array
            (N, ...) in their order.
        options: how probes are fitted and judged.

    Raises:
        ValueError: there is no such column, nothing varies in it, too few items are there, or a representation is of
            other items or called as the codes or the baseline are.

    """
    target, kind, rows = column_of(codes, column)
    groups = _groups(codes, options.groups)[rows]
    held = _held_out(groups, options.held_out, np.random.default_rng(options.seed))
    spaces = {"codes": codes, **_checked_names(baselines)}
    fitted = {name: _coordinates(name, space, codes, rows[~held], rows[held]) for name, space in spaces.items()}
    return measured_curves(column, kind, fitted, (target[~held], target[held]), groups[held], options)


def transfer(
    fit: Codes,
    test: Codes,
    column: str = "label",
    baselines: Mapping[str, tuple[Representation, Representation]] | None = None,
    options: ProbeOptions = ProbeOptions(),
) -> ProbeCurves:
    """Return how well probes that are fitted to some codes predict a column of other ones, as of another data set.

    Args:
        fit: codes from which labels are drawn.
        test: codes of the same space that probes are judged by, all of them.
        column: see `probe`.
        baselines: by name the other representations of both.
        options: see `probe`; nothing is held out of `fit`, and groups are those of `test`.

    Raises:
        ValueError: see `probe`; also where the two spaces or the kinds of the column differ.

    """
    y, kind, rows = column_of(fit, column)
    other_y, other_kind, others = column_of(test, column)
    if kind != other_kind:
        raise ValueError(f"expected one kind of column {column!r}, got one for {kind} and one for {other_kind}")
    check_alike(fit, test)
    fitted = {"codes": _pair(fit.select(rows), test.select(others))}
    for name, pair in _checked_names(baselines).items():
        a, b = (_aligned(name, part, codes) for part, codes in zip(pair, (fit, test), strict=True))
        fitted[name] = _pair(_rows(a, rows), _rows(b, others))
    groups = _groups(test, options.groups)[others]
    return measured_curves(column, kind, fitted, (y, other_y), groups, options)


def measured_curves(
    column: str,
    kind: Kind,
    spaces: Mapping[str, tuple[Values, Values]],
    targets: tuple[Values, Values],
    groups: Values,
    options: ProbeOptions,
) -> ProbeCurves:
    """Return the scores of probes, given both sides of a split.

    Args:
        column: what is predicted.
        kind: whether classes or numbers are.
        spaces: by name coordinates of the items to draw from, (N, p), and of those to judge by, (M, p).
        targets: their labels, (N,) and (M,).
        groups: group of each item to judge by, (M,).
        options: how probes are fitted and judged.

    Raises:
        ValueError: nothing is left to judge by, or nothing varies.

    """
    y, truth = targets
    _check_varies(column, kind, y, truth)
    most = len(y)
    budgets = sorted({most if b is None else b for b in options.budgets if b is None or b <= most})
    left_out = tuple(sorted(b for b in options.budgets if b is not None and b > most))
    orders = [np.random.default_rng([options.seed, 1, s]).permutation(most) for s in range(options.seeds)]
    resample = _Resamples(groups, options)
    scores: dict[str, list[Statistic]] = {name: [] for name in ("majority", *spaces)}
    for budget in budgets:
        drawn = [order[:budget] for order in orders]
        guesses = np.stack([np.repeat(_plainest(y[rows], kind), len(truth)) for rows in drawn])
        baseline = resample.score(kind, guesses, truth, None)
        scores["majority"].append(baseline)
        for name, (x, other) in spaces.items():
            fits = drawn[:1] if budget == most and options.probe != "mlp" else drawn
            found = np.stack(
                [fitted_predictions(options.probe, kind, x[rows], y[rows], other, s) for s, rows in enumerate(fits)]
            )
            found = np.broadcast_to(found, (options.seeds, len(truth)))  # all labels, and nothing random: one fit
            scores[name].append(resample.score(kind, found, truth, baseline.value))
    return ProbeCurves(column, kind, tuple(budgets), {n: tuple(of) for n, of in scores.items()}, left_out)


def column_of(codes: Codes, column: str) -> tuple[Values, Kind, NDArray[np.int64]]:
    """Return the values of a column that are there, whether they are classes or numbers, and their rows.

    Raises:
        ValueError: there is no such column, or it holds dates, durations or complex numbers.

    """
    if column not in codes.columns:
        raise ValueError(f"expected a column out of {', '.join(codes.columns) or 'none'}, got {column!r}")
    values = codes.columns[column]
    if is_text(values):
        rows = np.flatnonzero(~rows_with(column, values, None))
        return values[rows].astype(str), "classification", rows
    if values.dtype.kind not in "biuf":
        raise ValueError(f"expected classes or numbers in the column {column!r}, got {values.dtype}")
    rows = np.flatnonzero(np.isfinite(values.astype(float)))
    kept = values[rows]
    return (kept.astype(float), "regression", rows) if values.dtype.kind == "f" else (kept, "classification", rows)


class _Resamples:
    """Weights of held-out items and of seeds in resamples of both."""

    def __init__(self, groups: Values, options: ProbeOptions) -> None:
        rng = np.random.default_rng([options.seed, 2])
        names, place = np.unique(groups, return_inverse=True)
        count, seeds = len(names), options.seeds
        weights = rng.multinomial(count, np.full(count, 1 / count), size=options.resamples)
        self._items = weights[:, place].astype(float)
        self._seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=options.resamples) / seeds
        self._options = options

    def score(self, kind: Kind, found: Values, truth: Values, baseline: float | None) -> Statistic:
        """Return the score of predictions (seeds, M)."""
        every, each = np.ones((1, len(truth))), np.full((1, len(found)), 1 / len(found))
        value = float(_score(kind, found, truth, every, each)[0])
        draws = _score(kind, found, truth, self._items, self._seeds)
        interval = percentile_interval(draws, self._options.level)
        return Statistic(value, len(truth), interval, baseline, self._options.seed, self._options.level)


def _score(kind: Kind, found: Values, truth: Values, items: Values, seeds: Values) -> NDArray[np.float64]:
    """Return scores (B,) of predictions (S, M) for weights of items (B, M) and of seeds (B, S)."""
    if kind == "classification":
        right = (found == truth).astype(float)
        accuracy: NDArray[np.float64] = ((seeds @ right) * items).sum(1) / items.sum(1)
        return accuracy
    total = items.sum(1)
    spread = items @ np.square(truth - truth.mean()) - np.square(items @ (truth - truth.mean())) / total
    errors = ((seeds @ np.square(found - truth)) * items).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2: NDArray[np.float64] = np.where(spread > 0, 1 - errors / spread, np.nan)
    return r2


def _plainest(y: Values, kind: Kind) -> Any:
    """Return the most frequent class, the first of several, or the mean of numbers."""
    if kind == "regression":
        return y.mean()
    names, counts = np.unique(y, return_counts=True)
    return names[counts.argmax()]


def _check_varies(column: str, kind: Kind, y: Values, truth: Values) -> None:
    if not len(y) or not len(truth):
        raise ValueError(f"expected items on both sides of the split, got {len(y)} and {len(truth)}")
    if len(np.unique(y)) < 2:
        raise ValueError(f"expected a column {column!r} that varies, got one value, {y[0]!r}, to draw from")
    if kind == "regression" and len(np.unique(truth)) < 2:
        raise ValueError(
            f"expected numbers in {column!r} that vary among the items to judge by, got {truth[0]:g} alone"
        )


def _groups(codes: Codes, column: str | None) -> Values:
    if column is None:
        return np.arange(len(codes))
    if column not in codes.columns:
        raise ValueError(f"expected groups in a column out of {', '.join(codes.columns) or 'none'}, got {column!r}")
    return np.unique(codes.columns[column].astype(str), return_inverse=True)[1]


def _held_out(groups: Values, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which items are held out: those of a share of the groups, drawn at random."""
    names = rng.permutation(np.unique(groups))
    if len(names) < 2:
        raise ValueError(f"expected two groups of items or more, to hold one out, got {len(names)}")
    count = min(max(1, round(share * len(names))), len(names) - 1)
    return np.isin(groups, names[:count])


def _checked_names(baselines: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if taken := {"codes", "majority"} & set(baselines or {}):
        raise ValueError(f"expected baselines with names of their own, got {taken.pop()!r}")
    return baselines or {}


def _coordinates(
    name: str, space: Representation, codes: Codes, fit: NDArray[np.int64], other: NDArray[np.int64]
) -> tuple[Values, Values]:
    """Return the coordinates of items to draw from and to judge by in one representation."""
    table = _aligned(name, space, codes)
    return _pair(_rows(table, fit), _rows(table, other))


def _aligned(name: str, space: Representation, codes: Codes) -> Codes | Values:
    """Return a representation with one row for each of the codes, in their order."""
    if isinstance(space, Codes):
        return space.select(ids=codes.ids)
    array = np.asarray(space)
    if array.ndim < 2 or len(array) != len(codes) or array.dtype.kind not in "biuf":
        raise ValueError(
            f"expected numbers ({len(codes)}, ...) as the baseline {name!r}, got {array.dtype} {array.shape}"
        )
    flat: Values = array.reshape(len(array), -1).astype(float)
    if not np.isfinite(flat).all():
        raise ValueError(f"expected finite numbers as the baseline {name!r}, got some that are not")
    return flat


def _rows(table: Codes | Values, rows: NDArray[np.int64]) -> Codes | Values:
    return table.select(rows) if isinstance(table, Codes) else table[rows]


def _pair(fit: Codes | Values, other: Codes | Values) -> tuple[Values, Values]:
    """Return flat coordinates of both, about the mean of the first."""
    if isinstance(fit, Codes) and isinstance(other, Codes):
        return flat_pair(fit, other)
    if isinstance(fit, Codes) or isinstance(other, Codes) or fit.shape[1] != other.shape[1]:
        raise ValueError("expected one representation on both sides, got two kinds or two numbers of coordinates")
    return fit, other
