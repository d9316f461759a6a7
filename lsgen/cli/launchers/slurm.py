"""Launcher that runs jobs as array tasks of SLURM, requeued after preemption, a time limit or a node failure."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from lsgen.cli.errors import UsageError
from lsgen.cli.launchers.base import Scheduler, code_path, working_directory
from lsgen.runs import Job, Sweep, literal_secrets, write_atomically

__all__ = ["Slurm", "ranges"]

_RUNNING = {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"}
_SCRIPT = """#!/usr/bin/env bash
# {command}
set -uo pipefail
{setup}
export PYTHONPATH={code} PYTHONSAFEPATH=1 LSGEN_MAX_REQUEUES={max_requeues}
trap : TERM USR2   # the job's own processes answer
srun --kill-on-bad-exit=1 {prefix}{python} -m lsgen.cli sweep job {sweep} $(($1 + SLURM_ARRAY_TASK_ID))
"""


@dataclass(frozen=True)
class Slurm(Scheduler):
    """Submits all jobs that need the same nodes as one array. conf/hydra/launcher/slurm.yaml explains the keys."""

    restarts_jobs: ClassVar[bool] = True

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: str | int | None = None
    gpus_per_node: int | None = None
    gpu_type: str | None = None
    cpus_per_task: int | None = None
    mem: str | None = None
    array_parallelism: int | None = None
    requeue: bool = True
    max_requeues: int = 100
    signal_seconds: int = 90
    python: str | None = None
    command_prefix: str | None = None
    setup: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()

    def __post_init__(self) -> None:
        if secrets := literal_secrets({"environment": dict(self.environment)}):
            raise UsageError(
                f"hydra.launcher.{secrets[0]} looks like a secret, and a sweep keeps it: export it instead"
            )
        if isinstance(self.time, int):
            raise UsageError(
                f"expected hydra.launcher.time as text such as '4:00:00', got the number {self.time}: "
                "yaml reads 4:00:00 without quotes as seconds"
            )

    def submit(self, sweep: Sweep, jobs: Sequence[Job]) -> None:
        """Submit the jobs as few arrays."""
        sweep.logs.mkdir(exist_ok=True)
        size = _array_size()

        def kind(job: Job) -> tuple[Any, ...]:
            return job.number // size, job.code, job.nodes, self._tasks(job), self._gpus(job)

        for (chunk, *_), group in groupby(sorted(jobs, key=kind), key=kind):
            together = list(group)
            offset = chunk * size
            indices = ranges([job.number - offset for job in together])
            parallel = "" if self.array_parallelism is None else f"%{self.array_parallelism}"
            command = ["sbatch", "--parsable", f"--array={indices}{parallel}", f"--comment={offset}"]
            command += self._options(sweep, together[0])
            script = self._script(sweep, together[0], shlex.join(command))
            number = _ask(*command, str(script), str(offset)).strip().split(";")[0]
            print(f"submitted {len(together)} job(s) as SLURM job {number}", flush=True)

    def queue(self, sweep: Sweep) -> dict[int, str]:
        """Return the states of the sweep's jobs in SLURM's queue."""
        found = {}
        for line in _ask("squeue", "--noheader", "--array", f"--name={_name(sweep)}", "--format=%T|%k|%K").splitlines():
            state, offset, index = line.strip().split("|")
            if index.isdigit():
                found[int(offset) + int(index)] = "running" if state in _RUNNING else "queued"
        return found

    def cancel(self, sweep: Sweep, numbers: Sequence[int]) -> None:
        """Cancel array tasks; those that run are given SLURM's KillWait to save."""
        wanted = set(numbers)
        lines = _ask("squeue", "--noheader", "--array", f"--name={_name(sweep)}", "--format=%i|%k|%K").splitlines()
        tasks = [line.strip().split("|") for line in lines]
        found = [task for task, offset, index in tasks if index.isdigit() and int(offset) + int(index) in wanted]
        if found:
            _ask("scancel", *found)

    def _tasks(self, job: Job) -> int:
        """Return the processes on each node: one for each device."""
        devices = job.devices
        if isinstance(devices, str) and devices.lstrip("-").isdigit():
            devices = int(devices)
        if devices in ("auto", -1):
            return self.gpus_per_node or 1
        return int(devices)

    def _gpus(self, job: Job) -> int:
        if self.gpus_per_node is not None:
            return self.gpus_per_node
        return self._tasks(job) if job.accelerator in ("gpu", "cuda") else 0

    def _options(self, sweep: Sweep, job: Job) -> list[str]:
        """Return the options of sbatch."""
        gpus = self._gpus(job)
        asked = {
            "job-name": _name(sweep),
            "output": f"{str(sweep.logs).replace('%', '%%')}/%A_%a.log".replace("\\", "\\\\"),
            "open-mode": "append",
            "chdir": working_directory(sweep),
            "nodes": job.nodes,
            "ntasks-per-node": self._tasks(job),
            "cpus-per-task": self.cpus_per_task,
            "gres": ":".join(["gpu", *([self.gpu_type] if self.gpu_type else []), str(gpus)]) if gpus else None,
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "time": self.time,
            "mem": self.mem,
            "signal": f"USR2@{self.signal_seconds}",
        }
        requeue = "--requeue" if self.requeue else "--no-requeue"
        return [*(f"--{key}={value}" for key, value in asked.items() if value is not None), requeue, *self.options]

    def _script(self, sweep: Sweep, job: Job, command: str) -> Path:
        """Write the batch script, named by a hash of its content."""
        setup = [*(f"export {name}={shlex.quote(str(value))}" for name, value in self.environment.items()), *self.setup]
        text = _SCRIPT.format(
            command=command,
            setup="\n".join(setup),
            code=shlex.quote(code_path(sweep, job)),
            max_requeues=self.max_requeues if self.requeue else 0,
            prefix=f"{self.command_prefix} " if self.command_prefix else "",
            python=shlex.quote(self.python or sys.executable),
            sweep=shlex.quote(str(sweep.path)),
        )
        place = sweep.path / "slurm" / f"{blake2b(text.encode(), digest_size=6).hexdigest()}.sh"
        place.parent.mkdir(exist_ok=True)
        write_atomically(place, text)
        return place


def ranges(numbers: Sequence[int]) -> str:
    """Return sorted numbers as SLURM writes them.

    Example:
        >>> ranges([0, 1, 2, 5, 7, 8])
        '0-2,5,7-8'

    """
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in _runs(sorted(set(numbers))))


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in group]
        yield members[0], members[-1]


def _name(sweep: Sweep) -> str:
    return f"lsgen-{sweep.id}"


def _array_size() -> int:
    """Return how many indices an array of this cluster can have."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"))
    return int(found[1]) if found else 1001


def _ask(*command: str) -> str:
    """Return the output of a SLURM command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError as error:
        raise UsageError(f"hydra/launcher=slurm needs SLURM's {command[0]} on the PATH") from error
    if done.returncode:
        raise UsageError(f"{command[0]} refused: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
