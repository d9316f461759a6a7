"""`lsgen report`: write the page of a run."""

from __future__ import annotations

from collections.abc import Sequence

from lsgen.cli.entry import OK
from lsgen.cli.errors import UsageError
from lsgen.cli.flags import device_of, only_run, take
from lsgen.runs import RunDirectory

__all__ = ["run"]

_USAGE = """usage: lsgen report RUN [checkpoint=last|best|PATH] [device=cpu|cuda]

Write RUN/report.html from what the run directory holds: one file that needs no network.

  checkpoint=...   first measure and draw that checkpoint, as `lsgen evaluate` and `lsgen traverse` do
  device=...       where to compute (default cpu)

  lsgen report runs/NAME"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    flags, rest = take(arguments, ("checkpoint", "device"))
    place = only_run(rest)
    if "device" in flags and "checkpoint" not in flags:
        raise UsageError("device= says where a checkpoint is measured and drawn: give checkpoint= with it")
    directory = RunDirectory.open(place)
    if "checkpoint" in flags:
        from lsgen.cli.evaluate_verb import evaluate
        from lsgen.cli.traverse_verb import traverse

        device = device_of(flags)
        for look in (evaluate, traverse):
            look(directory, flags["checkpoint"], device)
    from lsgen.report import write_report

    print(f"report   {write_report(directory.path)}")
    return OK
