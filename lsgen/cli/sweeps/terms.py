"""The terms of a launch: when jobs of a sweep that wait are not run any more, and jobs that run are stopped.

They stand in sweep.json, those of the last launch hold, and every job minds them itself: before it starts, whatever
started it, and, for the end of the hours, while it runs. So they hold under every launcher, with nobody watching. A job
that is not run is skipped: that is written down, and a retry takes it up.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import isfinite
from statistics import median
from typing import Any

from lsgen.cli.errors import UsageError
from lsgen.runs import Job, RunDirectory, Sweep, flatten

__all__ = ["Terms", "skip_reason", "skipped", "stopped_in_time", "terms_of"]

_OF_THE_ATTEMPT = ("state", "time", "host", "pid", "skipped")


@dataclass(frozen=True)
class Terms:
    """The terms of a launch.

    Attributes:
        stop_at_first_failure: whether no job starts any more after one has failed since the launch.
        hours: that the launch has, waiting in queues included; None where there is no limit.
        killed_is_failed: whether a job whose process was killed has failed, as nobody starts it again.
        since: when the sweep was launched, in nanoseconds since 1970.

    """

    stop_at_first_failure: bool = False
    hours: float | None = None
    killed_is_failed: bool = False
    since: int = field(default_factory=time.time_ns)

    def __post_init__(self) -> None:
        if self.hours is not None and not (isfinite(self.hours) and self.hours > 0):
            raise UsageError(f"expected a finite number of --hours above 0, got {self.hours:g}")

    @classmethod
    def given(cls, flags: dict[str, str]) -> Terms:
        """Return the terms that `--stop-at-first-failure` and `--hours N` of a command line ask for.

        Raises:
            UsageError: the hours are no number above 0.

        """
        try:
            hours = float(flags["--hours"]) if "--hours" in flags else None
        except ValueError as error:
            raise UsageError(f"expected --hours to be a number, got {flags['--hours']!r}") from error
        return cls("--stop-at-first-failure" in flags, hours)

    @property
    def until(self) -> float | None:
        """The end of the hours, in seconds since 1970."""
        return None if self.hours is None else self.since / 1e9 + 3600 * self.hours

    def record(self) -> dict[str, Any]:
        """Return plain containers for sweep.json."""
        return asdict(self)


def terms_of(sweep: Sweep) -> Terms:
    """Return the terms of the last launch of a sweep."""
    return Terms(**sweep.about.get("terms", {"since": 0}))


def skip_reason(sweep: Sweep, job: Job | None = None) -> str | None:
    """Return why a job is not to be started; None where it is.

    Args:
        sweep: the sweep, as it was read after its last launch.
        job: the job; None for one that nothing is known about.

    """
    terms = terms_of(sweep)
    if terms.stop_at_first_failure:
        for other in sweep.jobs:
            if _failed(sweep.run(other), terms):
                return f"job {other.number} failed"
    if terms.until is None:
        return None
    left = terms.until - time.time()
    if left <= 0:
        return f"the {terms.hours:g} hours of the sweep are over"
    needed = 0.0 if job is None else _seconds_needed(sweep, sweep.run(job))
    if needed > left:
        return f"about {needed:.0f} s are needed and {left:.0f} s are left of the {terms.hours:g} hours of the sweep"
    return None


def skipped(sweep: Sweep, job: Job) -> bool:
    """Return whether a job is not to be started; then this is written down and told."""
    if (reason := skip_reason(sweep, job)) is None:
        return False
    run = sweep.run(job)
    status = run.status()
    kept = {key: value for key, value in status.items() if key not in _OF_THE_ATTEMPT}
    run.set_status("created" if status["state"] == "created" else "interrupted", **kept, skipped=reason)
    print(f"skipped  {run.path}: {reason}", flush=True)
    return True


@contextmanager
def stopped_in_time(sweep: Sweep) -> Iterator[threading.Event]:
    """Send this process SIGUSR2, on which training saves and stops, when the hours of the sweep are over.

    Yields:
        An event that is set if that happened.

    """
    over, until = threading.Event(), terms_of(sweep).until
    if until is None:
        yield over
        return

    def stop() -> None:
        over.set()
        os.kill(os.getpid(), signal.SIGUSR2)

    timer = threading.Timer(min(max(0.0, until - time.time()), threading.TIMEOUT_MAX), stop)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()


def _failed(run: RunDirectory, terms: Terms) -> bool:
    """Return whether a run has failed, or was killed, since the launch."""
    state = run.status()["state"]
    if state not in ("failed", "running") or run.status_file.stat().st_mtime_ns <= terms.since:
        return False
    return state == "failed" or (terms.killed_is_failed and not run.is_locked())


def _seconds_needed(sweep: Sweep, run: RunDirectory) -> float:
    """Estimate how long a job takes: as the median of those of the sweep that finished, less what it has done.

    It is 0 as long as none has finished.
    """
    every = [sweep.run(job).status() for job in sweep.jobs]
    took = [float(status["seconds"]) for status in every if status["state"] == "finished" and status.get("seconds")]
    if not took:
        return 0.0
    steps, most = run.status().get("generator_steps", 0), flatten(run.config()).get("model.max_steps")
    done = steps / most if isinstance(most, int) and most > 0 else 0.0
    return median(took) * max(0.0, 1 - done)
