"""The directory of a sweep: its jobs, frozen when they were submitted, and their states.

sweep.json         the id of the sweep, its launcher, and every job: overrides, run directory, code
000_NAME_ID/ ...   one run directory a job
code/DIGEST/       the code as it was at submission
logs/              what the jobs print
launchers/         a file for each launcher at work, locked by it

The state of a job is never written down: it follows from the status of its run, from who holds the run's lock, and
from what the scheduler or a launcher at work still has in its queue. So it is right after any kill.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lsgen.runs.directory import RunDirectory
from lsgen.runs.errors import RunError
from lsgen.runs.files import read_json, write_json
from lsgen.runs.origin import new_id, now

__all__ = ["STATES", "Job", "Sweep"]

STATES = ("queued", "running", "preempted", "done", "pruned", "failed", "stopped", "skipped")
_ENDED = {"finished": "done", "pruned": "pruned"}


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: its place in the sweep, from 0.
        overrides: what the command line sets for it, the job's identity within the sweep.
        run: the name of its run directory.
        code: the name of the copy of the code that it runs.
        nodes: how many machines it needs.
        devices: how many processes on each, as the trainer's config says it.
        accelerator: what the devices are, as the trainer's config says it.
        variables: environment variables that its config sets.

    """

    number: int
    overrides: tuple[str, ...]
    run: str
    code: str
    nodes: int = 1
    devices: int | str = 1
    accelerator: str = "auto"
    variables: Mapping[str, str] = field(default_factory=dict)


class Sweep:
    """A sweep on disk.

    Args:
        path: the directory; `create` and `open` read what is in it.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.file = self.path / "sweep.json"
        self.code = self.path / "code"
        self.logs = self.path / "logs"
        self.launchers = self.path / "launchers"
        self.about: dict[str, Any] = {}
        self.jobs: list[Job] = []
        self._numbers: dict[tuple[str, ...], int] = {}

    @classmethod
    def create(cls, path: str | Path) -> Sweep:
        """Return the sweep at `path`, which is created if it does not exist.

        Raises:
            RunError: the place cannot be written, or what is there cannot be read.

        """
        sweep = cls(path)
        try:
            sweep.path.mkdir(parents=True, exist_ok=True)
            with sweep.lock():
                if not sweep.file.exists():
                    write_json(sweep.file, {"id": new_id(), "created": now(), "cwd": str(Path.cwd()), "jobs": []})
        except OSError as error:
            raise RunError(f"cannot write the sweep directory {path}: {error.strerror or error}") from error
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> Sweep:
        """Return the sweep at `path`.

        Raises:
            RunError: there is none, or its sweep.json cannot be read.

        """
        sweep = cls(path)
        if not sweep.file.is_file():
            got = "no sweep.json in it" if sweep.path.is_dir() else "no such directory"
            raise RunError(f"expected the directory of a sweep (one that holds sweep.json) at {path}, got {got}")
        sweep.reload()
        return sweep

    def reload(self) -> None:
        """Read the files again, as other processes may have changed them.

        Raises:
            RunError: sweep.json is damaged.

        """
        try:
            content = read_json(self.file)
            jobs = [Job(n, tuple(entry.pop("overrides")), **entry) for n, entry in enumerate(content.pop("jobs"))]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"cannot read {self.file}: {error}") from error
        self.about, self.jobs = content, jobs
        self._numbers = {_key(job.overrides): job.number for job in jobs}

    def save(self) -> None:
        """Write the jobs and the record of the sweep."""
        entries = [asdict(job) for job in self.jobs]
        for entry in entries:
            del entry["number"]
        write_json(self.file, {**self.about, "jobs": entries})

    @property
    def id(self) -> str:
        """The id of the sweep."""
        return str(self.about["id"])

    def job_id(self, overrides: Sequence[str]) -> str:
        """Return the run id of a job: the same whenever the same job of this sweep is frozen."""
        text = json.dumps([self.id, *_key(overrides)])
        digest = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        return "".join(letters[digest // 36**place % 36] for place in range(8))

    def find(self, overrides: Sequence[str]) -> Job | None:
        """Return the job with these overrides, in whatever order; None where the sweep has none."""
        number = self._numbers.get(_key(overrides))
        return None if number is None else self.jobs[number]

    def swept(self) -> dict[str, list[str | None]]:
        """Return the settings that differ between jobs: name -> the value of each job, None where it sets none."""
        settings = [
            {name.lstrip("+~"): value for name, _, value in (override.partition("=") for override in job.overrides)}
            for job in self.jobs
        ]
        names = dict.fromkeys(name for setting in settings for name in setting)
        values = {name: [setting.get(name) for setting in settings] for name in names}
        return {name: every for name, every in values.items() if len(set(every)) > 1}

    def add(self, overrides: Sequence[str], **about: Any) -> Job:
        """Add a job, given the other attributes of `Job`; `save` writes it down."""
        job = Job(len(self.jobs), tuple(overrides), **about)
        self.jobs.append(job)
        self._numbers[_key(overrides)] = job.number
        return job

    def run(self, job: Job) -> RunDirectory:
        """Return the run directory of a job."""
        return RunDirectory(self.path / job.run)

    def states(self, queue: Mapping[int, str] | None = None) -> list[str]:
        """Return the state of every job.

        Args:
            queue: job number -> "queued" or "running", of the jobs that a scheduler knows; those of launchers at
                work are found here.

        Returns:
            "queued", "running", "preempted" (interrupted, its state saved, and queued again), "done", "pruned" (ended
            early by a search), "failed", or, where nobody is going to run it unless told, "skipped" (its turn came and
            the terms of the launch kept it from being run) or "stopped".

        """
        scheduled, claims = dict(queue or {}), self._claimed()

        def state(job: Job) -> str:
            run, queued = self.run(job), scheduled.get(job.number)
            status = run.status()
            written = "skipped" if "skipped" in status else status["state"]
            if queued is None and job.number in claims:
                had_its_turn = written in ("failed", "interrupted", "skipped")
                ended = had_its_turn and run.status_file.stat().st_mtime_ns > claims[job.number]
                queued = None if ended else "queued"
            return self._state(run, written, queued)

        with ThreadPoolExecutor(max_workers=8) as pool:
            return list(pool.map(state, self.jobs))

    @staticmethod
    def _state(run: RunDirectory, written: str, queued: str | None) -> str:
        if written in _ENDED:
            return _ENDED[written]
        if queued == "running" or (written == "running" and run.is_locked()):
            return "running"
        if queued is not None:
            return "preempted" if written in ("interrupted", "running") else "queued"
        return written if written in ("failed", "skipped") else "stopped"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the sweep to add and submit jobs; waits until it is free."""
        with open(self.path / ".lock", "a", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def claim(self, numbers: Iterable[int]) -> Iterator[None]:
        """Mark jobs as queued by this process within the context."""
        self.launchers.mkdir(exist_ok=True)
        partial = self.launchers / f"{socket.gethostname()}-{os.getpid()}.part"
        place = partial.with_suffix(".json")
        with open(partial, "w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            json.dump({"host": socket.gethostname(), "pid": os.getpid(), "jobs": sorted(numbers)}, file)
            file.flush()
            partial.rename(place)
            try:
                yield
            finally:
                place.unlink(missing_ok=True)

    def claims(self) -> list[dict[str, Any]]:
        """Return host, pid, jobs and time (ns) of every running launcher; records of dead ones are removed."""
        found = []
        for place in self.launchers.glob("*.json"):
            with suppress(FileNotFoundError), open(place, encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    place.unlink(missing_ok=True)
                except BlockingIOError:
                    found.append({**json.load(file), "time": os.fstat(file.fileno()).st_mtime_ns})
        return found

    def _claimed(self) -> dict[int, int]:
        """Return, for each job in the queue of a running launcher, the time since when it is there."""
        return {int(number): int(claim["time"]) for claim in self.claims() for number in claim["jobs"]}


def _key(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(overrides))
