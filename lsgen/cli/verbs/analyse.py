"""`lsgen analyse`: statistics of the codes of a trained run, with intervals, baselines, figures and a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsgen.cli.code_tables import read_codes, refuse_with_codes
from lsgen.cli.config.schema import MAX_SEED
from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import device_of, only_run, places, take, take_switches
from lsgen.cli.verbs.explore import collected_of
from lsgen.runs import RunDirectory, csv_text, in_reading_order, named, now, write_atomically, write_json

if TYPE_CHECKING:
    from lsgen.callbacks import LatentAnalysis
    from lsgen.callbacks.analysis.parts.findings import Findings
    from lsgen.callbacks.logging.sink import Sink
    from lsgen.latent import Codes

__all__ = ["analyse_codes", "analyse_run", "run"]

_USAGE = """usage: lsgen analyse RUN [what=PART,...] [n=N] [k=N] [columns=NAME,...] [maps=NAME,...] [seed=N]
                     [analogies=FILE] [compare=RUN|FILE] [checkpoint=last|best|PATH] [device=cpu|cuda]
       lsgen analyse --codes FILE [what=...] [n=N] ... [out=DIRECTORY]

Analyse the codes of a trained run's held-out observations, of its items, or of draws from the prior of a model without
encoder: hubs, dimension, clusters, maps and how faithful and stable they are, directions of attributes and what moving
along them changes, analogies, probes beside four baselines, strange codes with p-values, paths that leave the codes,
another run's codes, coverage of imputations. Every statistic has its interval, its level by chance, n and seed.

Figures and the codes go into RUN/figures/analysis, numbers into RUN/analysis/CHECKPOINT.json and CHECKPOINT.csv, both
into RUN/report.html as well. A part that does not apply is left out, and that is said.

  --codes FILE     analyse these codes, which `Codes.save` or lsgen has written, or word vectors in the formats of
                   word2vec or GloVe; there is no model, so there are no paths, imputations and baselines of its data
  what=...         parts, out of neighbours, dimension, clusters, projections, directions, analogies, probes,
                   anomalies, paths, comparison, imputation (default all)
  n=...            codes (default 2000), drawn at random; of word vectors the first
  k=...            nearest neighbours (default 10)
  columns=...      columns that are probed, drawn and taken for attributes (default the label and the factors; all of a
                   file's but scores, and maps, clusters and p-values that were written into it)
  maps=...         projections, such as pca,tsne,umap (default the one that loses least, and tsne)
  seed=...         seed of all random numbers (default 0)
  analogies=...    a file of questions about items by name, "a b c d" a line, ": section" before each of its sections
                   (default: groups of codes by two columns are asked about)
  compare=...      another run, whose codes of the same observations are compared, or a file of codes
  checkpoint=...   which weights (default last), of both runs
  device=...       where to compute (default cpu)
  out=...          where what is found of --codes goes (default FILE_analysis, beside it)

  lsgen analyse runs/NAME
  lsgen analyse runs/NAME what=probes,anomalies checkpoint=best
  lsgen analyse --codes vectors.txt what=neighbours,clusters,analogies analogies=questions.txt"""

_OF_MODELS = ("paths", "imputation")
_SETTINGS = ("what", "n", "k", "columns", "maps", "seed", "analogies", "compare")


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    switches, rest = take_switches(arguments, (), ("--codes",))
    flags, rest = take(rest, (*_SETTINGS, "checkpoint", "device", "out"))
    settings = {name: flags[name] for name in _SETTINGS if name in flags}
    if "--codes" in switches:
        if places(rest, (*_SETTINGS, "checkpoint", "device", "out")):
            raise UsageError(f"expected a run or --codes, got both: {rest[0]} and --codes {switches['--codes']}")
        if "compare" not in flags or Path(flags["compare"]).is_file():
            refuse_with_codes(flags, ("checkpoint", "device"))
        at = flags.get("checkpoint", "last"), device_of(flags)
        place, record = analyse_codes(switches["--codes"], flags.get("out"), settings, *at)
        _show(place.name, place / "figures", record)
        print(f"report   {place / 'report.html'}")
        return OK
    if "out" in flags:
        raise UsageError("expected no out= for a run, in whose directory everything goes")
    directory = RunDirectory.open(only_run(rest))
    record = analyse_run(directory, flags.get("checkpoint", "last"), device_of(flags), settings)
    _show(directory.path.name, directory.figures, record)
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

    directory.check_version()
    file = directory.checkpoint(checkpoint)
    callback = _callback(settings or {})
    others = _other_codes((settings or {}).get("compare"), checkpoint, device, callback)
    with run_variables(directory), messages(None):
        record = _analysed(directory, file, device, callback, others)
    _write(directory.path, file.stem, record, settings or {})
    return record


def analyse_codes(
    file: str | Path,
    out: str | Path | None = None,
    settings: Mapping[str, str] | None = None,
    checkpoint: str = "last",
    device: str = "cpu",
) -> tuple[Path, dict[str, Any]]:
    """Analyse the codes of a file without a model; return the directory of what is found, and the record.

    Args:
        file: see `lsgen.cli.code_tables.read_codes`.
        out: the directory; FILE_analysis beside the file unless given.
        settings: see `analyse_run`.
        checkpoint: of a run to compare with.
        device: where its codes are computed.

    Raises:
        UsageError: the file holds no codes, the directory is a run's or a file, a setting is out of its range, or a
            part that is asked for needs a model.

    """
    from lsgen.cli.output.console import messages

    path, chosen = Path(file), settings or {}
    if asked := [part for part in chosen.get("what", "").split(",") if part in _OF_MODELS]:
        raise UsageError(f"expected parts that need no model for the codes of a file, got {asked[0]}")
    callback = _callback(chosen)
    codes = read_codes(path, callback.n, callback.seed)
    place = Path(out) if out is not None else path.with_name(f"{path.stem}_analysis")
    if place.is_file() or (place / "config.yaml").is_file():
        got = "a file" if place.is_file() else "a run"
        raise UsageError(f"expected out= to be a directory for what is found of codes, got {got}: {place}")
    least = len(read_codes(path)) if "compare" in chosen else 0
    others = _other_codes(chosen.get("compare"), checkpoint, device, callback, least)
    with messages(None):
        record = _recorded(lambda sink: callback.analyse_codes(codes, sink, others), place, 0)
    record = {"codes": path.name, **record}
    _write(place, path.stem, record, chosen)
    return place, record


def _write(place: Path, name: str, record: dict[str, Any], settings: Mapping[str, str]) -> None:
    """Write the record of an analysis, its statistics as a table, and the report."""
    from lsgen.report import write_report

    record["settings"] = dict(settings)
    file = place / "analysis" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, record)
    _write_table(file.with_suffix(".csv"), record["statistics"])
    write_report(place)


def _other_codes(
    place: str | None, checkpoint: str, device: str, callback: LatentAnalysis, least: int = 0
) -> dict[str, Codes]:
    """Return the codes of another run, at least so many, or of a file, by its name; none where there is no other."""
    if place is None:
        return {}
    if Path(place).is_file():
        return {Path(place).stem: read_codes(place)}
    other = RunDirectory.open(only_run([place]))
    other.check_version()
    n = None if callback.n is None else max(callback.n, least)
    settings = {"checkpoint": checkpoint, "n": n, "split": callback.splits, "seed": callback.seed}
    _, collected, _ = collected_of(other, settings, device)
    return {other.path.name: collected.codes}


def _analysed(
    directory: RunDirectory, file: Path, device: str, callback: LatentAnalysis, others: Mapping[str, Codes]
) -> dict[str, Any]:
    from lsgen.cli.loading import opened

    model, data, step = opened(directory, file, device)
    record = _recorded(lambda sink: callback.analyse(model, data, sink, others), directory.path, step)
    return {"checkpoint": file.name, "step": step, **record}


def _recorded(analyse: Callable[[Sink], Findings], place: Path, step: int) -> dict[str, Any]:
    """Return what an analysis has found, whose figures go into a directory.

    Raises:
        UsageError: it refuses what it is given.

    """
    from lsgen.callbacks.logging.sink import Sink

    sink = Sink(place, step)
    try:
        found = analyse(sink)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    metrics = sink.values
    return {
        "time": now(),
        "metrics": {key: metrics[key] for key in in_reading_order(metrics)},
        "statistics": {key: one.to_dict() for key, one in found.statistics.items()},
        "left_out": found.left_out,
    }


def _callback(settings: Mapping[str, str]) -> LatentAnalysis:
    from lsgen.analysis.analogies import read_questions
    from lsgen.callbacks import AnalysisDetail, LatentAnalysis, Turns

    if "seed" in settings and not 0 <= _number("seed", settings["seed"]) <= MAX_SEED:
        raise UsageError(f"expected a seed from 0 to {MAX_SEED}, got {settings['seed']}")
    given: dict[str, Any] = {name: _number(name, settings[name]) for name in ("n", "k", "seed") if name in settings}
    given |= {name: tuple(settings[name].split(",")) for name in ("what", "columns", "maps") if name in settings}
    if "analogies" in settings:
        if not Path(settings["analogies"]).is_file():
            raise UsageError(f"expected analogies= to be a file of questions, got {settings['analogies']!r}")
        try:
            read_questions(settings["analogies"])
        except ValueError as error:
            raise UsageError(str(error)) from error
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


def _show(title: str, figures: Path, record: Mapping[str, Any]) -> None:
    from lsgen.cli.output.tables import number, print_table

    rows = []
    for key, one in record["statistics"].items():
        low, high = one["interval"] or (None, None)
        cells = (number(part, 3) for part in (one["value"], low, high, one["baseline"]))
        rows.append([named(key)[0], *cells, str(one["n"])])
    if rows:
        print_table(["statistic", "value", "95 % from", "to", "by chance", "n"], rows, title=title)
    known = {f"{key}{end}" for key in record["statistics"] for end in ("", "_low", "_high")}
    others = [key for key in record["metrics"] if key not in known]
    if others:
        print_table(["number", "value"], [[named(key)[0], number(record["metrics"][key], 4)] for key in others])
    for name, reason in record["left_out"].items():
        print(f"lsgen: left out {name}: {reason}", file=sys.stderr)
    print(f"figures  {figures / 'analysis'}")
