"""Models of items that are known by their contexts, such as words."""

from lsgen.models.embedding.decoders import ContextDecoder, FullSoftmax, HierarchicalSoftmax, NegativeSampling
from lsgen.models.embedding.glove import GloVe, LogCounts
from lsgen.models.embedding.space import WordSpace
from lsgen.models.embedding.subwords import Subwords, SubwordVectors, fnv_1a
from lsgen.models.embedding.windows import Contexts, ContextWindows
from lsgen.models.embedding.word2vec import Word2Vec

__all__ = [
    "ContextDecoder",
    "ContextWindows",
    "Contexts",
    "FullSoftmax",
    "GloVe",
    "HierarchicalSoftmax",
    "LogCounts",
    "NegativeSampling",
    "SubwordVectors",
    "Subwords",
    "Word2Vec",
    "WordSpace",
    "fnv_1a",
]
