"""Launcher that runs several jobs at a time on this machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from lsgen.cli.errors import UsageError
from lsgen.cli.launchers.base import BlockingLauncher, run_job
from lsgen.runs import Job, Sweep

__all__ = ["Joblib"]


@dataclass(frozen=True)
class Joblib(BlockingLauncher):
    """Runs `n_jobs` jobs at a time, each a process of its own with its share of the cores.

    What a job prints goes into logs/NUMBER.log of the sweep.

    Args:
        n_jobs: as joblib counts: 2 is two at a time, -1 one for each core.
        threads: threads of each job; the cores divided by `n_jobs` where it is None.

    """

    n_jobs: int = -1
    threads: int | None = None

    def run(self, sweep: Sweep, jobs: Sequence[Job]) -> None:
        """Run the jobs; joblib's threads do nothing but wait for processes, so a job that is killed harms no other."""
        from joblib import Parallel, cpu_count, delayed, effective_n_jobs

        if self.n_jobs == 0:
            raise UsageError("expected hydra.launcher.n_jobs of at least 1, or below 0 to count from the cores, got 0")
        at_once = min(effective_n_jobs(self.n_jobs), len(jobs))
        threads = str(self.threads or max(1, cpu_count() // at_once))
        stopped = threading.Event()

        def work(job: Job) -> None:
            if not stopped.is_set():
                run_job(sweep, job, {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads})

        try:
            Parallel(n_jobs=at_once, backend="threading")(delayed(work)(job) for job in jobs)
        except KeyboardInterrupt:
            stopped.set()
            raise
