"""`lsgen analyse`: statistics of the codes of a trained run, with intervals, baselines, figures and a table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import device_of, only_run, take
from lsgen.cli.verbs.explore import collected_of
from lsgen.runs import RunDirectory, csv_text, in_reading_order, named, now, write_atomically, write_json

if TYPE_CHECKING:
    from lsgen.callbacks import LatentAnalysis
    from lsgen.callbacks.analysis.parts.findings import Findings
    from lsgen.latent import Codes

__all__ = ["analyse_run", "run"]

_USAGE = """usage: lsgen analyse RUN [what=PART,...] [n=N] [k=N] [columns=NAME,...] [maps=NAME,...] [seed=N]
                     [analogies=FILE] [compare=RUN] [checkpoint=last|best|PATH] [device=cpu|cuda]

Analyse the codes of a trained run's held-out observations, of its items, or of draws from the prior of a model without
encoder: hubs, dimension, clusters, maps and how faithful and stable they are, directions of attributes and what moving
along them changes, analogies, probes beside four baselines, strange codes with p-values, paths that leave the codes,
another run's codes, coverage of imputations. Every statistic has its interval, its level by chance, n and seed.

Figures and the codes go into RUN/figures/analysis, numbers into RUN/analysis/CHECKPOINT.json and statistics.csv beside
it, figures into RUN/report.html as well. A part that does not apply is left out, and that is said.

  what=...         parts, out of neighbours, dimension, clusters, projections, directions, analogies, probes,
                   anomalies, paths, comparison, imputation (default all)
  n=...            codes (default 2000)
  k=...            nearest neighbours (default 10)
  columns=...      columns that are probed, drawn and taken for attributes (default the label and the factors)
  maps=...         projections, such as pca,tsne,umap (default the one that loses least, and tsne)
  seed=...         seed of all random numbers (default 0)
  analogies=...    a file of questions about items by name, "a b c d" a line, ": section" before each of its sections
                   (default: groups of codes by two columns are asked about)
  compare=...      another run, whose codes of the same observations are compared
  checkpoint=...   which weights (default last), of both
  device=...       where to compute (default cpu)

  lsgen analyse runs/NAME
  lsgen analyse runs/NAME what=probes,anomalies checkpoint=best"""

_SETTINGS = ("what", "n", "k", "columns", "maps", "seed", "analogies", "compare")


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    flags, rest = take(arguments, (*_SETTINGS, "checkpoint", "device"))
    place = only_run(rest)
    directory = RunDirectory.open(place)
    settings = {name: flags[name] for name in _SETTINGS if name in flags}
    record = analyse_run(directory, flags.get("checkpoint", "last"), device_of(flags), settings)
    _show(directory, record)
    return OK


def analyse_run(
    directory: RunDirectory,
    checkpoint: str = "last",
    device: str = "cpu",
    settings: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Analyse the codes of a run, write figures, analysis/CHECKPOINT.json and the report, and return the record.

    Args:
        directory: the run.
        checkpoint: "last", "best", or a path.
        device: where to compute.
        settings: what, n, k, columns, maps, seed, analogies and compare as they stand on the command line.

    Returns:
        A mapping with "checkpoint", "step", "time", "settings", "metrics" (as they are logged), "statistics" (each with
        its interval, level by chance, n and seed) and "left_out" (parts and reasons).

    Raises:
        RunError: there is no such checkpoint, it is damaged, or another series of versions made the run.
        UsageError: a setting is out of its range, or the model has no latent space.

    """
    from lsgen.cli.output.console import messages
    from lsgen.cli.task import run_variables
    from lsgen.report import write_report

    directory.check_version()
    file = directory.checkpoint(checkpoint)
    callback = _callback(settings or {})
    others = _other_codes((settings or {}).get("compare"), checkpoint, device, callback)
    with run_variables(directory), messages(None):
        record = _analysed(directory, file, device, callback, others)
    record["settings"] = dict(settings or {})
    place = directory.path / "analysis" / f"{file.stem}.json"
    place.parent.mkdir(exist_ok=True)
    write_json(place, record)
    _write_table(place.with_suffix(".csv"), record["statistics"])
    write_report(directory.path)
    return record


def _other_codes(place: str | None, checkpoint: str, device: str, callback: LatentAnalysis) -> dict[str, Codes]:
    """Return the codes of another run, by its name; none where there is no other."""
    if place is None:
        return {}
    other = RunDirectory.open(only_run([place]))
    other.check_version()
    settings = {"checkpoint": checkpoint, "n": callback.n, "split": callback.splits, "seed": callback.seed}
    _, collected, _ = collected_of(other, settings, device)
    return {other.path.name: collected.codes}


def _analysed(
    directory: RunDirectory, file: Path, device: str, callback: LatentAnalysis, others: Mapping[str, Codes]
) -> dict[str, Any]:
    from lsgen.callbacks.logging.sink import Sink
    from lsgen.cli.loading import opened

    model, data, step = opened(directory, file, device)
    sink = Sink(directory.path, step)
    try:
        found: Findings = callback.analyse(model, data, sink, others)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    metrics = sink.values
    return {
        "checkpoint": file.name,
        "step": step,
        "time": now(),
        "metrics": {key: metrics[key] for key in in_reading_order(metrics)},
        "statistics": {key: one.to_dict() for key, one in found.statistics.items()},
        "left_out": found.left_out,
    }


def _callback(settings: Mapping[str, str]) -> LatentAnalysis:
    from lsgen.callbacks import AnalysisDetail, LatentAnalysis, Turns

    given: dict[str, Any] = {name: _number(name, settings[name]) for name in ("n", "k", "seed") if name in settings}
    given |= {name: tuple(settings[name].split(",")) for name in ("what", "columns", "maps") if name in settings}
    if "analogies" in settings:
        if not Path(settings["analogies"]).is_file():
            raise UsageError(f"expected analogies= to be a file of questions, got {settings['analogies']!r}")
        given["analogies"] = settings["analogies"]
    detail, options, turns = (
        {name: given[name] for name in names if name in given}
        for names in (("k", "columns", "maps", "analogies"), ("what", "n"), ("seed",))
    )
    try:
        return LatentAnalysis(detail=AnalysisDetail(**detail), turns=Turns(**turns), **options)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"expected a whole number for {name}, got {text!r}") from error


def _write_table(path: Path, statistics: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the statistics as a table, one row each."""
    last = ("baseline", "n", "seed", "level")
    rows = [
        [key, one["value"], *(one["interval"] or (None, None)), *(one[name] for name in last)]
        for key, one in statistics.items()
    ]
    write_atomically(path, csv_text([["statistic", "value", "low", "high", *last], *rows]))


def _show(directory: RunDirectory, record: Mapping[str, Any]) -> None:
    from lsgen.cli.output.tables import number, print_table

    rows = []
    for key, one in record["statistics"].items():
        low, high = one["interval"] or (None, None)
        cells = (number(part, 3) for part in (one["value"], low, high, one["baseline"]))
        rows.append([named(key)[0], *cells, str(one["n"])])
    print_table(["statistic", "value", "95 % from", "to", "by chance", "n"], rows, title=directory.path.name)
    known = {f"{key}{end}" for key in record["statistics"] for end in ("", "_low", "_high")}
    others = [key for key in record["metrics"] if key not in known]
    print_table(["number", "value"], [[named(key)[0], number(record["metrics"][key], 4)] for key in others])
    for name, reason in record["left_out"].items():
        print(f"lsgen: left out {name}: {reason}", file=sys.stderr)
    print(f"figures  {directory.figures / 'analysis'}")
