"""`lsgen export`: write the codes of a trained run in the format of another tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import device_of, only_run, take
from lsgen.cli.verbs.explore import FLAGS, collected_of, settings_of
from lsgen.runs import RunDirectory

if TYPE_CHECKING:
    from lsgen.explorer import Contents
    from lsgen.latent import Codes

__all__ = ["export_run", "run"]

_USAGE = """usage: lsgen export RUN format=projector|atlas|anndata|npz|word2vec|word2vec_binary|glove|gensim
                    [checkpoint=last|best|PATH] [device=cpu|cuda] [n=N] [split=val,test,train] [seed=N]
                    [maps=pca,tsne,umap] [out=PATH]

Write the codes of held-out observations, their metadata, maps and pictures for another tool.

  format=projector   TensorFlow's Embedding Projector: a directory of tensors, metadata, pictures and their config
  format=atlas       Embedding Atlas: a Parquet file with maps, pictures and true neighbours
  format=anndata     AnnData for scanpy: an .h5ad file with codes and maps in obsm
  format=npz         lsgen and NumPy: a table of codes, which `lsgen explore --codes` opens too
  format=word2vec    names and vectors alone, as the tools for word vectors read them: text; word2vec_binary; glove,
                     text without a first line; gensim, a file of KeyedVectors
  out=...            where it goes (default RUN/export/)

The other settings are those of `lsgen explore`.

  lsgen export runs/NAME format=projector n=10000
  tensorboard --logdir runs/NAME/export/projector"""
_PLACES = {
    "projector": "projector",
    "atlas": "codes.parquet",
    "anndata": "codes.h5ad",
    "npz": "codes.npz",
    "word2vec": "vectors.txt",
    "word2vec_binary": "vectors.bin",
    "glove": "vectors.glove.txt",
    "gensim": "vectors.kv",
}


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    flags, rest = take(arguments, ("format", *FLAGS))
    kind = flags.get("format")
    if kind not in _PLACES:
        raise UsageError(f"expected format= to be one of {', '.join(_PLACES)}, got {kind or 'none'}")
    settings = settings_of(flags)
    place = export_run(RunDirectory.open(only_run(rest)), kind, settings, device_of(flags))
    print(f"codes    {place}")
    return OK


def export_run(
    directory: RunDirectory, kind: str, settings: Mapping[str, Any] | None = None, device: str = "cpu"
) -> Path:
    """Write the codes of a run and return the path of what was written.

    Args:
        directory: the run.
        kind: "projector", "atlas", "anndata", "npz", or another format of `lsgen.latent.vectors`.
        settings: checkpoint, n, split, seed, maps and out, where they differ from the verb's own.
        device: where to compute.

    Raises:
        RunError: there is no such checkpoint, it is damaged, or another series of versions made the run.
        UsageError: the format needs a package that is not installed, or another suffix of the file.

    """
    from lsgen.callbacks.analysis.contents import PageOptions, explorer_contents
    from lsgen.cli.output.console import messages
    from lsgen.explorer import exports

    writers: dict[str, Callable[[str | Path, Contents], Path]] = {
        "projector": exports.write_projector,
        "atlas": exports.write_atlas,
        "anndata": exports.write_anndata,
        "npz": exports.write_npz,
    }
    chosen = {**settings_of({}), **(settings or {})}
    directory.check_version()
    place = Path(chosen["out"] or directory.path / "export" / _PLACES[kind])
    model, found, step = collected_of(directory, chosen, device)
    facts = {"model": type(model).__name__, "trained for": f"{step:,} steps"}
    if kind not in writers:
        return _vectors(place, found.codes, kind)
    options = PageOptions(maps=chosen["maps"], seed=chosen["seed"])
    with messages(None):
        contents = explorer_contents(None, found, directory.path.name, facts, options)
    try:
        return writers[kind](place, contents)
    except (ImportError, ValueError) as error:
        raise UsageError(str(error)) from error


def _vectors(place: Path, codes: Codes, kind: str) -> Path:
    """Write names and vectors and return where they are."""
    from lsgen.latent.vectors import write_vectors

    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        return write_vectors(place, codes, kind)
    except (ImportError, ValueError) as error:
        raise UsageError(str(error)) from error
