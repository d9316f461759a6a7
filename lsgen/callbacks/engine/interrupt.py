"""Signals (Ctrl-C, SIGTERM, SIGUSR2) that stop a run at the next place from which it resumes exactly."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "SignalWatch", "signal_name"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


class Interrupted(SystemExit):
    """Training stopped on a signal, after its state was saved; the exit status is 128 + the signal's number.

    Attributes:
        signum: the signal.
        message: one sentence for the user.

    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(128 + signum)
        self.signum = signum
        self.message = message

    def __str__(self) -> str:
        """Return the sentence."""
        return self.message


class SignalWatch:
    """Records the first SIGINT, SIGTERM or SIGUSR2; a second SIGINT interrupts at once.

    SIGUSR2 is what a scheduler sends before a time limit.

    Attributes:
        received: the signal that came, or None.

    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}
        self._interruption: Callable[[], BaseException] | None = None

    def start(self) -> None:
        """Install the signal handlers; only the main thread can."""
        self.received = self._interruption = None
        if threading.current_thread() is threading.main_thread() and not self._before:
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}

    def interrupt_with(self, interruption: Callable[[], BaseException] | None) -> None:
        """Raise this exception as soon as a signal arrives; with None, signals are only recorded again."""
        self._interruption = interruption

    def stop(self) -> None:
        """Restore the previous signal handlers."""
        if self._before and threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before, self._interruption = {}, None

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.received is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        if (interruption := self._interruption) is not None:
            self.received, self._interruption = signum, None
            raise interruption()
        if self.received is None and signum == signal.SIGINT:
            print("\nCtrl-C: saving after this batch; press it again to stop at once.", file=sys.stderr, flush=True)
        self.received = self.received or signum


def signal_name(signum: int) -> str:
    """Return the name of a signal."""
    return "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
