"""Read many runs at once: config, status and last metrics of each, as flat rows."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lsgen.runs.cache import cached_rows
from lsgen.runs.directory import MEASUREMENTS, RunDirectory
from lsgen.runs.distances import seed_variation
from lsgen.runs.errors import RunError
from lsgen.runs.files import read_json, unescaped
from lsgen.runs.metrics import last_metrics

__all__ = ["find_runs", "flatten", "index"]


def find_runs(patterns: Iterable[str | Path]) -> list[RunDirectory]:
    """Return the runs at or below the paths that match the patterns, sorted by path.

    Args:
        patterns: directories or glob patterns (`**` spans directories).

    Raises:
        RunError: a pattern leads to no run.

    """
    found: dict[str, RunDirectory] = {}
    for pattern in patterns:
        places = [str(pattern)] if os.path.isdir(pattern) else glob.glob(str(pattern), recursive=True)
        runs = [path for place in places for path in _below(place)]
        if not runs:
            raise RunError(f"expected runs (directories that hold config.yaml) at {pattern}, found none")
        for path in sorted(runs, key=os.path.islink):  # a link, such as SWEEP/best, gives way to the run itself
            found.setdefault(os.path.realpath(path), RunDirectory(path))
    return sorted(found.values(), key=lambda run: str(run.path))


def _below(place: str) -> Iterator[str]:
    if not os.path.isdir(place):
        return
    for path, directories, files in os.walk(place):
        if "config.yaml" in files and "provenance.json" in files:
            directories.clear()
            yield path
        else:
            directories[:] = [name for name in directories if name != "wandb" and not name.startswith(".")]


def index(runs: Iterable[RunDirectory]) -> list[dict[str, Any]]:
    """Return one flat row per run: run, id, state, created, overrides, choices, config keys, last metrics, evaluations.

    A run of several that differ in their seed only has the coefficient of variation of distances over them, see
    `seed_variation`.

    Where a metric bears the name of a config key the metric is kept under `metric:KEY`. A run that cannot be read
    is a row with the reason under "error".

    """
    runs = list(runs)
    rows = cached_rows(runs, _row)
    by_run = {row["run"]: row for row in rows}
    for varied in seed_variation(runs):
        for run in varied.runs:
            by_run[run] |= {
                "geometry/distance/seeds": len(varied.runs),
                "geometry/distance/geodesic_cv": varied.geodesic,
                "geometry/distance/euclidean_cv": varied.euclidean,
            }
    return rows


def _row(run: RunDirectory) -> dict[str, Any]:
    row: dict[str, Any] = {"run": str(run.path)}
    try:
        return row | _content(run)
    except (RunError, OSError, ValueError) as error:
        return {**row, "state": "unreadable", "error": str(error)}


def _content(run: RunDirectory) -> dict[str, Any]:
    provenance, status = run.provenance(), run.status()
    config = unescaped(flatten(run.config()) | run.overrides())
    state = status["state"]
    if state == "running" and not run.is_locked():
        state = "interrupted"
    row = {"id": provenance.get("id"), "state": state, "created": provenance.get("created")}
    row["overrides"] = " ".join(provenance.get("overrides", []))
    row |= {group: choice for group, choice in provenance.get("choices", {}).items() if group not in config}
    row |= config
    metrics = _metrics(status, run.status_file) | last_metrics(run.metrics_file)
    row |= {key if key not in row and key != "run" else f"metric:{key}": value for key, value in metrics.items()}
    row |= _evaluations(run)
    if status.get("error"):
        row["error"] = status["error"]
    return row


def _metrics(record: Mapping[str, Any], file: Path) -> dict[str, Any]:
    metrics = record.get("metrics", {})
    if not isinstance(metrics, Mapping):
        raise RunError(f"expected a mapping as the metrics in {file}, got {type(metrics).__name__}")
    return dict(metrics)


def _evaluations(run: RunDirectory) -> dict[str, Any]:
    """Return what verbs measured, by metric; of the last checkpoint under the bare names, else CHECKPOINT:METRIC."""
    found: dict[str, Any] = {}
    for file in sorted(file for folder in MEASUREMENTS for file in (run.path / folder).glob("*.json")):
        metrics = _metrics(read_json(file), file)
        prefix = "" if file.stem == "last" else f"{file.stem}:"
        found |= {f"{prefix}{key}": value for key, value in metrics.items()}
    return found


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, by dotted key; lists stay values.

    Example:
        >>> flatten({"model": {"objective": {"beta": 4}}, "seed": 0})
        {'model.objective.beta': 4, 'seed': 0}

    """
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
