"""A job of a sweep, in the process that was started for it; after an interruption the scheduler restarts it.

A scheduler tells a job that its time is up by SIGTERM (preemption, cancellation) or SIGUSR2 (time limit ahead). While
training, the checkpoint callback saves between two batches and stops; at any other time there is nothing to save and
the job stops at once. Then it asks SLURM to requeue it, unless it was cancelled.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from lsgen.cli.errors import FAILURE, INTERRUPTED, OK
from lsgen.cli.ranks import is_first_process, processes
from lsgen.cli.sweeps.best_run import link_best
from lsgen.cli.sweeps.terms import skipped, stopped_in_time
from lsgen.cli.task import execute
from lsgen.runs import Job, RunDirectory, Sweep, now, redact

__all__ = ["run_jobs"]

_PRELOADED = ("pytorch_lightning", "torchmetrics", "hydra.utils", "lsgen.callbacks", "lsgen.data", "lsgen.models")
_LOCK_SECONDS = 20.0


class _Stopped(SystemExit):
    """Stop by a signal at a time when nothing has to be saved."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum

    def __str__(self) -> str:
        return f"by {signal.Signals(self.signum).name}"


def run_jobs(path: str, numbers: Sequence[int]) -> int:
    """Run jobs of a sweep one after another and return the exit code of the worst.

    Args:
        path: the sweep.
        numbers: of the jobs; several are forked from this process, which has imported what they all need.

    Raises:
        RunError: there is no such sweep.

    """
    if int(os.environ.get("LOCAL_RANK", 0)) > 0 and "LSGEN_RUN_DIR" in os.environ:
        return execute(RunDirectory.open(os.environ["LSGEN_RUN_DIR"]))
    sweep = Sweep.open(path)
    if len(numbers) == 1:
        return _run(sweep, sweep.jobs[numbers[0]])
    for module in _PRELOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what forks share stays shared, and none of them looks through it for garbage
    launcher, worst = os.getppid(), OK
    for number in numbers:
        if os.getppid() != launcher:  # nobody is waiting for the rest
            return INTERRUPTED
        code = _forked(sweep, sweep.jobs[number])
        if code >= INTERRUPTED:
            return code
        worst = worst or code
    return worst


def _forked(sweep: Sweep, job: Job) -> int:
    """Run a job in a fork and return its exit code; a fork that was killed counts as failed."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = FAILURE
        try:
            code = _run(sweep, job)
        except BaseException:  # noqa: BLE001 (nothing may return into the parent's code)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    while True:
        try:
            _, status = os.waitpid(child, 0)
        except KeyboardInterrupt:  # the child has got it too, and saves
            continue
        code = os.waitstatus_to_exitcode(status)
        return FAILURE if code < 0 else code


def _run(sweep: Sweep, job: Job) -> int:
    run = sweep.run(job)
    os.environ.update(job.variables)
    if not is_first_process(run):
        return _follow(run)
    if not run.wait_until_free(_LOCK_SECONDS):  # its former process may be just ending
        print(f"running  {run.path}: another process trains it", flush=True)
        return OK
    if (state := run.status()["state"]) in ("finished", "pruned"):
        print(f"{state:<8} {run.path}: nothing is left to train", flush=True)
        return OK
    if skipped(sweep, job):
        return OK if processes(run) == 1 else FAILURE  # srun ends the others, which wait for this one
    run.record_attempt(
        {
            "time": now(),
            "host": socket.gethostname(),
            "argv": [redact(argument) for argument in sys.argv],
            "scheduler_job": _array_task(),
            "overrides": {},
        }
    )
    with _stopping(), stopped_in_time(sweep) as over:
        try:
            code = execute(run)
        except _Stopped as stop:
            run.set_status("interrupted")
            code = int(stop.code or FAILURE)
    if code == OK:
        link_best(sweep)
    if code > INTERRUPTED and over.is_set():
        print(f"stopped  {run.path}: the hours of the sweep are over", flush=True)
        return FAILURE
    if code > INTERRUPTED and _array_task() is not None:
        _requeue(run)
    return code


def _follow(run: RunDirectory) -> int:
    """Train as one process of several; the first one records the state of the run, unless this one fails alone."""
    with _stopping():
        try:
            return execute(run)
        except (KeyboardInterrupt, SystemExit):
            return OK  # srun would kill the others, which are saving
        except Exception as error:
            if run.status()["state"] == "running":
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                run.set_status("failed", error=reason, traceback="".join(traceback.format_exception(error)))
            raise


@contextmanager
def _stopping() -> Iterator[None]:
    """Have SIGTERM and SIGUSR2 raise `_Stopped` inside; training takes both over while it runs."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise _Stopped(signum)

    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGUSR2)}
    try:
        yield
    finally:
        for number in former:  # what comes now must not keep the job from being requeued
            signal.signal(number, signal.SIG_IGN)


def _array_task() -> str | None:
    """Return SLURM's name of this job; None if SLURM did not start it."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else None


def _requeue(run: RunDirectory) -> None:
    """Put this job back into SLURM's queue, unless it was cancelled or has been requeued too often."""
    job, limit = str(_array_task()), int(os.environ.get("LSGEN_MAX_REQUEUES", 0))
    if limit == 0 or not _is_running(job):
        return
    if int(os.environ.get("SLURM_RESTART_COUNT", 0)) >= limit:
        error = f"interrupted after {limit} requeues, which is as many as hydra.launcher.max_requeues admits"
        run.set_status("failed", **{key: value for key, value in run.status().items() if key in _KEPT}, error=error)
        print(f"lsgen: {error}", file=sys.stderr, flush=True)
        return
    with suppress(OSError):
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
        print(f"requeued {job} {done.stderr.strip()}", flush=True)
        if done.returncode == 0:
            return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)  # SLURM requeues a preempted job that it has to kill, not one that ends by itself


_KEPT = ("generator_steps",)


def _is_running(job: str) -> bool:
    """Return whether SLURM considers this job running; a cancelled one is not."""
    with suppress(OSError):
        done = subprocess.run(
            ["scontrol", "show", "job", "--oneliner", job], capture_output=True, text=True, check=False
        )
        return "JobState=RUNNING" in done.stdout or done.returncode != 0
    return True
