"""`lsgen explore`: write a page to look at the codes of a trained run: one file that opens without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsgen.cli.code_tables import read_codes, refuse_with_codes
from lsgen.cli.config.schema import MAX_SEED
from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import device_of, only_run, take
from lsgen.runs import RunDirectory, read_json

if TYPE_CHECKING:
    from lsgen.callbacks.analysis.collection import Collected
    from lsgen.callbacks.analysis.contents import PageOptions
    from lsgen.explorer import FurtherSpace, ScoreTable
    from lsgen.latent import Codes

__all__ = ["FLAGS", "collected_of", "explore_run", "run", "settings_of"]

_USAGE = """usage: lsgen explore RUN [checkpoint=last|best|PATH] [device=cpu|cuda] [n=N] [split=val,test,train] [seed=N]
                     [maps=pca,tsne,umap] [decoder=page|onnx] [out=FILE.html] [--compare RUN2 ...]
       lsgen explore RUN --codes FILE.npz ...
       lsgen explore --codes FILE.npz [maps=...] [out=FILE.html]

Write RUN/explorer.html, one file that needs no network and no server: open it by a double click. It holds maps of the
codes of held-out observations with how far each can be trusted, their pictures, their neighbours, the decoder, paths,
directions of attributes, and the same items in up to three other runs.

  checkpoint=...     which weights (default last)
  device=...         where to compute (default cpu)
  n=...              observations (default 5000); of a model without encoder, draws from its prior
  split=...          where they come from (default val,test)
  seed=...           seed of the choice and of maps that depend on random numbers (default 0)
  maps=...           maps beside the one that loses least (default pca,tsne)
  decoder=onnx       ONNX Runtime decodes in the page what the page's own interpreter cannot, such as networks of more
                     than 8 million weights; the page is 5 MB larger. It needs pip install 'lsgen[onnx]' and the files
                     that `python scripts/onnxruntime_web.py` fetches, or LSGEN_ONNXRUNTIME_WEB, a directory with them
  out=...            the file (default RUN/explorer.html, or FILE.html beside the codes)
  --codes FILE       look at these codes, which `Codes.save` or lsgen has written, instead of new ones; the run decodes.
                     All of them, or n that are drawn at random; of word vectors in the formats of word2vec or GloVe,
                     the first n
  --compare RUN2     the same observations in another run, up to three times

  lsgen explore runs/NAME
  lsgen explore runs/NAME --compare runs/OTHER n=20000 maps=pca,umap"""
FLAGS = ("checkpoint", "device", "n", "split", "seed", "maps", "out")
_OWN = ("decoder",)
_MAPS, _SPLITS = ("pca", "tsne", "umap"), ("val", "test", "train")
_MOST_COMPARED = 3
_OF_RUNS = ("checkpoint", "device", "split", "decoder")


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    rest, named = _options(arguments)
    flags, places = take(rest, (*FLAGS, *_OWN))
    settings = settings_of(flags)
    file = named["--codes"][0] if named["--codes"] else None
    if file is not None and Path(file).suffix == ".npz" and "n" not in flags:
        settings["n"] = None
    if not places and file is not None:
        refuse_with_codes(flags, _OF_RUNS)
        if named["--compare"]:
            raise UsageError("expected no --compare for codes of a file alone, which no run has encoded")
        page = _of_codes(Path(file), settings)
    else:
        refuse_with_codes(flags if file is not None else {}, ("split",), run=True)
        directory = RunDirectory.open(only_run(places))
        others = [RunDirectory.open(place) for place in named["--compare"]]
        page = explore_run(directory, settings, device_of(flags), file, others)
    print(f"explorer {page}  ({page.stat().st_size / 1e6:.1f} MB; open it in a browser)")
    return OK


def explore_run(
    directory: RunDirectory,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
    codes: str | Path | None = None,
    others: Sequence[RunDirectory] = (),
) -> Path:
    """Write the page of a run and return its path.

    Args:
        directory: the run.
        settings: checkpoint, n, split, seed, maps, decoder and out, where they differ from the verb's own.
        device: where to compute.
        codes: a table to look at instead of the codes of observations.
        others: runs whose codes of the same observations are compared.

    Raises:
        RunError: there is no such checkpoint, it is damaged, or another series of versions made the run.
        UsageError: the data of two runs are not the same, or the codes do not fit the model.

    """
    from lsgen.callbacks.analysis.contents import PageOptions, explorer_contents
    from lsgen.cli.output.console import messages
    from lsgen.explorer import write_page
    from lsgen.report import write_report

    chosen = {**settings_of({}), **(settings or {})}
    place = _page_at(chosen["out"] or directory.explorer_file)
    for one in (directory, *others):
        one.check_version()
    try:
        options = PageOptions(maps=chosen["maps"], seed=chosen["seed"], decoder=chosen["decoder"])
    except FileNotFoundError as error:
        raise UsageError(str(error)) from error
    model, found, step = collected_of(directory, chosen, device, codes)
    found = _with_analysis(directory, found, step)
    space = getattr(model, "latent_space", model)
    compared = [(other, collected_of(other, chosen, device)[1].codes) for other in others]
    with messages(None):
        spaces = [_compared(other, theirs, found.codes, options) for other, theirs in compared]
        facts = {"model": type(model).__name__, "trained for": f"{step:,} steps"}
        tables = _analysis(directory, chosen["checkpoint"], step)
        contents = explorer_contents(space, found, directory.path.name, facts, options, tables, spaces)
    page = write_page(place, contents)
    if directory.report_file.is_file():
        write_report(directory.path)
    return page


def _of_codes(file: Path, settings: Mapping[str, Any]) -> Path:
    """Write the page of a table of codes without a model."""
    from lsgen.callbacks.analysis.contents import PageOptions, explorer_contents
    from lsgen.explorer import write_page

    place = _page_at(settings["out"] or file.with_suffix(".html"))
    found = _table(file, None, settings)
    options = PageOptions(maps=settings["maps"], seed=settings["seed"])
    contents = explorer_contents(None, found, file.stem, {}, options)
    return write_page(place, contents)


def _page_at(place: str | Path) -> Path:
    """Return where a page goes.

    Raises:
        UsageError: it cannot go there.

    """
    path = Path(place)
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(
            f"expected out= to be a file in a directory that exists, got {'a' if path.is_dir() else 'no'} directory at "
            f"{path if path.is_dir() else path.parent}"
        )
    return path


def collected_of(
    directory: RunDirectory, settings: Mapping[str, Any], device: str, codes: str | Path | None = None
) -> tuple[Any, Collected, int]:
    """Return the model of a run, its codes and its generator step.

    Args:
        directory: the run.
        settings: checkpoint, n, split and seed.
        device: where to compute.
        codes: a table to look at instead of the codes of observations.

    Raises:
        RunError: there is no such checkpoint, or it is damaged.
        UsageError: the model has no latent space, no code is finite, or the table does not fit the model.

    """
    from lsgen.callbacks.analysis.collection import collect_codes
    from lsgen.cli.loading import opened, opened_model
    from lsgen.cli.output.console import messages
    from lsgen.cli.task import run_variables

    checkpoint = directory.checkpoint(settings["checkpoint"])
    with run_variables(directory), messages(None):
        if codes is not None:
            model, step = opened_model(directory, checkpoint, device)
            return model, _table(Path(codes), model.latent_space, settings), step
        model, data, step = opened(directory, checkpoint, device)
        try:
            return model, collect_codes(model, data, settings["n"], settings["seed"], settings["split"]), step
        except (TypeError, ValueError) as error:
            raise UsageError(f"{directory.path}: {error}") from error


def _table(file: Path, space: Any, settings: Mapping[str, Any]) -> Collected:
    """Return codes of a file with what a space decodes them to."""
    from lsgen.callbacks.analysis.collection import decoded_codes

    codes = read_codes(file, settings["n"], settings["seed"])
    try:
        return decoded_codes(space, codes)
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from error


def _compared(other: RunDirectory, theirs: Codes, ours: Codes, options: PageOptions) -> FurtherSpace:
    """Return the same items in another run.

    Raises:
        UsageError: it has codes of other items.

    """
    from lsgen.callbacks.analysis.contents import maps_of
    from lsgen.callbacks.analysis.page_scores import agreement_of
    from lsgen.explorer import FurtherSpace

    codes = _same_items(ours, theirs, other)
    agreement, each = agreement_of(ours, codes, options.seed)
    return FurtherSpace(other.path.name, codes, maps_of(codes, options)[0], agreement, each)


def _analysis(directory: RunDirectory, checkpoint: str, step: int) -> list[ScoreTable]:
    """Return what `lsgen analyse` has found of a checkpoint; nothing where it was not called, or for another step."""
    from lsgen.callbacks.analysis.page_scores import analysis_tables

    place = directory.path / "analysis" / f"{directory.checkpoint(checkpoint).stem}.json"
    record = read_json(place) if place.is_file() else {}
    return analysis_tables(record) if record.get("step") == step else []


def _with_analysis(directory: RunDirectory, found: Collected, step: int) -> Collected:
    """Return codes with the columns of an analysis of the same step, such as p-values."""
    from lsgen.callbacks.analysis.page_scores import joined_columns
    from lsgen.latent import Codes

    place = directory.figures / "analysis" / "codes" / f"{step:08d}.npz"
    if not place.is_file():
        return found
    return replace(found, codes=found.codes.with_columns(joined_columns(found.codes, Codes.load(place))))


def _same_items(ours: Codes, theirs: Codes, other: RunDirectory) -> Codes:
    """Return codes of another run in the order of ours."""
    from lsgen.callbacks.analysis.parts.other_spaces import check_observations

    missing = set(ours.ids.tolist()) - set(theirs.ids.tolist())
    if missing:
        raise UsageError(
            f"expected {other.path.name} to have codes of the same {len(ours)} observations, got none of "
            f"{len(missing)} of them, such as {min(missing)!r}: compare runs on the same data"
        )
    try:
        check_observations(ours, theirs, other.path.name)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return theirs.select(ids=ours.ids)


def _options(arguments: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the arguments without --codes and --compare, and the values of these."""
    named: dict[str, list[str]] = {"--codes": [], "--compare": []}
    rest, waiting = [], ""
    for argument in arguments:
        name, _, value = argument.partition("=")
        if waiting:
            named[waiting].append(argument)
            waiting = ""
        elif name in named and value:
            named[name].append(value)
        elif argument in named:
            waiting = argument
        else:
            rest.append(argument)
    if waiting:
        raise UsageError(f"expected {waiting} to be followed by a {'file' if waiting == '--codes' else 'run'}")
    if len(named["--codes"]) > 1 or len(named["--compare"]) > _MOST_COMPARED:
        raise UsageError(f"expected --codes once and --compare up to {_MOST_COMPARED} times")
    return rest, named


def settings_of(flags: Mapping[str, str]) -> dict[str, Any]:
    """Return checkpoint, n, split, seed, maps, decoder and out of the flags, or the verb's own.

    Raises:
        UsageError: one is out of its range.

    """
    found: dict[str, Any] = {"checkpoint": flags.get("checkpoint", "last"), "out": flags.get("out"), "decoder": True}
    if (decoder := flags.get("decoder", "page")) not in ("page", "onnx"):
        raise UsageError(f"expected decoder= to be page or onnx, got {decoder!r}")
    if decoder == "onnx":
        found["decoder"] = "onnx"
    for name, usual, least in (("n", 5000, 1), ("seed", 0, 0)):
        text = flags.get(name, str(usual))
        if not text.isdecimal() or int(text) < least:
            raise UsageError(f"expected {name}= to be a whole number of at least {least}, got {text!r}")
        found[name] = int(text)
    if found["seed"] > MAX_SEED:
        raise UsageError(f"expected a seed from 0 to {MAX_SEED}, got {found['seed']}")
    for name, several, known in (("maps", "pca,tsne", _MAPS), ("split", "val,test", _SPLITS)):
        chosen = tuple(part for part in flags.get(name, several).split(",") if part)
        if bad := [part for part in chosen if part not in known]:
            raise UsageError(f"expected {name}= to be some of {','.join(known)}, got {bad[0]!r}")
        found[name] = chosen
    return found
