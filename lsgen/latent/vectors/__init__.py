"""Vectors of words or other items in the files of other tools: word2vec, GloVe, gensim, NumPy."""

from lsgen.latent.vectors.files import VECTOR_FORMATS, read_vectors, write_vectors
from lsgen.latent.vectors.gensim_objects import from_keyed_vectors, to_keyed_vectors

__all__ = ["VECTOR_FORMATS", "from_keyed_vectors", "read_vectors", "to_keyed_vectors", "write_vectors"]
