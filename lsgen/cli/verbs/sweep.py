"""`lsgen sweep`: list, retry or cancel the jobs of a sweep."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.errors import FAILURE, OK, UsageError
from lsgen.runs import Sweep

__all__ = ["conclude", "run"]

_USAGE = """usage: lsgen sweep status SWEEP [--failed]
       lsgen sweep retry SWEEP [--wait]
       lsgen sweep cancel SWEEP
       lsgen sweep --wandb FILE [method=grid|random|bayes] [metric=KEY] [goal=maximize|minimize] KEY=VALUE,VALUE ...

SWEEP is the directory of `lsgen train -m ... sweep_dir=SWEEP`.

  status    list the jobs: queued, running, preempted (saved, and queued again), done, failed, stopped (neither done
            nor failed, and nobody is going to run it); --failed prints the tracebacks of those that failed
  retry     start again what failed or stopped, with the launcher of the sweep; jobs go on from their checkpoints
  cancel    stop what is queued or runs; what runs saves first
  --wandb   write the definition of a W&B sweep for `wandb sweep FILE` and its agents, from the same arguments as
            `lsgen train -m` (method=grid, metric=val/elbo, goal=maximize unless given)

  --wait    return when all jobs have ended, and show their states until then"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    what, rest = arguments[0], list(arguments[1:])
    if what == "--wandb":
        from lsgen.cli.sweeps.wandb_sweep import write_definition

        return write_definition(rest)
    if what == "job":
        from lsgen.cli.sweep_job import run_jobs

        return run_jobs(rest[0], [int(number) for number in rest[1:]])
    if what not in _ACTIONS:
        raise UsageError(f"expected {', '.join(_ACTIONS)} or --wandb, got {what!r}{did_you_mean(what, _ACTIONS)}")
    flags = [argument for argument in rest if argument.startswith("--")]
    places = [argument for argument in rest if not argument.startswith("--")]
    action, admitted = _ACTIONS[what]
    for flag in flags:
        if flag != admitted:
            hint = f": it has {admitted}" if admitted else ""
            raise UsageError(f"unknown flag {flag} of `lsgen sweep {what}`{hint}")
    if len(places) != 1:
        raise UsageError(f"expected one directory of a sweep, got {' '.join(places) or 'none'}")
    return action(Sweep.open(places[0]), bool(flags))


def conclude(sweep: Sweep, numbers: Sequence[int]) -> int:
    """Print the states of the jobs in one line and return the exit code: 0 unless one has failed or stopped."""
    from lsgen.cli.launchers.submission import queue_of
    from lsgen.cli.launchers.wait import summary

    every = sweep.states(queue_of(sweep))
    states = [every[number] for number in sorted(set(numbers))]
    print(f"sweep    {sweep.path}  {summary(states)}", flush=True)
    lost = sum(state in ("failed", "stopped") for state in states)
    if lost:
        print(f"again    lsgen sweep retry {shlex.quote(str(sweep.path))}")
    return FAILURE if lost else OK


def _status(sweep: Sweep, tracebacks: bool) -> int:
    from rich.markup import escape
    from rich.table import Table

    from lsgen.cli.launchers.submission import queue_of
    from lsgen.cli.launchers.wait import summary
    from lsgen.cli.output.tables import console_of_any_width

    states = sweep.states(queue_of(sweep))
    table = Table("job", "state", "steps", "overrides", "", box=None)
    swept = _swept(sweep)
    for job, state in zip(sweep.jobs, states, strict=True):
        status = sweep.run(job).status()
        shown = " ".join(override for override in job.overrides if override in swept)
        error = str(status.get("error", "")) if state == "failed" else ""
        table.add_row(str(job.number), state, str(status.get("generator_steps", "")), escape(shown), escape(error))
        if tracebacks and state == "failed":
            print(f"{sweep.run(job).path}\n{status.get('traceback', error)}")
    console = console_of_any_width()
    if not tracebacks:
        console.print(table)
    console.print(f"{len(states)} jobs: {summary(states)}", highlight=False)
    return OK


def _swept(sweep: Sweep) -> set[str]:
    """Return the overrides that not all jobs have."""
    every = [set(job.overrides) for job in sweep.jobs]
    common = every[0].intersection(*every[1:]) if len(every) > 1 else set()
    return {override for overrides in every for override in overrides if override not in common}


def _retry(sweep: Sweep, wait: bool) -> int:
    from lsgen.cli.launchers.submission import launcher_of, start
    from lsgen.cli.launchers.wait import wait_for

    todo, _ = start(sweep, launcher_of(sweep), lambda: sweep.jobs, ("failed", "stopped"))
    if not todo:
        print("nothing failed or stopped")
    if wait:
        wait_for(sweep)
    return conclude(sweep, range(len(sweep.jobs)))


def _cancel(sweep: Sweep, _: bool) -> int:
    from lsgen.cli.launchers.submission import launcher_of, queue_of

    states = sweep.states(queue_of(sweep))
    numbers = [n for n, state in enumerate(states) if state in ("queued", "running", "preempted")]
    launcher_of(sweep).cancel(sweep, numbers)
    print(f"cancelled {len(numbers)} job(s)")
    return OK


_ACTIONS = {"status": (_status, "--failed"), "retry": (_retry, "--wait"), "cancel": (_cancel, None)}
