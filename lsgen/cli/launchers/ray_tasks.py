"""Launcher that runs jobs as tasks of a Ray cluster."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lsgen.cli.errors import UsageError
from lsgen.cli.launchers.base import BlockingLauncher, run_job
from lsgen.runs import Job, Sweep

__all__ = ["Ray"]


@dataclass(frozen=True)
class Ray(BlockingLauncher):
    """Runs each job as a task that asks Ray for CPUs and GPUs and starts the job's own process.

    What a job prints goes into logs/NUMBER.log of the sweep, whose directory all nodes must see.

    Args:
        address: of a running cluster, such as "auto"; a cluster on this machine is started where it is None.
        num_cpus: CPUs of each job.
        num_gpus: GPUs of each job; a fraction shares one.
        max_retries: how often Ray starts a job again whose node died; it goes on from its last checkpoint.

    """

    restarts_jobs: ClassVar[bool] = True

    address: str | None = None
    num_cpus: float = 1
    num_gpus: float = 0
    max_retries: int = 3

    def run(self, sweep: Sweep, jobs: Sequence[Job]) -> None:
        """Run the jobs as tasks; a Ray that was started here is stopped in the end."""
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise UsageError("hydra/launcher=ray needs Ray: pip install 'lsgen[ray]'") from error
        started = self._connect(ray)
        options = {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus, "max_retries": self.max_retries}
        task = ray.remote(**options)(_work)
        threads = str(max(1, int(self.num_cpus)))
        waiting = [task.remote(str(sweep.path), job.number, threads) for job in jobs]
        try:
            while waiting:
                done, waiting = ray.wait(waiting)
                _gather(ray, done)
        finally:
            if started:
                ray.shutdown()

    def _connect(self, ray: Any) -> bool:
        """Return whether this process connected, and thus has to disconnect."""
        if ray.is_initialized():
            return False
        local = {} if self.address else {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", **local)
        return True


def _gather(ray: Any, done: Sequence[Any]) -> None:
    """Take finished tasks; one whose node died too often leaves its job stopped, to be retried."""
    for reference in done:
        try:
            ray.get(reference)
        except ray.exceptions.RayError as error:
            print(f"lsgen: a Ray task ended without its job: {str(error).splitlines()[0]}", flush=True)


def _work(path: str, number: int, threads: str) -> int:
    sweep = Sweep.open(path)
    return run_job(sweep, sweep.jobs[number], {"OMP_NUM_THREADS": threads})
