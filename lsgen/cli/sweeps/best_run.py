"""SWEEP/best, a link to the best finished run of a sweep, by the metric and direction that the sweep names."""

from __future__ import annotations

import os
from contextlib import suppress
from math import isfinite
from typing import NamedTuple

from lsgen.cli.errors import UsageError
from lsgen.runs import RunDirectory, Sweep

__all__ = ["Best", "criterion", "link_best", "name_criterion"]

_LINK = "best"
_DEFAULT = ("val/elbo", True)


class Best(NamedTuple):
    """The best run of a sweep, the metric that says so, and its value."""

    run: RunDirectory
    metric: str
    value: float


def criterion(text: str) -> tuple[str, bool]:
    """Return the metric that `best=[-]KEY` names, and whether the largest is best.

    Raises:
        UsageError: it names none.

    """
    if not (metric := text.removeprefix("-")):
        raise UsageError(f"expected best=KEY, or best=-KEY for the smallest, got best={text}")
    return metric, not text.startswith("-")


def name_criterion(sweep: Sweep, metric: str, largest: bool) -> None:
    """Note in a sweep's record what decides on its best run; `sweep.save` writes it down."""
    sweep.about["best"] = {"metric": metric, "largest": largest}


def link_best(sweep: Sweep) -> Best | None:
    """Have SWEEP/best lead to the best finished run, and return it; None, and no link, where there is none.

    A directory or file of that name, such as a copy of a sweep has where links were followed, is left as it is.

    Runs are judged by the metrics with which they finished. A sweep that names no metric is judged by the largest
    val/elbo if all of its finished runs have one. Of several that are equally good the first job is taken.
    """
    with sweep.lock():
        found = _best(sweep)
        link = sweep.path / _LINK
        if found is None:
            if link.is_symlink():
                link.unlink()
            return None
        if link.is_symlink() and os.readlink(link) == found.run.path.name:
            return found
        if link.exists() and not link.is_symlink():
            return found
        partial = sweep.path / f".{_LINK}.{os.getpid()}"
        with suppress(FileNotFoundError):
            partial.unlink()
        partial.symlink_to(found.run.path.name, target_is_directory=True)
        partial.replace(link)
        return found


def _best(sweep: Sweep) -> Best | None:
    named = sweep.about.get("best")
    metric, largest = (named["metric"], named["largest"]) if named else _DEFAULT
    measured, lacking = [], False
    for job in sweep.jobs:
        run = sweep.run(job)
        status = run.status()
        value = status.get("metrics", {}).get(metric)
        if status["state"] == "finished":
            lacking |= metric not in status.get("metrics", {})
            if isinstance(value, int | float) and isfinite(value):
                measured.append(Best(run, metric, float(value)))
    if not measured or (lacking and not named):
        return None
    return (max if largest else min)(measured, key=lambda one: one.value)
