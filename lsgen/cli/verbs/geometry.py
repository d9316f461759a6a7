"""`lsgen geometry`: measure the geometry of a trained run: curvature, geodesics, distances, agreement of seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import device_of, places, take
from lsgen.cli.inspecting import GEOMETRY, collector, geometry_looks, named_inspection
from lsgen.cli.named_objects import is_named
from lsgen.runs import (
    Quantity,
    RunDirectory,
    find_runs,
    grouped,
    in_reading_order,
    now,
    read_json,
    seed_variation,
    write_json,
)
from lsgen.runs.keys import find

if TYPE_CHECKING:
    from lsgen.callbacks.base import LatentCallback
    from lsgen.callbacks.probes import Probe

__all__ = ["measure", "run"]

_USAGE = """usage: lsgen geometry RUN ... [checkpoint=last|best|PATH] [device=cpu|cuda] [kind=fisher|euclidean|expected]
                      [pairs=N] [points=N] [starts=N] [observations=N] [plane_points=N]
       lsgen geometry FILE.py:NAME [x=FILE.npy|FILE.py:NAME] [run_dir=PATH] ...

Measure the geometry of a trained run's latent space: spectrum, volume, curvature, geodesics, Frechet means, distances.
Pictures go into RUN/figures, numbers into RUN/geometry/CHECKPOINT.json, both into RUN/report.html.

  checkpoint=...     which weights (default last)
  device=...         where to compute (default cpu)
  kind=...           which metric is pulled back (default fisher)
  pairs=...          pairs of codes joined by geodesics (default 4)
  points=...         points of a geodesic (default 17)
  starts=...         starts of each of these, in either direction (default 2); distances have one
  observations=...   fixed observations whose distances are measured, all pairs (default 8)
  plane_points=...   points along each side of the maps (default 32)

Of several runs, those that were measured with the same settings are not measured again; the coefficient of variation of
distances over runs that differ in their seed only is shown, here and by `lsgen table`.

A latent space of your own (`lsgen.wrap`), or a model with one, is named as FILE.py:NAME, and the file is executed;
x= are observations for its encoder, run_dir= is where pictures, numbers and the report go (default runs/FILE_NAME).

  lsgen geometry runs/NAME
  lsgen geometry model.py:space kind=euclidean
  lsgen geometry 'runs/sweep/*'"""
_COUNTS = tuple(name for name in GEOMETRY if name != "kind")
_KNOWN = ("checkpoint", "device", "kind", *_COUNTS)
_OF_OWN = ("x", "run_dir")  # of FILE.py:NAME alone
_SHOWN = ("geometry", "geodesics", "distances")  # sections of the registry of log keys


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    if len(own := [argument for argument in arguments if is_named(argument)]) == 1:
        flags, rest = take([argument for argument in arguments if argument != own[0]], (*_KNOWN[1:], *_OF_OWN))
        places(rest, (*_KNOWN[1:], *_OF_OWN))
        return _of_own(own[0], flags, rest)
    flags, rest = take(arguments, _KNOWN)
    settings = _settings(flags)
    device, checkpoint = device_of(flags), flags.get("checkpoint", "last")
    runs = _runs(places(rest, _KNOWN))
    kept = [_kept(directory, checkpoint, settings) if len(runs) > 1 else None for directory in runs]
    for directory, record in zip(runs, kept, strict=True):
        if record is None:
            directory.check_version()
    for directory, record in zip(runs, kept, strict=True):
        if record is None:
            record = measure(directory, checkpoint, device, settings, tell=_tell)
        _show(directory, record["metrics"])
    if len(runs) > 1:
        _compare(runs, directory.checkpoint(checkpoint).stem)
    return OK


def _of_own(name: str, flags: Mapping[str, str], rest: Sequence[str]) -> int:
    """Measure a latent space of the user's own file."""
    if rest:
        raise UsageError(f"expected FILE.py:NAME alone, got {' '.join(rest)} beside it")
    settings = _settings(flags)
    inspection = named_inspection(name, flags)
    measured = inspection.geometry(**settings)
    inspection.report()
    _show(RunDirectory(inspection.directory), measured)
    return OK


def measure(
    directory: RunDirectory,
    checkpoint: str = "last",
    device: str = "cpu",
    settings: Mapping[str, Any] | None = None,
    tell: Any = lambda words: None,
) -> dict[str, Any]:
    """Measure the geometry of a run, write figures, geometry/CHECKPOINT.json and the report, and return the record.

    Args:
        directory: the run.
        checkpoint: "last", "best", or a path.
        device: where to compute.
        settings: kind, pairs, points, starts, observations and plane_points, where they differ from the verb's own.
        tell: called with a sentence about each part that is done.

    Returns:
        A mapping with "checkpoint", "step", "time", "settings", "metrics" (as they are logged) and "distances"
        (of fixed pairs, with the digest of the observations; without that where there is no encoder).

    Raises:
        RunError: there is no such checkpoint, it is damaged, or another series of versions made the run.
        UsageError: the model has no latent space with this metric, or a setting is out of its range.

    """
    from lsgen.cli.output.console import messages
    from lsgen.cli.task import run_variables
    from lsgen.report import write_report

    chosen = {**_settings({}), **(settings or {})}
    directory.check_version()
    file = directory.checkpoint(checkpoint)
    looks = geometry_looks(chosen)
    with run_variables(directory), messages(None):
        record = _measured(directory, file, device, looks, tell)
    record["settings"] = chosen
    place = directory.path / "geometry" / f"{file.stem}.json"
    place.parent.mkdir(exist_ok=True)
    write_json(place, record)
    write_report(directory.path)
    return record


def _settings(flags: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {**GEOMETRY, "kind": flags.get("kind", "fisher")}
    if settings["kind"] not in ("fisher", "euclidean", "expected"):
        raise UsageError(f"expected kind=fisher, kind=euclidean or kind=expected, got {settings['kind']!r}")
    for name in set(flags) & set(_COUNTS):
        if not flags[name].isdecimal():
            raise UsageError(f"expected {name}= to be a whole number, got {flags[name]!r}")
        settings[name] = int(flags[name])
    return settings


def _runs(found: Sequence[str]) -> list[RunDirectory]:
    if not found:
        raise UsageError("expected a run directory, got none")
    if len(found) == 1 and (Path(found[0]) / "config.yaml").is_file():
        return [RunDirectory.open(found[0])]
    if len(found) == 1 and not any(mark in found[0] for mark in "*?[") and not Path(found[0]).is_dir():
        return [RunDirectory.open(found[0])]
    return find_runs(found)


def _measured(
    directory: RunDirectory, file: Path, device: str, looks: Mapping[str, LatentCallback], tell: Any
) -> dict[str, Any]:
    from lsgen.callbacks.logging.sink import Sink
    from lsgen.cli.loading import opened
    from lsgen.cli.verbs.traverse import probe_for, refuse_unsuited

    model, data, step = opened(directory, file, device)
    reasons = {name: look.left_out(getattr(model, "latent_space", None)) for name, look in looks.items()}
    for name, look in looks.items():
        if reasons[name] is None or all(reasons.values()):
            refuse_unsuited(look, model)
        else:
            tell(f"left out {name}: {reasons[name]}")
    looks = {name: look for name, look in looks.items() if reasons[name] is None}
    collected = collector()
    wanted = max(look.wanted for look in looks.values())
    probe = probe_for(model, data, wanted)
    for name, look in looks.items():
        began = perf_counter()
        sink = Sink(directory.path, step, [collected])
        look.run(model.latent_space, probe, sink)
        sink.close()
        tell(f"measured {name}  {perf_counter() - began:.1f} s")
    if not collected.scalars.get("geodesic/pairs") and "geodesics" in looks:
        tell(f"geodesics and distances are left out: {_why_none(model.latent_space)}")
    path = file.resolve()
    home = directory.path.resolve()
    where = str(path.relative_to(home) if path.is_relative_to(home) else path)
    metrics = dict(sorted(collected.scalars.items()))
    known = "geometry/distance/geodesic/not_finite" in metrics
    distances = _distances(directory, step, probe, looks) if known else None
    return {"checkpoint": where, "step": step, "time": now(), "metrics": metrics, "distances": distances}


def _why_none(space: Any) -> str:
    from lsgen.callbacks.latent.geodesics import unsuited

    return unsuited(space) or "no axis carries more than 0.1 nats, or there is one observation only"


def _distances(
    directory: RunDirectory, step: int, probe: Probe | None, looks: Mapping[str, LatentCallback]
) -> dict[str, Any]:
    """Return the measured distances, with the digest of the observations if there are any."""
    import numpy as np

    from lsgen.callbacks import LatentDistances

    (look,) = (look for look in looks.values() if isinstance(look, LatentDistances))
    with np.load(directory.figures / "geometry" / "distances" / f"{step:08d}.npz") as found:
        geodesic = [None if np.isnan(value) else float(value) for value in found["geodesic"]]
        kept = {"pairs": found["pairs"].tolist(), "geodesic": geodesic, "euclidean": found["euclidean"].tolist()}
    digest = None
    if probe is not None:
        digest = sha256(probe.first(look.observations).x.cpu().contiguous().numpy().tobytes()).hexdigest()
    return {"observations": digest, **kept}


def _kept(directory: RunDirectory, checkpoint: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the record of an earlier call with these settings, if the checkpoint is not newer."""
    file = directory.checkpoint(checkpoint)
    place = directory.path / "geometry" / f"{file.stem}.json"
    if not place.exists() or place.stat().st_mtime < file.stat().st_mtime:
        return None
    record = read_json(place)
    return record if record.get("settings") == dict(settings) else None


def _tell(words: str) -> None:
    print(words, flush=True)


def _show(directory: RunDirectory, metrics: Mapping[str, float]) -> None:
    from lsgen.cli.output.tables import number, print_table

    ordered = {key: metrics[key] for key in in_reading_order(metrics)}
    rows = [[row.name, number(value, 4)] for row in grouped(ordered) if (value := _median(row)) is not None]
    print_table(["quantity", "median or value"], rows, title=directory.path.name)
    print(f"report   {directory.report_file}")


def _median(row: Quantity) -> float | None:
    """Return the median or the value of a quantity that is shown; None if it is not shown or has no finite value."""
    match = find(row.key)
    shown = match is None or (match.entry.summary and match.entry.section in _SHOWN)
    return row.levels.get("q50", row.values[0] if len(row.values) == 1 else None) if shown else None


def _compare(runs: Sequence[RunDirectory], checkpoint: str) -> None:
    from lsgen.cli.output.tables import number, print_table

    varied = seed_variation(runs, checkpoint)
    if not varied:
        print("seeds    no two of these runs differ in their seed only: no coefficient of variation")
        return
    columns = ("runs", "pairs", "CV of geodesic distances", "CV of Euclidean distances")
    rows = [[str(len(v.runs)), str(v.pairs), number(v.geodesic, 4), number(v.euclidean, 4)] for v in varied]
    print_table(columns, rows, title="Distances over runs that differ in their seed only")
