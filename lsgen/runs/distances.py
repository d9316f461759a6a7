r"""Variation of distances between runs that differ only in their seed.

    CV = mean over pairs p of  s_p / m_p,    m_p, s_p the mean and the standard deviation (n - 1) of d_p over the runs

A latent space is known up to a change of its coordinates. Geodesic distances do not depend on them, and vary from seed
to seed as far as the models differ; Euclidean distances of codes vary with the coordinates too.

`lsgen geometry RUN` writes RUN/geometry/CHECKPOINT.json, whose "distances" hold those of fixed pairs of observations.
Runs are compared where their configs agree but for seeds, names and loggers, and the measurements in all settings.

Reference: Syrota et al., "Decoder ensembling for learned latent geometries" (2024), https://arxiv.org/abs/2408.07507.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lsgen.runs.directory import RunDirectory
from lsgen.runs.errors import RunError
from lsgen.runs.files import read_json

__all__ = ["SeedVariation", "seed_groups", "seed_variation"]


@dataclass(frozen=True)
class SeedVariation:
    """The coefficient of variation of distances over runs that differ in their seed.

    Attributes:
        runs: the runs.
        pairs: pairs of observations whose geodesics converged in all of them.
        geodesic: mean over these pairs of the coefficient of variation of the geodesic distance.
        euclidean: the same of the Euclidean distance of the codes.

    """

    runs: tuple[str, ...]
    pairs: int
    geodesic: float
    euclidean: float


def seed_groups(runs: Iterable[RunDirectory]) -> list[tuple[RunDirectory, ...]]:
    """Return the runs in groups whose configs differ in seeds, names and loggers only, in the order of the runs.

    Raises:
        RunError: a config cannot be read.

    """
    groups: dict[str, list[RunDirectory]] = {}
    for run in runs:
        about = [_without_seeds(run.config()), run.overrides()]
        groups.setdefault(json.dumps(about, sort_keys=True, default=str), []).append(run)
    return [tuple(group) for group in groups.values()]


def seed_variation(runs: Iterable[RunDirectory], checkpoint: str = "last") -> list[SeedVariation]:
    """Return one coefficient of variation for each group of runs that differ only in their seed.

    Args:
        runs: the runs; those without measured distances of observations, and those that cannot be read, have no part.
        checkpoint: name of the checkpoint whose distances are compared.

    """
    groups: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for run in runs:
        try:
            found = read_json(run.path / "geometry" / f"{checkpoint}.json")
            distances = found.get("distances") or {}
            config, changes = (run.config(), run.overrides()) if distances.get("observations") else ({}, {})
        except (OSError, ValueError, RunError):
            continue
        if distances.get("observations"):
            about = [_without_seeds(config), changes, found.get("settings"), found.get("step")]
            about += [distances["observations"], distances["pairs"]]
            groups.setdefault(json.dumps(about, sort_keys=True, default=str), []).append((str(run.path), distances))
    varied = (_variation(group) for group in groups.values() if len(group) > 1)
    return [one for one in varied if one is not None]


def _without_seeds(node: Any, depth: int = 0) -> Any:
    """Return a config without its seeds, the names of the run and its loggers."""
    if isinstance(node, Mapping):
        named = ("run", "logger") if depth == 0 else ()
        kept = {key: value for key, value in node.items() if key != "seed" and key not in named}
        return {key: _without_seeds(value, depth + 1) for key, value in kept.items()}
    return [_without_seeds(item, depth + 1) for item in node] if isinstance(node, list) else node


def _variation(group: list[tuple[str, Mapping[str, Any]]]) -> SeedVariation | None:
    geodesic = list(zip(*(distances["geodesic"] for _, distances in group), strict=True))
    euclidean = list(zip(*(distances["euclidean"] for _, distances in group), strict=True))
    both = [(g, e) for g, e in zip(geodesic, euclidean, strict=True) if None not in (*g, *e) and min(*g, *e) > 0]
    if not both:
        return None
    over_geodesic, over_euclidean = (statistics.fmean(map(_coefficient, kind)) for kind in zip(*both, strict=True))
    return SeedVariation(tuple(run for run, _ in group), len(both), over_geodesic, over_euclidean)


def _coefficient(values: tuple[float, ...]) -> float:
    return statistics.stdev(values) / statistics.fmean(values)
