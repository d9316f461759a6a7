"""`lsgen report`: write the page of a run."""

from __future__ import annotations

from collections.abc import Sequence

from lsgen.cli.entry import OK
from lsgen.cli.errors import UsageError
from lsgen.runs import RunDirectory

__all__ = ["run"]

_USAGE = """usage: lsgen report RUN

Write RUN/report.html from what the run directory holds: one file that needs no network. `lsgen traverse RUN` draws the
figures of a checkpoint again, `lsgen evaluate RUN` its metrics.

  lsgen report runs/NAME"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    if len(arguments) != 1:
        raise UsageError(f"expected one run directory, got {' '.join(arguments)}")
    directory = RunDirectory.open(arguments[0])
    from lsgen.report import write_report

    print(f"report   {write_report(directory.path)}")
    return OK
