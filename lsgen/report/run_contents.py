"""The contents of a run directory whose files may be missing or damaged."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lsgen.runs import RunDirectory, RunError, read_json, read_yaml, redact, unescaped

__all__ = ["Medium", "Run", "collect"]

T = TypeVar("T")


@dataclass(frozen=True)
class Medium:
    """A picture or a sound of one step."""

    step: int
    path: Path


@dataclass
class Run:
    """The contents of a run directory.

    Attributes:
        path: the run directory.
        config_text: the frozen config as it was written; empty where there is none.
        config: the same, parsed.
        provenance: where it came from.
        status: how it ended.
        curves: finite values by key, each with its step, in order.
        latest: the last value logged under each key and its step, finite or not.
        media: pictures by key, in the order of their steps.
        sounds: the latest sound of each key.
        tables: the latest table of numbers and text of each key, its headings first.
        evaluations: the evaluation of each checkpoint, by its name.
        geometries: the geometry of each checkpoint, by its name.
        analyses: the analysis of the codes of each checkpoint, by its name.
        problems: what could not be read, in sentences.

    """

    path: Path
    config_text: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    latest: dict[str, tuple[float, float]] = field(default_factory=dict)
    media: dict[str, list[Medium]] = field(default_factory=dict)
    sounds: dict[str, Medium] = field(default_factory=dict)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    evaluations: dict[str, dict[str, Any]] = field(default_factory=dict)
    geometries: dict[str, dict[str, Any]] = field(default_factory=dict)
    analyses: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def read(self, path: Path, reader: Callable[[Path], T], default: T) -> T:
        """Return the content of a file; if it cannot be read, note the problem and return the default."""
        if not path.exists():
            return default
        try:
            return reader(path)
        except (OSError, ValueError, RunError) as error:
            self.problems.append(f"{path.name} could not be read: {error}")
            return default


def collect(run_dir: str | Path) -> Run:
    """Read a run directory.

    Raises:
        RunError: there is no such directory, or nothing of a run in it.

    """
    directory = RunDirectory(run_dir)
    run = Run(directory.path.resolve())
    if not directory.path.is_dir():
        raise RunError(
            f"expected a run directory at {run_dir}, got {'a file' if directory.path.exists() else 'nothing'}"
        )
    run.config_text = redact(run.read(directory.config_file, lambda path: path.read_text(encoding="utf-8"), ""))
    run.config = run.read(directory.config_file, lambda path: unescaped(read_yaml(path)), {})
    run.provenance = run.read(directory.provenance_file, read_json, {})
    run.status = run.read(directory.status_file, read_json, {})
    _read_metrics(run, directory.metrics_file)
    _find_media(run, directory.figures)
    _find_tables(run, directory.figures)
    kept = {"evaluation": run.evaluations, "geometry": run.geometries, "analysis": run.analyses}
    for folder, records in kept.items():
        for file in sorted((directory.path / folder).glob("*.json")):
            records[file.stem] = run.read(file, read_json, {})
    if not (run.config_text or run.latest or run.media or run.analyses):
        raise RunError(f"expected a run at {run_dir} (config.yaml, metrics.csv or figures/), found none of these")
    return run


def _read_metrics(run: Run, path: Path) -> None:
    """Read metrics.csv; cells that are not numbers and rows without a step are skipped."""
    rows: list[dict[str, str]] = run.read(path, _table, [])
    for row in rows:
        step = _number(row.get("step"))
        if step is None or not math.isfinite(step):
            continue
        for key, cell in row.items():
            value = _number(cell)
            if value is None or key in ("step", "epoch"):
                continue
            run.latest[key] = (step, value)
            if math.isfinite(value):
                run.curves.setdefault(key, []).append((step, value))


def _table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a wide CSV file; a last line cut short, as a kill may leave it, is left out."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [row for row in csv.DictReader(lines) if None not in row and None not in row.values()]


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _find_media(run: Run, figures: Path) -> None:
    for path in sorted(figures.rglob("*")):
        if path.suffix in (".png", ".gif") and path.stem.isdigit() and path.is_file():
            key = path.parent.relative_to(figures).as_posix()
            run.media.setdefault(key, []).append(Medium(int(path.stem), path))
    for pictures in run.media.values():
        pictures.sort(key=lambda picture: picture.step)
    for path in sorted(path for path in figures.rglob("*.wav") if path.stem.isdigit() and path.is_file()):
        found, key = Medium(int(path.stem), path), path.parent.relative_to(figures).as_posix()
        run.sounds[key] = max(run.sounds.get(key, found), found, key=lambda sound: sound.step)


def as_script(data: Any) -> str:
    """Return data as JSON that is safe inside a script element, whatever text it holds."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _find_tables(run: Run, figures: Path) -> None:
    """Read the latest table of each key."""
    found = [path for path in figures.rglob("*.csv") if path.stem.isdigit() and path.is_file()]
    latest = {path.parent: path for path in sorted(found, key=lambda path: int(path.stem))}
    for folder, path in latest.items():
        run.tables[folder.relative_to(figures).as_posix()] = run.read(path, _rows, [])


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))
