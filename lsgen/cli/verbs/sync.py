"""`lsgen sync`: upload the offline W&B runs of a sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from lsgen.cli.errors import FAILURE, OK, UsageError
from lsgen.runs import RunDirectory, find_runs

__all__ = ["run", "segments"]

_USAGE = """usage: lsgen sync RUNS ... [--dry-run]

Upload the W&B runs that were made offline, with `wandb sync`: what an interrupted and resumed run wrote goes to one
run, in the order in which it was written; what has been uploaded already is passed over. RUNS are sweeps, run
directories, or quoted patterns such as 'runs/**'.

  --dry-run   list what would be uploaded

  lsgen sync sweeps/beta"""
_AT_ONCE = 200  # paths of one `wandb sync`


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    patterns = [argument for argument in arguments if not argument.startswith("-")]
    flags = set(arguments) - set(patterns)
    if flags - {"--dry-run"}:
        raise UsageError(f"expected --dry-run, got {' '.join(sorted(flags))}")
    waiting = list(segments(find_runs(patterns)))
    if not waiting:
        print("nothing to upload: no offline W&B runs that have not been uploaded")
        return OK
    if flags:
        print("\n".join(map(str, waiting)))
        return OK
    for start in range(0, len(waiting), _AT_ONCE):
        code = _upload(waiting[start : start + _AT_ONCE])
        if code != OK:
            return code
    return OK


def segments(runs: Iterable[RunDirectory]) -> list[Path]:
    """Return the directories of offline W&B runs that are not uploaded yet, those of one run ordered by time."""
    return [
        folder
        for run in runs
        for folder in sorted(run.path.glob("wandb/offline-run-*"))
        if not any(folder.glob("*.wandb.synced"))
    ]


def _upload(folders: Sequence[Path]) -> int:
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_MODE"}
    command = [sys.executable, "-m", "wandb", "sync", "--yes", *map(str, folders)]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
    return OK if done.returncode == 0 else FAILURE
