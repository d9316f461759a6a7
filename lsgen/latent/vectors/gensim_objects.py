"""Tables of codes as gensim's `KeyedVectors`, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lsgen.extras import from_extra
from lsgen.latent.codes import Codes

__all__ = ["from_keyed_vectors", "load_keyed_vectors", "to_keyed_vectors"]


def from_keyed_vectors(vectors: Any) -> Codes:
    """Return gensim's `KeyedVectors` as a table of codes, whose columns are numbers that it keeps, such as `count`.

    Args:
        vectors: `gensim.models.KeyedVectors`, or a model that has such as `wv`.

    Raises:
        TypeError: it is neither.
        ValueError: there is no word, or a number is not finite.

    """
    vectors = getattr(vectors, "wv", vectors)
    words = getattr(vectors, "index_to_key", None)
    if words is None:
        raise TypeError(f"expected gensim's KeyedVectors, got {type(vectors).__name__}")
    if not len(words):
        raise ValueError("expected at least one word, got none")
    kept = {name: np.asarray(values) for name, values in vectors.expandos.items()}
    columns = {
        name: values for name, values in kept.items() if values.shape == (len(words),) and values.dtype != object
    }
    return Codes(np.asarray(vectors.vectors, dtype=np.float32), list(map(str, words)), columns=columns)


def to_keyed_vectors(codes: Codes) -> Any:
    """Return a table of codes as gensim's `KeyedVectors`, with the columns that are numbers (extra `words`).

    Args:
        codes: the table; ids that are numbers become text.

    Raises:
        ImportError: gensim is not installed.

    """
    with from_extra("words", "KeyedVectors are gensim's"):
        from gensim.models import KeyedVectors
    vectors = KeyedVectors(codes.dim)
    vectors.add_vectors([str(name) for name in codes.ids.tolist()], np.asarray(codes.z, dtype=np.float32))
    for name, column in codes.columns.items():
        if column.dtype.kind in "iuf":
            vectors.expandos[name] = np.array(column)
    return vectors


def load_keyed_vectors(path: Path) -> Codes:
    """Return the vectors that `KeyedVectors.save` has written, or a model with such; it unpickles the file.

    Raises:
        ImportError: gensim is not installed.
        FileNotFoundError: there is no such file.
        ValueError: it is none of these.

    """
    with from_extra("words", "KeyedVectors are gensim's"):
        from gensim.utils import SaveLoad
    if not path.is_file():
        raise FileNotFoundError(f"expected vectors at {path}, found nothing")
    try:
        return from_keyed_vectors(SaveLoad.load(str(path)))
    except Exception as error:  # whatever the pickle raises
        raise ValueError(f"expected a file that gensim has saved, got {path}: {error}") from error
