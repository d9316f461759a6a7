"""Launcher that runs one job after another on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lsgen.cli.launchers.base import BlockingLauncher, job_command, job_environment, working_directory
from lsgen.runs import Job, Sweep

__all__ = ["Local"]


@dataclass(frozen=True)
class Local(BlockingLauncher):
    """Runs the jobs one after another, each in a process of its own, forked from one that has torch imported.

    What the jobs print goes to the terminal.
    """

    def run(self, sweep: Sweep, jobs: Sequence[Job]) -> None:
        """Run the jobs, those with the same code from one process."""
        for _, group in groupby(jobs, key=lambda job: job.code):
            together = list(group)
            process = subprocess.Popen(
                job_command(sweep, [job.number for job in together]),
                cwd=working_directory(sweep),
                env=job_environment(sweep, together[0]),
            )
            try:
                process.wait()
            except KeyboardInterrupt:
                process.wait()
                raise
