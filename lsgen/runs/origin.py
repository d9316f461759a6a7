"""Provenance of a run: code, packages, command line, machine. Nothing here imports what it describes."""

from __future__ import annotations

import os
import platform
import secrets
import socket
import string
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from lsgen.runs.errors import RunError
from lsgen.runs.secrets import redact
from lsgen.version import __version__

__all__ = ["check_version", "new_id", "now", "provenance", "surroundings"]

_DIFF_LIMIT = 1_000_000


def new_id() -> str:
    """Return a fresh run id of 8 lower-case letters and digits, as Weights & Biases makes them."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


def now() -> str:
    """Return the time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance(
    run_id: str,
    seed: int | None,
    argv: Sequence[str],
    choices: Mapping[str, Any],
    overrides: Sequence[str],
    here: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe a run about to start.

    Args:
        run_id: the stable id of the run, its W&B id as well.
        seed: the seed, or None.
        argv: the command line as typed.
        choices: the config group choices, by group.
        overrides: the config overrides.
        here: what `surroundings` returned; asked for anew unless given.

    Returns:
        Plain containers; secrets of the environment and of the command line are masked.

    """
    return {
        "id": run_id,
        "created": now(),
        "seed": seed,
        "argv": [redact(argument) for argument in argv],
        "choices": {group: choice for group, choice in choices.items() if not group.startswith("hydra/")},
        "overrides": [redact(override) for override in overrides],
        **(surroundings() if here is None else here),
        "attempts": [],
    }


def surroundings() -> dict[str, Any]:
    """Return code, packages and machine: what all jobs submitted together share."""
    return {
        "version": __version__,
        "git": _git(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "cpus": os.cpu_count(),
        "packages": _packages(),
        "cwd": str(Path.cwd()),
    }


def check_version(version: str, what: str) -> None:
    """Refuse a run or a checkpoint of another version series, whose config names classes that have moved since.

    Args:
        version: the version of lsgen that made it.
        what: its name for the user.

    Raises:
        RunError: the first two numbers of `version` differ from those of the version that is running.

    """
    series = ".".join(version.split(".")[:2])
    if series != ".".join(__version__.split(".")[:2]):
        raise RunError(
            f"{what} was made by lsgen {version} and this is lsgen {__version__}, in which parts that its config "
            f"names may have moved: install lsgen {series} to use it (`lsgen table` and `lsgen report` still read it)"
        )


def _packages() -> dict[str, str]:
    """Return the version of every package; what was installed since this process began, it does not run."""
    return dict(_installed(tuple(sys.path)))


@cache
def _installed(places: tuple[str, ...]) -> dict[str, str]:
    # Metadata are a file, which is parsed whenever they are asked for.
    about = [dist.metadata for dist in distributions(path=list(places))]
    found = {each["Name"]: each["Version"] for each in about}
    return {name: found[name] for name in sorted(found, key=str.lower)}


def _git() -> dict[str, Any] | None:
    """Describe the checkout that the package runs from, else the one around the current directory."""
    for place in (Path(__file__).parent, Path.cwd()):
        tracked = _ask(place, "ls-files", "--error-unmatch", "." if place == Path.cwd() else Path(__file__).name)
        names = _ask(place, "rev-parse", "--show-toplevel", "HEAD", "--abbrev-ref", "HEAD")
        if tracked is not None and names is not None:
            diff = redact(_ask(place, "diff", "HEAD", "--no-ext-diff") or "")
            root, sha, branch = names.splitlines()
            return {
                "root": root,
                "sha": sha,
                "branch": branch,
                "dirty": bool(diff),
                "diff": diff[:_DIFF_LIMIT],
                "diff_truncated": len(diff) > _DIFF_LIMIT,
            }
    return None


def _ask(place: Path, *arguments: str) -> str | None:
    """Return the output of git, or None if there is no git, no repository or no commit."""
    try:
        done = subprocess.run(
            ["git", "-C", str(place), *arguments], capture_output=True, timeout=20, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", errors="replace")
