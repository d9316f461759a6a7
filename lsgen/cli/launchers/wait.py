"""Waiting for jobs, with a line on their states."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from lsgen.cli.launchers.submission import queue_of
from lsgen.runs import Sweep
from lsgen.runs.sweep import STATES

__all__ = ["summary", "wait_for"]

_PENDING = ("queued", "running", "preempted")
_FIRST, _LONGEST = 0.5, 10.0


def wait_for(sweep: Sweep, numbers: Sequence[int] | None = None) -> None:
    """Return when none of the jobs is queued or running, and print their states whenever they have changed.

    Args:
        sweep: the sweep.
        numbers: of the jobs; all of them unless given.

    """
    from rich.console import Console

    console = Console()
    shown, pause = "", _FIRST
    with console.status("") as live:
        while True:
            states = sweep.states(queue_of(sweep))
            chosen = [states[number] for number in (range(len(states)) if numbers is None else numbers)]
            text = summary(chosen)
            if not any(state in _PENDING for state in chosen):
                return
            if text != shown:
                live.update(text)
                if not console.is_terminal:
                    print(f"waiting  {text}", flush=True)
                shown, pause = text, _FIRST
            time.sleep(pause)
            pause = min(_LONGEST, 1.5 * pause)


def summary(states: Sequence[str]) -> str:
    """Return how many jobs are in each state.

    Example:
        >>> summary(["done", "queued", "done"])
        '1 queued, 2 done'

    """
    counts = Counter(states)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no jobs"
