"""`lsgen traverse`: draw the traversals and the geometry of a trained run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import assignments, device_of, only_run, places, take
from lsgen.cli.inspecting import collector, named_inspection
from lsgen.cli.named_objects import is_named
from lsgen.runs import Quantity, RunDirectory, grouped, in_reading_order

if TYPE_CHECKING:
    from lsgen.callbacks.base import LatentCallback
    from lsgen.callbacks.probes import Probe

__all__ = ["probe_for", "refuse_unsuited", "run", "traverse_run"]

_USAGE = """usage: lsgen traverse RUN [checkpoint=last|best|PATH] [device=cpu|cuda] [callbacks.NAME.KEY=VALUE ...]
       lsgen traverse FILE.py:NAME [x=FILE.npy|FILE.py:NAME] [device=cpu|cuda] [run_dir=PATH]

Draw the traversals, interpolations, geometry, reconstructions and samples of a trained run again, into RUN/figures,
with the callbacks of the run's config.

  checkpoint=...            which weights (default last)
  device=...                where to compute (default cpu)
  callbacks.NAME.KEY=VALUE  another setting for a callback, with or without the + that `lsgen train` wants before a key
                            which no config has; the frozen config stays as it is

A latent space of your own (`lsgen.wrap`), or a model with one, is named as FILE.py:NAME, and the file is executed;
x= are observations for its encoder, run_dir= is where pictures and the report go (default runs/FILE_NAME).

  lsgen traverse model.py:space
  lsgen traverse runs/NAME checkpoint=best callbacks.traversal.sigmas=2.5"""

_OF_OWN = ("x", "device", "run_dir")
_SHOWN = ("q05", "q50", "q95")
_MOST_SHOWN = 10


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    if own := [argument for argument in arguments if is_named(argument)]:
        return _of_own(own[0], [argument for argument in arguments if argument != own[0]])
    plain = [argument.lstrip("+") if argument.startswith("+") else argument for argument in arguments]
    flags, rest = take(plain, ("checkpoint", "device"))
    place = only_run([argument for argument in rest if not argument.startswith("callbacks.")])
    directory = RunDirectory.open(place)
    settings = [argument for argument in rest if argument.startswith("callbacks.")]
    parts = {f"callbacks.{name}." for name in directory.config()["callbacks"]}
    theirs = {key for setting in settings if (key := setting.partition("=")[0]).startswith(tuple(parts))}
    changes = assignments(settings, theirs or {part.removesuffix(".") for part in parts})
    scalars = traverse_run(directory, flags.get("checkpoint", "last"), device_of(flags), changes)
    _show(directory, scalars)
    return OK


def _of_own(name: str, arguments: Sequence[str]) -> int:
    """Draw a latent space of the user's own file."""
    flags, rest = take(arguments, _OF_OWN)
    if places(rest, _OF_OWN):
        raise UsageError(f"expected FILE.py:NAME alone, got {' '.join(rest)} beside it")
    inspection = named_inspection(name, flags)
    pictures = inspection.traversal()
    print(f"figures  {inspection.directory / 'figures'}  ({', '.join(pictures)})")
    print(f"report   {inspection.report().path}")
    return OK


def traverse_run(
    directory: RunDirectory,
    checkpoint: str = "last",
    device: str = "cpu",
    changes: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Run every latent-space callback of a run once, and return the numbers that they log.

    Args:
        directory: the run; figures go into it.
        checkpoint: "last", "best", or a path.
        device: where to compute.
        changes: settings of the callbacks that differ from the frozen config, by dotted key.

    Raises:
        RunError: there is no such checkpoint, it is damaged, or another series of versions made the run.
        UsageError: the run has no latent-space callback, or one refuses its arguments.

    """
    from lsgen.cli.output.console import messages
    from lsgen.cli.task import run_variables

    directory.check_version()
    file = directory.checkpoint(checkpoint)
    with run_variables(directory), messages(None):
        return _draw(directory, file, device, changes or {})


def _draw(directory: RunDirectory, file: Path, device: str, changes: Mapping[str, Any]) -> dict[str, float]:
    from lsgen.callbacks.logging.sink import Sink
    from lsgen.cli.config.construction import verify
    from lsgen.cli.config.frozen_config import thaw
    from lsgen.cli.loading import opened

    config = thaw(directory.config(), {**directory.overrides(), **changes})
    verify(config)
    model, data, step = opened(directory, file, device)
    callbacks = list(_latent_callbacks(config))
    callbacks = list(_suited(callbacks, model))
    collected = collector()
    for callback in callbacks:
        callback.data_module = data
        sink = Sink(directory.path, step, [collected])
        callback.run(model.latent_space, probe_for(model, data, callback.wanted, callback.gallery), sink)
        sink.close()
    scalars: dict[str, float] = collected.scalars
    return scalars


def _suited(callbacks: Sequence[LatentCallback], model: Any) -> Iterator[LatentCallback]:
    """Yield the callbacks that have something to look at, with a line for each of the others.

    Raises:
        UsageError: a callback refuses the model.

    """
    for callback in callbacks:
        if reason := callback.left_out(getattr(model, "latent_space", None)):
            print(f"left out {type(callback).__name__}: {reason}", flush=True)
            continue
        refuse_unsuited(callback, model)
        yield callback


def probe_for(model: Any, data: Any, wanted: int, gallery: int = 0) -> Probe | None:
    """Return fixed observations; None if the model has no encoder.

    Args:
        model: a model with a latent space.
        data: a data module that is set up for validation.
        wanted: number of observations.
        gallery: number of training observations beside them, where nothing decodes.

    Raises:
        UsageError: the data module has none.

    """
    from lsgen.callbacks.base import retrieves
    from lsgen.callbacks.probes import probe_of
    from lsgen.latent import EncodableSpace

    space = model.latent_space
    if not isinstance(space, EncodableSpace):
        return None
    if (found := probe_of(data, wanted, gallery if retrieves(space) else 0, model)) is None:
        raise UsageError(
            f"expected {type(data).__name__} to have `probe`, a validation loader or a map-style training set to take "
            "fixed observations from, got none of them"
        )
    return found


def refuse_unsuited(callback: LatentCallback, model: Any) -> None:
    """Refuse a model that a callback cannot work on.

    Raises:
        UsageError: it has no latent space, or not the kind that is needed.

    """
    try:
        callback.check(model)
    except TypeError as error:
        raise UsageError(str(error)) from error


def _latent_callbacks(config: Any) -> Iterator[LatentCallback]:
    from lsgen.callbacks.base import LatentCallback
    from lsgen.cli.config.construction import instantiate
    from lsgen.cli.config.targets import resolve

    found = {
        name: part
        for name, part in config.callbacks.items()
        if isinstance(target := resolve(f"callbacks.{name}", part), type) and issubclass(target, LatentCallback)
    }
    if not found:
        raise UsageError("expected a run whose config has a latent-space callback such as LatentTraversal, got none")
    for name, part in found.items():
        yield instantiate(part, f"callbacks.{name}")


def _show(directory: RunDirectory, scalars: Mapping[str, float]) -> None:
    from lsgen.cli.output.tables import number, print_table

    rows = grouped({key: scalars[key] for key in in_reading_order(scalars)})
    over = [row for row in rows if row.not_finite is not None]
    if over:
        cells = [[*(number(row.levels.get(level), 4) for level in _SHOWN), f"{row.not_finite:.0f}"] for row in over]
        print_table(
            ["quantity", "5 %", "median", "95 %", "not finite"],
            [[_label(row), *values] for row, values in zip(over, cells, strict=True)],
            title=f"{directory.path.name}, over its probes",
        )
    if single := [row for row in rows if row.not_finite is None]:
        print_table(["quantity", "value"], [[_label(row), _listed(row.values)] for row in single])
    print(f"figures  {directory.figures}")


def _listed(values: Sequence[float]) -> str:
    """Return numbers as the text of a cell; of many, such as eigenvalues, the first and the last."""
    from lsgen.cli.output.tables import number

    shown = [number(value, 4) for value in values]
    return "  ".join(shown if len(shown) <= _MOST_SHOWN else [*shown[: _MOST_SHOWN - 2], "…", shown[-1]])


def _label(row: Quantity) -> str:
    return f"{row.name}, {row.unit}" if row.unit else row.name
