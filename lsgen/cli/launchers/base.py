"""Base classes of launchers, and the command and environment of a job.

Whatever starts it, a job is one command, `lsgen sweep job SWEEP NUMBER`, run with the code that was copied at
submission. It may be started twice, or again after any kill: it goes on where its run directory stands.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lsgen.cli.errors import OK
from lsgen.cli.sweeps.terms import skipped
from lsgen.runs import Job, Sweep

__all__ = ["BlockingLauncher", "JobLauncher", "Scheduler", "job_command", "job_environment", "run_job"]

_NOT_INHERITED = ("LSGEN_RUN_DIR", "LSGEN_SWEEP_DIR", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class JobLauncher(ABC):  # noqa: B024 (its two kinds have the abstract methods)
    """Abstract launcher of the jobs of a sweep; its fields are the keys of its yaml.

    Attributes:
        restarts_jobs: whether a job whose process dies, or its node, is started again without being told to.

    """

    restarts_jobs: ClassVar[bool] = False

    def queue(self, sweep: Sweep) -> dict[int, str]:
        """Return "queued" or "running" for the jobs that a scheduler holds."""
        return {}

    def cancel(self, sweep: Sweep, numbers: Sequence[int]) -> None:
        """Stop the given jobs, after a save if they run, and the launchers on this machine that started them."""
        for claim in sweep.claims():
            if claim["host"] == socket.gethostname() and set(claim["jobs"]) & set(numbers):
                _terminate(claim["pid"])
        for number in numbers:
            run = sweep.run(sweep.jobs[number])
            status = run.status()
            if status["state"] == "running" and status.get("host") == socket.gethostname() and run.is_locked():
                _terminate(status["pid"])


class BlockingLauncher(JobLauncher):
    """Abstract launcher that runs jobs and returns when they have ended."""

    @abstractmethod
    def run(self, sweep: Sweep, jobs: Sequence[Job]) -> None:
        """Run all jobs; a job that fails does not stop the others.

        Raises:
            KeyboardInterrupt: after Ctrl-C, when the jobs that ran have saved.

        """


class Scheduler(JobLauncher):
    """Abstract launcher that submits jobs to a queue, which runs them later, and returns."""

    @abstractmethod
    def submit(self, sweep: Sweep, jobs: Sequence[Job]) -> None:
        """Submit the jobs and return.

        Raises:
            UsageError: the scheduler refuses, with its own words.

        """


def job_command(sweep: Sweep, numbers: Sequence[int], python: str = sys.executable) -> list[str]:
    """Return the command that runs jobs one after another."""
    return [python, "-m", "lsgen.cli", "sweep", "job", str(sweep.path), *map(str, numbers)]


def code_path(sweep: Sweep, job: Job) -> str:
    """Return a PYTHONPATH on which the copy of the code that was made for a job comes first."""
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(sweep.code / job.code), *([inherited] if inherited else [])])


def job_environment(sweep: Sweep, job: Job) -> dict[str, str]:
    """Return the environment of a job that this process starts."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return {**kept, "PYTHONPATH": code_path(sweep, job), "PYTHONSAFEPATH": "1"}


def run_job(sweep: Sweep, job: Job, more: Mapping[str, str] | None = None) -> int:
    """Run one job in its own process, with its output in a log file, and return its exit code, 0 if it is skipped."""
    if skipped(sweep, job):
        return OK
    sweep.logs.mkdir(exist_ok=True)
    with open(sweep.logs / f"{job.number:03d}.log", "ab") as log:
        return subprocess.call(
            job_command(sweep, [job.number]),
            cwd=working_directory(sweep),
            env={**job_environment(sweep, job), **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def working_directory(sweep: Sweep) -> Any:
    """Return the directory of the first launch, to which paths of the sweep are relative; None if it is gone."""
    place = sweep.about.get("cwd")
    return place if place and os.path.isdir(place) else None


def _terminate(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
