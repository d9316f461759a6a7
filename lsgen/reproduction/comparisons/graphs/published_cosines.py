"""Cosines of codes of nodes against those of published codes, and years of codes that are turned onto each other."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsgen.data import GraphData
from lsgen.data.files import reading, require
from lsgen.latent import Codes, ItemSpace
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["PublishedCosines", "YearsKept"]


@dataclass(frozen=True)
class PublishedCosines:
    """Compares the cosines of codes of all pairs of nodes between runs of one arm, and with published codes.

    Keys: ours, the mean of |cos - cos'| over pairs of nodes and pairs of runs; published, the same between each run and
    the published codes; ours_and_a_tenth, 1.1 of the first; ours_correlation and published_correlation, those of the
    cosines of pairs. The arrays of the first three are (runs, nodes).

    Attributes:
        published: a table of codes, whose rows are a name and the coordinates, below a row of headings; the weights of
            links, those of both directions averaged, stand in the place of their cosines where it is None.

    Raises:
        FileNotFoundError: there is no such file.

    """

    published: str | None

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the values over the runs of one arm.

        Raises:
            ValueError: there is not one arm with two runs or more, or the file is damaged or has other nodes.

        """
        (of,) = runs.values() if len(runs) == 1 else ((),)
        if len(of) < 2:
            raise ValueError(f"expected one arm with at least 2 runs, got { {arm: len(o) for arm, o in runs.items()} }")
        found = np.stack([_cosines(_codes(run).z) for run in of])
        names = [str(name) for name in _codes(of[0]).ids]
        known = _weights(of[0]) if self.published is None else _cosines(_read(Path(self.published), names))
        n, apart = len(names), ~np.eye(len(names), dtype=bool)
        gaps = np.abs(found[:, None] - found).sum((1, 3)) / ((len(of) - 1) * (n - 1))
        arrays = {"ours": gaps, "ours_and_a_tenth": 1.1 * gaps, "published": np.abs(found - known).sum(2) / (n - 1)}
        pairs = np.corrcoef(np.concatenate([found[:, apart], known[None, apart]]))
        values = {name: float(parts.mean()) for name, parts in arrays.items()}
        values["ours_correlation"] = float(pairs[:-1, :-1][~np.eye(len(of), dtype=bool)].mean())
        values["published_correlation"] = float(pairs[-1, :-1].mean())
        return Measured(values, arrays)


@dataclass(frozen=True)
class YearsKept:
    """Compares the codes of places in different years, which are turned onto each other.

    Keys: kept, the mean cosine of a place's codes in the first and the last year; following, the same of years that
    follow each other. Arrays (runs, places).

    """

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the values over the runs of one arm.

        Raises:
            ValueError: there is not one arm, or codes are not those of the same places in at least two years.

        """
        (of,) = runs.values() if len(runs) == 1 else ((),)
        if not of:
            raise ValueError(f"expected the runs of one arm, got those of {len(runs)}")
        years = np.stack([_by_year(_codes(run)) for run in of])
        arrays = {
            "kept": (years[:, 0] * years[:, -1]).sum(-1),
            "following": (years[:, 1:] * years[:, :-1]).sum(-1).mean(1),
        }
        return Measured({name: float(parts.mean()) for name, parts in arrays.items()}, arrays)


def _codes(run: TrainedRun) -> Codes:
    space = run.model.latent_space
    if not isinstance(space, ItemSpace):
        raise TypeError(f"expected a run of codes of nodes, got a {type(space).__name__}")
    return space.items()


def _by_year(codes: Codes) -> NDArray[np.float64]:
    """Return the codes of the same places in all years, (years, places, d), of length 1."""
    year, place = codes.columns["year"], codes.columns["place"]
    rows = [np.flatnonzero(year == value) for value in np.unique(year)]
    rows = [part[np.argsort(place[part], kind="stable")] for part in rows]
    if len(rows) < 2 or any(list(place[part]) != list(place[rows[0]]) for part in rows):
        raise ValueError(f"expected codes of the same places in at least 2 years, got those of {len(rows)}")
    return _unit(codes.z[np.stack(rows)])


def _weights(run: TrainedRun) -> NDArray[np.float64]:
    if not isinstance(run.data, GraphData):
        raise TypeError(f"expected a run on a network, got {type(run.data).__name__}")
    weights: NDArray[np.float64] = run.data.whole.adjacency().toarray()
    found: NDArray[np.float64] = (weights + weights.T) / 2
    np.fill_diagonal(found, 1)
    return found


def _read(file: Path, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the codes of nodes by name, (N, d)."""
    require("published codes", [file], "copy output/emb/ of github.com/furkangursoy/MigrationTR there")
    with reading("published codes", file), file.open(encoding="utf-8-sig", newline="") as lines:
        table = {row[0]: [float(number) for number in row[1:]] for row in list(csv.reader(lines))[1:]}
        return np.array([table[name] for name in names])


def _cosines(z: NDArray[np.floating]) -> NDArray[np.float64]:
    unit = _unit(z)
    return unit @ unit.T


def _unit(z: NDArray[np.floating]) -> NDArray[np.float64]:
    z = z.astype(np.float64)
    return z / np.linalg.norm(z, axis=-1, keepdims=True)
