"""Submission of a sweep's jobs; no job is started twice, even if several launchers run at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from lsgen.cli.launchers.base import BlockingLauncher, JobLauncher, Scheduler
from lsgen.cli.launchers.local import Local
from lsgen.cli.launchers.pool import Joblib
from lsgen.cli.launchers.ray_tasks import Ray
from lsgen.cli.launchers.slurm import Slurm
from lsgen.cli.sweeps.terms import Terms
from lsgen.runs import Job, RunError, Sweep

__all__ = ["KINDS", "describe", "launcher_of", "queue_of", "start"]

KINDS: Mapping[str, type[JobLauncher]] = {kind.__name__: kind for kind in (Local, Joblib, Slurm, Ray)}


def describe(launcher: JobLauncher) -> dict[str, Any]:
    """Return plain containers from which `launcher_of` makes the launcher again."""
    return {"kind": type(launcher).__name__, "options": asdict(launcher)}


def launcher_of(sweep: Sweep) -> JobLauncher:
    """Return the launcher that a sweep was last started with.

    Raises:
        RunError: sweep.json names none that this version has.

    """
    about = sweep.about.get("launcher", {"kind": "Local", "options": {}})
    try:
        return KINDS[about["kind"]](**about["options"])
    except (KeyError, TypeError) as error:
        raise RunError(f"expected a launcher among {', '.join(KINDS)} in {sweep.file}, got {about}") from error


def queue_of(sweep: Sweep) -> dict[int, str]:
    """Return the states "queued" or "running" of a sweep's jobs in the queues of all schedulers it was started with."""
    found: dict[int, str] = {}
    for kind in sweep.about.get("schedulers", []):
        found |= KINDS[kind]().queue(sweep)
    return found


def start(
    sweep: Sweep,
    launcher: JobLauncher,
    choose: Callable[[], Sequence[Job]],
    states: Sequence[str],
    terms: Terms | None = None,
) -> tuple[list[Job], list[str]]:
    """Start the chosen jobs that are in one of the given states; return these and the states of all jobs.

    Args:
        sweep: the sweep.
        launcher: what runs the jobs; a blocking one has run them when this returns.
        choose: called with the sweep's lock held and the sweep up to date.
        states: such as ("stopped",).
        terms: of this launch; none unless given.

    Raises:
        UsageError: the launcher refuses.

    """
    with ExitStack() as working:
        with sweep.lock():
            sweep.reload()
            chosen = choose()
            now = sweep.states(queue_of(sweep))
            todo = [job for job in chosen if now[job.number] in states]
            sweep.about["launcher"] = describe(launcher)
            sweep.about["terms"] = replace(terms or Terms(), killed_is_failed=not launcher.restarts_jobs).record()
            if isinstance(launcher, Scheduler):
                kinds = {*sweep.about.get("schedulers", []), type(launcher).__name__}
                sweep.about["schedulers"] = sorted(kinds)
            sweep.save()
            if todo and isinstance(launcher, Scheduler):
                launcher.submit(sweep, todo)
            elif todo:
                working.enter_context(sweep.claim(job.number for job in todo))
        if todo and isinstance(launcher, BlockingLauncher):
            launcher.run(sweep, todo)
        return todo, now
