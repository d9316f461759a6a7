"""A cache of the rows of runs, valid while their files do not change."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from lsgen.runs.directory import MEASUREMENTS, RunDirectory
from lsgen.runs.files import read_json, to_json, write_atomically

__all__ = ["INDEX", "cached_rows"]

INDEX = ".index.json"
_PASSING = ("running", "interrupted", "unreadable")  # states that may change while no file does


def cached_rows(runs: Sequence[RunDirectory], read: Callable[[RunDirectory], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return `read(run)` for every run, from the cache if its files have not changed.

    The index is written where it can be: a directory that can only be read is read anew each time.

    Args:
        runs: the runs.
        read: makes the row of one, with the keys "run", its path, and "state".

    """
    kept = {parent: _kept(parent / INDEX) for parent in dict.fromkeys(run.path.parent for run in runs)}
    with ThreadPoolExecutor(max_workers=8) as pool:
        stamps = list(pool.map(_stamp, runs))
    rows, fresh = [], False
    for run, stamp in zip(runs, stamps, strict=True):
        entry = kept[run.path.parent].get(run.path.name, {})
        if entry.get("stamp") == stamp:
            rows.append({**_unpacked(entry), "run": str(run.path)})
            continue
        rows.append(read(run))
        if rows[-1]["state"] not in _PASSING:
            kept[run.path.parent][run.path.name] = {"stamp": stamp, **_packed(rows[-1])}
            fresh = True
    for parent, entries in kept.items() if fresh else ():
        with suppress(OSError):
            write_atomically(parent / INDEX, to_json(entries, default=str))
    return rows


def _kept(file: Any) -> dict[str, Any]:
    try:
        return read_json(file)
    except (OSError, ValueError):  # unreadable or damaged: read everything anew
        return {}


def _packed(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as JSON, with NaN and infinities kept separately."""
    odd = {key: str(value) for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)}
    return {"row": row, "not_finite": odd}


def _unpacked(entry: dict[str, Any]) -> dict[str, Any]:
    return entry["row"] | {key: float(value) for key, value in entry.get("not_finite", {}).items()}


def _stamp(run: RunDirectory) -> list[list[int]]:
    """Return a stamp that changes whenever one of the files of a row is written."""
    stamp = []
    folders = (run.path / folder for folder in MEASUREMENTS)
    for file in (run.config_file, run.provenance_file, run.status_file, run.metrics_file, *folders):
        try:
            about = file.stat()
            stamp.append([about.st_mtime_ns, about.st_size, about.st_ino])
        except FileNotFoundError:
            stamp.append([])
    return stamp
