"""How much moving codes along one direction changes what other directions or probes say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lsgen.analysis.directions.direction import Direction
from lsgen.analysis.intervals import mean_interval
from lsgen.latent import Codes

__all__ = ["Leakage", "attribute_probes", "leakage"]

Probe = Callable[[NDArray[Any]], Any]


@dataclass(frozen=True, eq=False)
class Leakage:
    """Changes of probes when codes are moved along directions.

    Attributes:
        directions: names, (m,).
        probes: names, (p,).
        change: average change of each probe, in its standard deviations, (m, p).
        intervals: of the average over codes, (m, p, 2).
        steps: how many standard deviations codes were moved.
        n: number of codes.

    """

    directions: tuple[str, ...]
    probes: tuple[str, ...]
    change: NDArray[np.float64]
    intervals: NDArray[np.float64]
    steps: float
    n: int


def leakage(
    codes: Codes, directions: Sequence[Direction], probes: Mapping[str, Probe] | None = None, steps: float = 1.0
) -> Leakage:
    """Return how much moving codes along each direction changes each probe.

    A direction that moves its own attribute alone has a change in one column, and zeros beside it.

    Args:
        codes: the codes that are moved (N, d).
        directions: by whose standard deviation they are moved.
        probes: functions by name that return a number (N,) for each of codes (N, d), such as the score of a
            classifier; the scores of the directions unless given.
        steps: how many standard deviations codes are moved.

    Raises:
        ValueError: there is no direction, fewer than two codes, or a probe returns something else.

    """
    if not directions or len(codes) < 2 or not np.isfinite(steps) or steps == 0:
        raise ValueError(
            f"expected a direction, 2 codes and steps to move, got {len(directions)}, {len(codes)}, {steps}"
        )
    chosen = {one.name: one.scores for one in directions} if probes is None else dict(probes)
    if probes is None and len(chosen) < len(directions):
        raise ValueError("expected directions of different names, got two of one name")
    z = np.asarray(codes.z, dtype=np.float64)
    before = {name: _asked(name, probe, z) for name, probe in chosen.items()}
    change, intervals = np.empty((len(directions), len(chosen))), np.empty((len(directions), len(chosen), 2))
    for i, direction in enumerate(directions):
        there = direction.moved(z, steps)
        for j, (name, probe) in enumerate(chosen.items()):
            spread = before[name].std()
            moved = (_asked(name, probe, there) - before[name]) / (spread if spread > 0 else np.nan)
            change[i, j] = moved.mean()
            intervals[i, j] = mean_interval(moved)
    return Leakage(tuple(one.name for one in directions), tuple(chosen), change, intervals, steps, len(codes))


def attribute_probes(codes: Codes, directions: Sequence[Direction], rows: Any = None) -> dict[str, Probe]:
    """Return a probe of the attribute of each direction, by its name, to be asked what moving codes changes.

    It is the probability of a logistic regression for two groups, the prediction of a ridge regression for values, with
    an L2 penalty of 1 on standardised coordinates of the tangent space.

    Args:
        codes: the codes (N, d) that the directions were found from.
        directions: of groups or of values, not of pairs.
        rows: a mask (N,) or rows of the codes that probes are fitted to, so that others can be moved; all unless given.

    Raises:
        ValueError: a direction is one of pairs, two have one name, or the codes to fit to have one value of an
            attribute.

    """
    kept = np.ones(len(codes), dtype=bool)
    if rows is not None:
        kept[:] = False
        kept[np.asarray(rows)] = True
    found: dict[str, Probe] = {}
    for one in directions:
        if one.paired or one.name in found:
            raise ValueError(f"expected directions of groups or values with names of their own, got {one.name!r}")
        inside = kept[one.rows]
        y, x = one.attribute[inside], one.space.vectors(codes.z[one.rows[inside]])
        if len(np.unique(y)) < 2:
            raise ValueError(f"expected codes with different values of {one.name!r} to fit a probe to, got {len(y)}")
        found[one.name] = _fitted(one, x, y)
    return found


def _fitted(direction: Direction, x: NDArray[np.float64], y: NDArray[np.float64]) -> Probe:
    groups = set(np.unique(direction.attribute).tolist()) <= {0.0, 1.0}
    scale = 1.0 if groups else float(y.std())
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000) if groups else Ridge(alpha=1.0))
    model.fit(x, y > 0.5 if groups else y / scale)

    def asked(z: NDArray[Any]) -> NDArray[np.float64]:
        vectors = direction.space.vectors(z)
        return np.asarray(model.predict_proba(vectors)[:, 1] if groups else model.predict(vectors))

    return asked


def _asked(name: str, probe: Probe, z: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(probe(z), dtype=np.float64)
    if values.shape != (len(z),):
        raise ValueError(f"expected {len(z)} numbers of the probe {name!r}, got shape {values.shape}")
    return values
