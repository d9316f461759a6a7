"""`lsgen report`: write the HTML page of a run or of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import device_of, only_run, take
from lsgen.runs import RunDirectory, Sweep

__all__ = ["run"]

_USAGE = """usage: lsgen report RUN [checkpoint=last|best|PATH] [device=cpu|cuda]
       lsgen report SWEEP

Write RUN/report.html from what the run directory holds: one file that needs no network.

  checkpoint=...   first measure and draw that checkpoint, as `lsgen evaluate` and `lsgen traverse` do
  device=...       where to compute (default cpu)

SWEEP/report.html compares the runs of a sweep: its table, metrics against settings, curves, pictures and failures. It
links to the pages of the runs, and can be written while they train.

  lsgen report runs/NAME
  lsgen report sweeps/NAME"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    flags, rest = take(arguments, ("checkpoint", "device"))
    place = only_run(rest)
    if "device" in flags and "checkpoint" not in flags:
        raise UsageError("device= says where a checkpoint is measured and drawn: give checkpoint= with it")
    if (Path(place) / "sweep.json").is_file():
        if flags:
            raise UsageError(f"{min(flags)}= goes with one RUN, got {place}, which is a sweep")
        return _sweep(place)
    directory = RunDirectory.open(place)
    if "checkpoint" in flags:
        from lsgen.cli.verbs.evaluate import evaluate_run
        from lsgen.cli.verbs.traverse import traverse_run

        device = device_of(flags)
        for look in (evaluate_run, traverse_run):
            look(directory, flags["checkpoint"], device)
    from lsgen.report import write_report

    print(f"report   {write_report(directory.path)}")
    return OK


def _sweep(place: str) -> int:
    """Write the page of a sweep."""
    from lsgen.cli.launchers.submission import queue_of
    from lsgen.cli.sweeps.tabulation import draw, sweep_table
    from lsgen.report import write_sweep_report
    from lsgen.viz import png

    sweep, notes = Sweep.open(place), []
    if not sweep.jobs:
        raise UsageError(f"expected a sweep with jobs, got none in {place}")
    try:
        queue = queue_of(sweep)
    except UsageError as error:  # a copy of the sweep away from its cluster
        queue = {}
        notes.append(f"The scheduler could not be asked, so that jobs in its queue are shown as stopped: {error}.")
    settings = sweep_table(place, {})
    plots = {
        f"{metric} against {key}": png(draw(replace(settings, metrics=(metric,)), key))
        for key in settings.keys
        for metric in settings.metrics
        if any(group.values.get(metric) for group in settings.groups)
    }
    print(f"report   {write_sweep_report(sweep, settings, sweep.states(queue), plots, notes)}")
    return OK
