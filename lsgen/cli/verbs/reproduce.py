"""`lsgen reproduce`: train what a paper's numbers and claims need, compare, and give verdicts."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.errors import FAILURE, INTERRUPTED, OK, UsageError
from lsgen.cli.flags import device_of, take
from lsgen.runs import RunDirectory, Sweep, index, now, to_json, write_atomically

if TYPE_CHECKING:
    from lsgen.cli.reproducing import Opener
    from lsgen.reproduction.document import Side
    from lsgen.reproduction.paper import Paper, PlannedRun
    from lsgen.reproduction.record import Attempt, RunRecord

__all__ = ["run"]

_USAGE = """usage: lsgen reproduce PAPER [--preset paper|cpu|smoke] [--only NAME] [--record] [sweep_dir=PATH]
                       [device=cpu|cuda] [hydra/launcher=local|joblib|slurm|ray] [hydra.launcher.KEY=VALUE ...]
       lsgen reproduce --list

Train the runs that the published numbers and claims of a paper need, if any, measure, and give verdicts by rule. What
has been trained or measured is not done again: a second call trains nothing. Writes results.md and figures below
sweep_dir.

  --preset   cpu (default): the schedule of the recorded results; paper: the paper's own, for a GPU; smoke: seconds,
             which show that everything works and nothing else
  --only     one target or claim: only the runs that it needs
  --record   keep what was found in experiments/PAPER/results of this checkout, as one more attempt
  --list     every paper, with published and obtained numbers, verdicts and minutes
  sweep_dir=PATH   where the runs go (default reproductions/PAPER/PRESET)
  device=...       where trained models are measured (default cpu)
  hydra/launcher=...   what runs the jobs, see `lsgen train --help`

  lsgen reproduce miwae
  lsgen reproduce iwae --preset paper hydra/launcher=slurm --only nll_iwae_50"""
_SWITCHES = ("--record", "--list")


@dataclass(frozen=True)
class _Order:
    """What the command line asks for."""

    paper: Paper
    preset: str
    only: str | None
    record: bool
    sweep_dir: Path
    device: str
    hydra: tuple[str, ...]


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    if "--list" in arguments:
        if len(arguments) > 1:
            raise UsageError("--list shows all papers: it goes alone")
        return _list()
    order = _order(arguments)
    jobs = order.paper.jobs(order.preset, order.paper.needed_arms(order.only))
    if not jobs and not order.paper.calculations(order.only):
        raise UsageError(f"expected a preset that runs an arm of {order.only}, got {order.preset}, which runs none")
    return _reproduce(order, jobs)


def _order(arguments: Sequence[str]) -> _Order:
    from lsgen.reproduction.paper import PRESETS, find_paper
    from lsgen.reproduction.record import check_recordable

    flags, rest = take(arguments, ("sweep_dir", "device"))
    options: dict[str, str] = {}
    names: list[str] = []
    hydra: list[str] = []
    remaining = iter(rest)
    for argument in remaining:
        name, separator, value = argument.partition("=")
        if name in ("--preset", "--only"):
            options[name[2:]] = value if separator else next(remaining, "")
        elif argument in _SWITCHES:
            options[argument[2:]] = argument
        elif argument.startswith(("hydra/launcher=", "hydra.launcher.")):
            hydra.append(argument)
        elif argument.startswith("-") or separator:
            hint = did_you_mean(name, ("--preset", "--only", *_SWITCHES))
            raise UsageError(
                f"unknown option {argument!r}{hint}: the settings of a reproduction are in its target.yaml"
            )
        else:
            names.append(argument)
    if len(names) != 1:
        raise UsageError(f"expected one paper, got {' '.join(names) or 'none'}")
    preset = options.get("preset", "cpu")
    if preset not in PRESETS:
        raise UsageError(f"expected --preset {', '.join(PRESETS)}, got {preset!r}{did_you_mean(preset, PRESETS)}")
    paper = find_paper(names[0])
    if "record" in options:
        check_recordable(paper, preset, options.get("only"))
    place = Path(flags.get("sweep_dir", f"reproductions/{paper.name}/{preset}"))
    device = device_of(flags)
    return _Order(paper, preset, options.get("only"), "record" in options, place, device, tuple(hydra))


def _reproduce(order: _Order, jobs: Sequence[PlannedRun]) -> int:
    from lsgen.cli.reproducing import Opener, finished_jobs

    order.sweep_dir.mkdir(parents=True, exist_ok=True)
    code, sweep, places = OK, None, dict[tuple[str, int], RunDirectory]()
    if jobs:
        code = _train(order, jobs)
        if code >= INTERRUPTED or not (order.sweep_dir / "sweep.json").exists():
            return code
        sweep = Sweep.open(order.sweep_dir)
        places = {(job.arm, job.seed): sweep.run(of) for job, of in finished_jobs(jobs, sweep)}
        if not places:
            raise UsageError(f"expected at least one finished run in {order.sweep_dir}, got none of {len(jobs)}")
    opener = Opener(places, order.device)
    attempt = _measured(order, jobs, sweep, opener)
    _conclude(order, attempt, opener)
    return FAILURE if len(places) < len(jobs) or code != OK else OK


def _train(order: _Order, jobs: Sequence[PlannedRun]) -> int:
    """Train what has not been trained, with the launcher that is asked for, and return the exit code."""
    from lsgen.cli.verbs.train import run
    from lsgen.reproduction.paper import grammar

    file = order.sweep_dir / "jobs.json"
    write_atomically(file, to_json([list(job.overrides) for job in jobs], indent=2))
    listed = ["hydra/sweeper=listed", f"hydra.sweeper.file={grammar(str(file.absolute()))}"]
    return run(["-m", "--wait", f"sweep_dir={order.sweep_dir}", *listed, *order.hydra])


def _measured(order: _Order, jobs: Sequence[PlannedRun], sweep: Sweep | None, opener: Opener) -> Attempt:
    """Return what the runs, the measures and the comparisons gave."""
    from lsgen.cli.reproducing import compare, measure
    from lsgen.reproduction.record import Attempt, committed_first, judged_by

    paper, values = order.paper, dict[str, float]()
    found: dict[tuple[str, int], dict[str, float]] = {}
    for arm, seed, place in opener.places():
        row = index([place])[0]
        wanted = {side.metric for side in paper.sides(order.only) if side.arm == arm}
        found[arm, seed] = {key: math.nan if row[key] is None else float(row[key]) for key in wanted if key in row}
        for instrument in paper.measures:
            if instrument.arms is None or arm in instrument.arms:
                one = measure(instrument, order.preset, opener, arm, seed, place)
                found[arm, seed] |= {f"{instrument.name}/{key}": value for key, value in one.values.items()}
                opener.arrays |= {(arm, seed, f"{instrument.name}/{key}"): x for key, x in one.arrays.items()}
        if missing := sorted(wanted - found[arm, seed].keys()):
            hint = did_you_mean(missing[0], [*row, *found[arm, seed]])
            raise UsageError(f"{paper.name}: expected {missing[0]} of {arm}, which its runs do not have{hint}")
    there, compared = {arm for arm, _, _ in opener.places()}, dict[str, list[str]]()
    calculated = paper.calculations(order.only)
    for instrument in paper.comparisons:
        arms = [arm for arm in paper.arms(order.preset) if arm in paper.compared_arms(instrument)]
        if (arms and there.issuperset(arms)) or instrument in calculated:
            compared[instrument.name] = arms
            one = compare(instrument, order.preset, opener, arms, order.sweep_dir)
            values |= {f"{instrument.name}/{key}": value for key, value in one.values.items()}
            opener.arrays |= {(None, None, f"{instrument.name}/{key}"): x for key, x in one.arrays.items()}
    runs = () if sweep is None else _runs(order, jobs, sweep, found)
    stamp = now()
    return Attempt(
        name=f"{stamp[:19].replace(':', '-')}_{order.preset}",
        preset=order.preset,
        time=stamp,
        runs=runs,
        values=values,
        versions=_versions(),
        machine=_machine(),
        compared=compared,
        minutes=round((opener.seconds + sum(run.seconds or 0.0 for run in runs)) / 60, 1),
        cpu_minutes=round((opener.cpu_seconds + sum(run.cpu_seconds or 0.0 for run in runs)) / 60, 1),
        committed_first=committed_first(paper, [run.commit for run in runs] + opener.commits),
        judged=judged_by(paper),
        arrays=_of_claims(paper.sides(), opener.arrays),
    )


def _of_claims(sides: Iterable[Side], arrays: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the arrays of items that some target or claim compares."""
    wanted = {(side.arm, side.metric) for side in sides}
    return {key: x for key, x in arrays.items() if (key[0], key[2]) in wanted}


def _runs(
    order: _Order, jobs: Sequence[PlannedRun], sweep: Sweep, found: Mapping[tuple[str, int], Mapping[str, float]]
) -> tuple[RunRecord, ...]:
    from lsgen.cli.reproducing import deviations
    from lsgen.reproduction.record import RunRecord

    papers_own = {job.arm: job.overrides for job in reversed(order.paper.jobs("paper", order.paper.document.arms))}
    differing = deviations([(papers_own[job.arm], job.overrides) for job in jobs])
    runs = []
    for job, difference in zip(jobs, differing, strict=True):
        of = sweep.find(job.overrides)
        place = None if of is None else sweep.run(of)
        status: dict[str, Any] = {"state": "not submitted"} if place is None else place.status()
        git = None if place is None else place.provenance().get("git")
        run = RunRecord(
            arm=job.arm,
            seed=job.seed,
            state=str(status["state"]),
            values=found.get((job.arm, job.seed), {}),
            seconds=status.get("seconds"),
            cpu_seconds=status.get("cpu_seconds"),
            steps=status.get("generator_steps"),
            deviations=difference,
            commit=None if git is None else git["sha"],
        )
        runs.append(run)
    return tuple(runs)


def _conclude(order: _Order, attempt: Attempt, opener: Opener) -> None:
    """Record the attempt if that is asked for, draw, write the page and print the verdicts."""
    from lsgen.reproduction.page import results_page, verdicts
    from lsgen.reproduction.record import RESULTS, attempts

    former = [one for one in attempts(order.paper) if one.preset == order.preset]
    places = [order.sweep_dir]
    if order.record:
        folder = order.paper.folder / RESULTS
        print(f"recorded {attempt.write(folder)}")
        places.append(folder)
    figures = _figures(order, attempt, opener)
    for place in places:
        (place / "figures").mkdir(parents=True, exist_ok=True)
        for name, files in figures.items():
            for ending, content in files.items():
                (place / "figures" / f"{name}.{ending}").write_bytes(content)
        recorded = attempts(order.paper) if order.record else [*attempts(order.paper), attempt]
        write_atomically(place / "results.md", results_page(order.paper, recorded, attempt, list(figures)))
    if order.record:
        print("overview python scripts/papers.py")
    _show(order.paper, attempt)
    if former and order.only is None:
        ours, theirs = verdicts(attempt), verdicts(former[-1])
        changed = [
            f"{name}: {theirs.get(name, 'new')} -> {one}" for name, one in ours.items() if theirs.get(name) != one
        ]
        print(f"compared with {former[-1].name}: {'; '.join(changed) if changed else 'the same verdicts'}")
    print(f"results  {order.sweep_dir / 'results.md'}")


def _figures(order: _Order, attempt: Attempt, opener: Opener) -> dict[str, dict[str, bytes]]:
    """Return the files of all figures by name; one that cannot be drawn is told and does not keep others from it."""
    from lsgen import viz
    from lsgen.cli.reproducing import made
    from lsgen.reproduction.drawing import Results, claims_figure, targets_figure

    found = {"targets": targets_figure(attempt), "claims": claims_figure(attempt)}
    results = Results(attempt, opener.of_arm, opener.arrays)
    for instrument in order.paper.figures if order.only is None else ():
        try:
            found[instrument.name] = made(instrument, instrument.config(order.preset))(results)
        except Exception as error:  # noqa: BLE001 (the numbers are there)
            print(f"lsgen: the figure {instrument.name} was not drawn: {error}", file=sys.stderr)
    return {name: viz.pdf_and_png(figure) for name, figure in found.items() if figure is not None}


def _show(paper: Paper, attempt: Attempt) -> None:
    from lsgen.cli.output.tables import print_table
    from lsgen.reproduction.page import claim_rows, target_rows

    if rows := target_rows(attempt):
        print_table(["target", "published", "obtained", "tolerance", "verdict"], rows, title=paper.document.title)
    if rows := claim_rows(attempt):
        print_table(["claim", "difference", "p", "verdict"], rows)


def _list() -> int:
    from lsgen.cli.output.tables import print_table
    from lsgen.reproduction.page import latest, overview_rows
    from lsgen.reproduction.paper import Paper, papers

    every = [Paper.read(folder) for folder in papers()]
    rows = [row for paper in every for row in overview_rows(paper, latest(paper))]
    print_table(["paper", "target or claim", "published", "obtained", "verdict", "minutes"], rows, keys=2)
    return OK


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("lsgen", "torch", "torchvision", "pytorch-lightning", "numpy", "scipy", "scikit-learn"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _machine() -> str:
    """Return processor, cores and GPU in words."""
    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores{gpu}"
