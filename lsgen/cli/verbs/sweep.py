"""`lsgen sweep`: list, retry or cancel the jobs of a sweep."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.errors import FAILURE, OK, UsageError
from lsgen.cli.flags import take_switches
from lsgen.cli.sweeps.best_run import link_best
from lsgen.runs import Job, Sweep

__all__ = ["conclude", "run"]

_USAGE = """usage: lsgen sweep status SWEEP [--failed]
       lsgen sweep retry SWEEP [EXPRESSION] [--anew] [--wait] [--stop-at-first-failure] [--hours N]
       lsgen sweep cancel SWEEP
       lsgen sweep --wandb FILE [method=grid|random|bayes] [metric=KEY] [goal=maximize|minimize] KEY=VALUE,VALUE ...

SWEEP is the directory of `lsgen train -m ... sweep_dir=SWEEP`.

  status    list the jobs: queued, running, preempted (saved, and queued again), done, pruned (ended early by a search),
            failed, skipped (not run, as the launch was to stop at a failure or its hours were over), stopped (nobody is
            going to run it); --failed prints the tracebacks of those that failed
  retry     start again what failed, stopped or was skipped, with the launcher of the sweep; jobs go on from their
            checkpoints. An expression chooses among all jobs, pruned ones included, which then train to their end
  cancel    stop what is queued or runs; what runs saves first
  --wandb   write the definition of a W&B sweep for `wandb sweep FILE` and its agents, from the same arguments as
            `lsgen train -m` (method=grid, metric=val/elbo, goal=maximize unless given)

  --wait    return when all jobs have ended, and show their states until then
  --anew    train the chosen jobs from scratch, those that are done too, with the code of their submission; what they
            left goes to RUN/earlier
  --stop-at-first-failure, --hours N    as of `lsgen train`

An expression compares config keys, groups, metrics, `status` and `job` (the number) by =, !=, <, <=, > and >=, with
`and`, `or`, `not` and parentheses; `KEY=A,B` is either of them:

  lsgen sweep retry sweeps/beta 'model=vae and seed>2'
  lsgen sweep retry sweeps/beta --anew 'status=failed or (status=done and val/elbo<-500)'"""


_RETRIED = ("failed", "stopped", "skipped")


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
    action, admitted, valued = _ACTIONS[what]
    flags, rest = take_switches(rest, admitted, valued)
    if unknown := [argument for argument in rest if argument.startswith("--")]:
        known = ", ".join((*admitted, *valued))
        raise UsageError(f"unknown flag {unknown[0]} of `lsgen sweep {what}`{f': it has {known}' if known else ''}")
    if not rest or len(rest) > (2 if what == "retry" else 1):
        also = ", and at most one expression, in quotes" if what == "retry" and rest else ""
        raise UsageError(f"expected one directory of a sweep{also}, got {' '.join(rest) or 'none'}")
    return action(Sweep.open(rest[0]), flags, *rest[1:])


def conclude(sweep: Sweep, numbers: Sequence[int]) -> int:
    """Print the states of the jobs in one line and return the exit code: 0 unless one has failed or stopped."""
    from lsgen.cli.launchers.submission import queue_of
    from lsgen.cli.launchers.wait import summary

    every = sweep.states(queue_of(sweep))
    states = [every[number] for number in sorted(set(numbers))]
    print(f"sweep    {sweep.path}  {summary(states)}", flush=True)
    if (best := link_best(sweep)) is not None:
        link = sweep.path / "best"
        place = f"{link} -> {best.run.path.name}" if link.is_symlink() else f"{best.run.path} ({link} is no link)"
        print(f"best     {place}  {best.metric} {best.value:.6g}", flush=True)
    lost = sum(state in _RETRIED for state in states)
    if lost:
        print(f"again    lsgen sweep retry {shlex.quote(str(sweep.path))}")
    return FAILURE if lost else OK


def _status(sweep: Sweep, flags: Mapping[str, str]) -> int:
    from rich.markup import escape
    from rich.table import Table

    from lsgen.cli.launchers.submission import queue_of
    from lsgen.cli.launchers.wait import summary
    from lsgen.cli.output.tables import console_of_any_width

    states, tracebacks = sweep.states(queue_of(sweep)), "--failed" in flags
    table = Table("job", "state", "steps", "overrides", "", box=None)
    swept = _swept(sweep)
    for job, state in zip(sweep.jobs, states, strict=True):
        status = sweep.run(job).status()
        shown = " ".join(override for override in job.overrides if override in swept)
        error = str(status.get({"failed": "error", "skipped": "skipped"}.get(state, ""), ""))
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


def _retry(sweep: Sweep, flags: dict[str, str], expression: str | None = None) -> int:
    from lsgen.cli.launchers.submission import launcher_of, queue_of, start
    from lsgen.cli.launchers.wait import summary, wait_for
    from lsgen.cli.sweeps.selection import selected
    from lsgen.cli.sweeps.terms import Terms

    if "--anew" in flags and expression is None:
        raise UsageError("--anew trains chosen jobs from scratch: expected an expression that chooses them")

    def choose() -> list[Job]:
        if expression is None:
            return sweep.jobs
        states = sweep.states(queue_of(sweep))
        chosen = selected(sweep, states, expression)
        for job in chosen:
            if "--anew" in flags and states[job.number] in ("done", "pruned", *_RETRIED):
                sweep.run(job).set_aside()
            elif states[job.number] == "pruned":
                sweep.run(job).set_status("interrupted", generator_steps=sweep.run(job).status().get("generator_steps"))
        return chosen

    terms = Terms.given(flags)
    todo, states = start(sweep, launcher_of(sweep), choose, _RETRIED, terms)
    if not todo:
        what = "no job is chosen that" if expression else "nothing"
        print(f"{what} failed, stopped or was skipped ({summary(states)})")
    if "--wait" in flags:
        wait_for(sweep, None if expression is None else [job.number for job in todo])
    return conclude(sweep, range(len(sweep.jobs)) if expression is None else [job.number for job in todo])


def _cancel(sweep: Sweep, flags: Mapping[str, str]) -> int:
    from lsgen.cli.launchers.submission import launcher_of, queue_of

    states = sweep.states(queue_of(sweep))
    numbers = [n for n, state in enumerate(states) if state in ("queued", "running", "preempted")]
    launcher_of(sweep).cancel(sweep, numbers)
    print(f"cancelled {len(numbers)} job(s)")
    return OK


_Action = tuple[Callable[..., int], tuple[str, ...], tuple[str, ...]]
_ACTIONS: Mapping[str, _Action] = {
    "status": (_status, ("--failed",), ()),
    "retry": (_retry, ("--wait", "--anew", "--stop-at-first-failure"), ("--hours",)),
    "cancel": (_cancel, (), ()),
}
