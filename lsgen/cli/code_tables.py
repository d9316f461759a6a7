"""Tables of codes that verbs take in the place of those of a run."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsgen.cli.errors import UsageError

if TYPE_CHECKING:
    from lsgen.latent import Codes

__all__ = ["read_codes", "refuse_with_codes"]


def read_codes(file: str | Path, n: int | None = None, seed: int = 0) -> Codes:
    """Return the codes of a file; at most n of a table, drawn at random, and of word vectors the first n.

    Args:
        file: an .npz that `Codes.save` or lsgen has written, or word vectors in a format of `lsgen.latent.vectors`.
        n: how many; all of what there is where it is None.
        seed: of the choice.

    Raises:
        UsageError: there is no such file, or it holds no codes.

    """
    import numpy as np

    from lsgen.latent.vectors import read_vectors

    path = Path(file)
    try:
        codes = read_vectors(path, most=None if path.suffix == ".npz" else n)
    except FileNotFoundError as error:
        raise UsageError(f"expected a file of codes, got no such file: {path}") from error
    except IsADirectoryError as error:
        raise UsageError(f"expected a file of codes, got the directory {path}") from error
    except (OSError, ValueError) as error:
        said = str(error)
        raise UsageError(said if said.startswith(f"{path}: ") else f"{path}: {said}") from error
    if n is None or len(codes) <= n:
        return codes
    return codes.select(np.sort(np.random.default_rng(seed).permutation(len(codes))[:n]))


def refuse_with_codes(given: Container[str], of_runs: Sequence[str], run: bool = False) -> None:
    """Refuse settings that mean nothing where codes are those of a file.

    Args:
        given: the settings.
        of_runs: those of them that need a run, or of how its observations are chosen.
        run: whether there is a run beside the codes.

    Raises:
        UsageError: one is given.

    """
    why = "which are those of the file" if run else "as no run is given"
    if found := [name for name in of_runs if name in given]:
        raise UsageError(f"expected no {found[0]}= for the codes of --codes, {why}")
