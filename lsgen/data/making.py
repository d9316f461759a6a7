"""Files that are made once: one process makes them and says how far it is, others wait."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

__all__ = ["advancing", "alone"]


@contextmanager
def advancing(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give what advances a bar on a terminal; elsewhere one line is printed.

    Args:
        what: is made, in words.
        total: at which it is done.

    """
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(what, soft_wrap=True)
        yield lambda number: None
        return
    with Progress(console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda number: progress.advance(task, number)


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Wait until no other process holds a lock, a file that stays, and hold it.

    Args:
        lock: the file.
        what: another process does, in words, for those that wait.

    """
    with open(lock, "a", encoding="ascii") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            Console(stderr=True).print(f"Waiting for another process that {what}", soft_wrap=True)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
