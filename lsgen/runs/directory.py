"""The directory of one run: its layout, its frozen config, its provenance and its status.

config.yaml        the resolved config, frozen before anything ran; never written again
provenance.json    where the run came from, and every attempt at it
status.json        created, running, finished, pruned (by a search), failed or interrupted, with the steps reached
metrics.csv        every logged scalar, one row a log call
train.log          what the libraries had to say
checkpoints/       last.ckpt, best.ckpt
figures/           figures/<log key>/<step>.png|gif|npz
evaluation/        <checkpoint>.json, by `lsgen evaluate`
geometry/          <checkpoint>.json, by `lsgen geometry`
agreement/         <checkpoint>.json, by `lsgen agree`
wandb/             the W&B run, offline unless asked
report.html        everything on one page
earlier/           what attempts left before the run was started anew
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lsgen.runs.errors import RunError
from lsgen.runs.files import read_json, read_yaml, write_json, write_yaml
from lsgen.runs.origin import check_version, now

__all__ = ["MEASUREMENTS", "RunDirectory"]

MEASUREMENTS = ("evaluation", "geometry", "agreement")  # folders of numbers that verbs measure

_LASTING = ("config.yaml", "provenance.json", ".lock", "earlier")  # of a run that starts anew
_STATES = ("created", "running", "finished", "pruned", "failed", "interrupted")


class RunDirectory:
    """A run on disk.

    Args:
        path: the directory; `create` and `open` check what is in it.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.provenance_file = self.path / "provenance.json"
        self.status_file = self.path / "status.json"
        self.metrics_file = self.path / "metrics.csv"
        self.log_file = self.path / "train.log"
        self.checkpoints = self.path / "checkpoints"
        self.figures = self.path / "figures"
        self.report_file, self.explorer_file = self.path / "report.html", self.path / "explorer.html"
        self._before: frozenset[str] | None = None
        self._parents: list[Path] = []

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> RunDirectory:
        """Make the directory and freeze its config and provenance.

        Raises:
            RunError: the place holds a run already, or cannot be written.

        """
        run = cls(path)
        if run.config_file.exists():
            raise RunError(
                f"run_dir={path} already holds a run: continue it with `lsgen train resume={path}` "
                "or choose another place"
            )
        try:
            run._parents = [place for place in run.path.absolute().parents if not place.exists()]
            run.path.mkdir(parents=True, exist_ok=True)
            run._before = frozenset(entry.name for entry in run.path.iterdir())
            write_json(run.provenance_file, dict(provenance))
            write_yaml(run.config_file, dict(config))
            run.set_status("created")
        except OSError as error:
            if run._before is not None:
                with suppress(OSError):
                    run.discard()
            raise RunError(f"cannot write the run directory {path}: {error.strerror or error}") from error
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Return the run at `path`.

        Raises:
            RunError: there is no run, with the nearest thing that is there.

        """
        run = cls(path)
        if not run.config_file.is_file():
            raise RunError(f"expected a run directory (one that holds config.yaml) at {path}, got {run._instead()}")
        return run

    def _instead(self) -> str:
        """Describe what is found where a run directory was expected."""
        if not self.path.exists():
            return "no such file" if self.path.suffix == ".ckpt" else "no such directory"
        if not self.path.is_file():
            return "no config.yaml in it"
        around = self.path.absolute().parent.parent
        if self.path.suffix == ".ckpt" and (around / "config.yaml").is_file():
            return f"a checkpoint of the run {around}: name that, and checkpoint={self.path}"
        return "a file"

    @property
    def id(self) -> str:
        """The stable id of the run."""
        return str(self.provenance().get("id") or self.path.name)

    def config(self) -> dict[str, Any]:
        """Return the frozen config, in which values of the machine remain `${oc.env:NAME}`.

        Raises:
            RunError: config.yaml is damaged.

        """
        try:
            return read_yaml(self.config_file)
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read the frozen config of {self.path}: {error}") from error

    def provenance(self) -> dict[str, Any]:
        """Return where the run came from; empty where it was not recorded."""
        return _read(self.provenance_file)

    def check_version(self) -> None:
        """Refuse a run whose config this version cannot build; nothing is refused if no version was recorded.

        Raises:
            RunError: another series of versions of lsgen made the run.

        """
        provenance = self.provenance()
        version = provenance.get("version") or provenance.get("packages", {}).get("lsgen")  # until 0.1 among these only
        if version is not None:
            check_version(str(version), f"the run {self.path}")

    def overrides(self) -> dict[str, Any]:
        """Return what attempts at this run changed in its config, by dotted key; the latest wins."""
        attempts = self.provenance().get("attempts", [])
        return {key: value for attempt in attempts for key, value in attempt.get("overrides", {}).items()}

    def record_attempt(self, attempt: Mapping[str, Any]) -> None:
        """Add one attempt (its argv, host, time, overrides) to the provenance."""
        provenance = self.provenance()
        provenance["attempts"] = [*provenance.get("attempts", []), dict(attempt)]
        write_json(self.provenance_file, provenance)

    def status(self) -> dict[str, Any]:
        """Return the last status written: at least the key "state"."""
        return {"state": "created", **_read(self.status_file)}

    def set_status(self, state: str, **details: Any) -> None:
        """Write the status.

        Raises:
            ValueError: the state is not a known one.

        """
        if state not in _STATES:
            raise ValueError(f"expected a state among {', '.join(_STATES)}, got {state!r}")
        place = {"time": now(), "host": socket.gethostname(), "pid": os.getpid()}
        write_json(self.status_file, {"state": state, **place, **details})

    def checkpoint(self, which: str = "last") -> Path:
        """Return the file of a checkpoint.

        Args:
            which: "last", "best", or a path, taken from the current directory or else from the run directory.

        Raises:
            RunError: there is no such checkpoint, with those that there are.

        """
        named = self.checkpoints / f"{which}.ckpt"
        candidates = (
            [named] if which in ("last", "best") else [Path(which), self.path / which, self.checkpoints / which]
        )
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        there = ", ".join(sorted(file.name for file in self.checkpoints.glob("*.ckpt"))) or "none"
        raise RunError(f"expected checkpoint=best, last or a file, got {which!r}; checkpoints in {self.path}: {there}")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the run for this process; the kernel releases the lock however the process ends.

        Processes that it starts meanwhile share the open file and may live longer; they do not hold the run.

        Raises:
            RunError: another process trains this run.

        """
        with open(self.path / ".lock", "a+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                status = self.status()
                raise RunError(
                    f"the run {self.path} is being trained by process {status.get('pid')} on {status.get('host')}"
                ) from error
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def is_locked(self) -> bool:
        """Tell whether some process trains this run now."""
        try:
            with self.lock():
                return False
        except RunError:
            return True
        except OSError:
            return False

    def wait_until_free(self, seconds: float = math.inf) -> bool:
        """Wait while another process trains this run, so many seconds at most; return whether none does any more."""
        until = time.monotonic() + seconds
        while self.is_locked():
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return True

    def set_aside(self) -> Path:
        """Move all that attempts at this run left to a folder in it, so that it starts anew, and return the folder.

        Raises:
            RunError: another process trains this run.

        """
        with self.lock():
            place = self.path / "earlier" / now().replace(":", "-")
            place.mkdir(parents=True)
            for entry in list(self.path.iterdir()):
                if entry.name not in _LASTING:
                    entry.rename(place / entry.name)
            self.set_status("created")
        return place

    def discard(self) -> None:
        """Remove the files of a run that never took a step; files from before `create` are kept.

        Raises:
            ValueError: this object did not create the run.

        """
        if self._before is None:
            raise ValueError(f"expected a run created here, got one opened at {self.path}")
        for entry in self.path.iterdir():
            if entry.name in self._before:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        for place in (self.path, *self._parents):
            if any(place.iterdir()):
                return
            place.rmdir()


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except ValueError as error:
        raise RunError(f"cannot read {path}: {error}") from error
