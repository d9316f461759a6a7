"""`lsgen evaluate`: measure a trained run on its validation and test sets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsgen.cli.errors import FAILURE, OK, UsageError
from lsgen.cli.flags import device_of, only_run, take
from lsgen.runs import Problem, RunDirectory, in_reading_order, named, now, write_json

if TYPE_CHECKING:
    from lsgen.cli.refusals.run_objects import RunObjects

__all__ = ["evaluate_run", "run"]

_USAGE = """usage: lsgen evaluate RUN [checkpoint=last|best|PATH] [device=cpu|cuda]

Measure a trained run on its whole validation and test sets, and its samples, answers, captions, codes and whatever else
callbacks of the run judge, print the values and write them to RUN/evaluation/CHECKPOINT.json, where `lsgen table`
finds them.

  checkpoint=...   which weights (default last)
  device=...       where to compute (default cpu)

  lsgen evaluate runs/NAME checkpoint=best"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    flags, rest = take(arguments, ("checkpoint", "device"))
    place = only_run(rest)
    directory = RunDirectory.open(place)
    metrics, problems = evaluate_run(directory, flags.get("checkpoint", "last"), device_of(flags))
    _show(directory, metrics)
    for problem in problems:
        print(f"lsgen: not all was measured: {problem}", file=sys.stderr)
    return FAILURE if problems else OK


def evaluate_run(
    directory: RunDirectory, checkpoint: str = "last", device: str = "cpu"
) -> tuple[dict[str, float], list[Problem]]:
    """Measure a run on its validation and test sets and write the metrics to evaluation/CHECKPOINT.json.

    Returns:
        The metrics, and what could not be measured.

    Raises:
        RunError: there is no such checkpoint, it is damaged, or another series of versions made the run.
        UsageError: a part of the run refuses its arguments.

    """
    from lsgen.cli.loading import model_of
    from lsgen.cli.output.console import messages
    from lsgen.cli.task import run_variables

    directory.check_version()
    file = directory.checkpoint(checkpoint)
    with run_variables(directory), messages(None):
        from lsgen.callbacks import read_checkpoint

        content = read_checkpoint(file)
        model = model_of(directory.config(), content)
        step = content.get("clocks", {}).get("generator_steps", content.get("global_step"))
        metrics, problems = _measure(directory, model, device, step)
    place = directory.path / "evaluation" / f"{file.stem}.json"
    place.parent.mkdir(exist_ok=True)
    write_json(place, {"checkpoint": _relative(file, directory), "step": step, "time": now(), "metrics": metrics})
    return metrics, problems


def _measure(
    directory: RunDirectory, model: Any, device: str, step: int | None
) -> tuple[dict[str, float], list[Problem]]:
    from lsgen.callbacks import problems_of
    from lsgen.cli.config.construction import build, verify
    from lsgen.cli.config.frozen_config import thaw

    changes = {
        "trainer.accelerator": "cpu" if device == "cpu" else "gpu",
        "trainer.devices": 1,
        "trainer.num_nodes": 1,
        "trainer.limit_val_batches": None,
        "trainer.limit_test_batches": None,
        "trainer.enable_progress_bar": False,
    }
    frozen = directory.config()
    config = thaw(frozen, directory.overrides() | changes)
    if "strategy" in config.trainer:
        config.trainer.strategy = "auto"
    verify(config)
    parts = build(config, frozen, loggers=False, callbacks=_measures)
    metrics: Mapping[str, Any] = {}
    for stage in _stages(parts):
        stage(model, datamodule=parts.data, verbose=False)
        metrics = {**metrics, **parts.trainer.callback_metrics}
    metrics = {**metrics, **_judged_samples(directory, parts, model.to(device), step or 0)}
    return {key: float(value) for key, value in sorted(metrics.items())}, list(problems_of(parts.trainer))


def _judged_samples(directory: RunDirectory, parts: RunObjects, model: Any, step: int) -> dict[str, float]:
    """Return what the callbacks that judge samples find; what they write besides goes where it goes in training."""
    from lsgen.callbacks import PeriodicCallback
    from lsgen.callbacks.logging.sink import Sink

    sink = Sink(directory.path, step)
    for hook in parts.callbacks.values():
        if isinstance(hook, PeriodicCallback):
            hook.run(model.latent_space, None, sink)
    return sink.values


def _stages(parts: RunObjects) -> list[Callable[..., Any]]:
    """Return the trainer's methods for the splits that have batches, and print a line for each split without.

    Raises:
        UsageError: neither has.

    """
    from lsgen.callbacks import check_split

    stages, refusals = [], []
    parts.data.prepare_data()
    for split, stage in (("val", parts.trainer.validate), ("test", parts.trainer.test)):
        try:
            check_split(parts.data, "val" if split == "val" else "test")
            stages.append(stage)
        except ValueError as error:
            refusals.append(str(error))
    if not stages:
        raise UsageError("; ".join(refusals))
    for refusal in refusals:
        print(f"lsgen: left out: {refusal}", file=sys.stderr)
    return stages


def _measures(target: str) -> bool:
    """Return whether a callback measures, rather than trains, saves, draws or shows; seeding is kept for the rest."""
    from hydra.utils import get_object

    from lsgen.callbacks import Seeding

    callback = get_object(target)
    return callback is Seeding or bool(getattr(callback, "judges", False))


def _relative(file: Path, directory: RunDirectory) -> str:
    path = file.resolve()
    return str(path.relative_to(directory.path.resolve()) if path.is_relative_to(directory.path.resolve()) else path)


def _show(directory: RunDirectory, metrics: Mapping[str, float]) -> None:
    from lsgen.cli.output.tables import number, print_table

    staged = [key for key in metrics if key.partition("/")[0] in ("val", "test")]
    keys = in_reading_order(key.partition("/")[2] for key in staged)
    rows = [(*named(key), *(number(metrics.get(f"{stage}/{key}")) for stage in ("val", "test"))) for key in keys]
    print_table(
        ["metric", "val", "test", "unit"],
        [[name, val, test, unit] for name, unit, val, test in rows],
        title=directory.path.name,
    )
    _show_others({key: value for key, value in metrics.items() if key not in staged})


def _show_others(metrics: Mapping[str, float]) -> None:
    """Print what no split has, such as scores of samples and of words, with the ends of intervals and chance beside."""
    from lsgen.cli.output.tables import number, print_table

    beside = {"_low": "95 % from", "_high": "to", "_chance": "by chance"}
    ends = {f"{key}{end}" for key in metrics for end in beside} & metrics.keys()
    kept = {end: title for end, title in beside.items() if any(key.endswith(end) for key in ends)}
    rows = []
    for key in in_reading_order([key for key in metrics if key not in ends]):
        name, unit = named(key)
        rows.append([name, *(number(metrics.get(f"{key}{end}")) for end in ("", *kept)), unit])
    if rows:
        print_table(["quantity", "value", *kept.values(), "unit"], rows)
