"""Topic models: documents as mixtures of topics."""

from lsgen.models.topics.decoders import EmbeddedTopics, ExpertTopics, SoftmaxTopics, TopicDecoder, WeightedTopics
from lsgen.models.topics.encoder import TopicEncoder
from lsgen.models.topics.fitted_topics import LDA, NMF, TopicModel
from lsgen.models.topics.mixtures import (
    DirichletPosterior,
    DirichletPrior,
    LogisticNormalPosterior,
    LogisticNormalPrior,
)

__all__ = [
    "LDA",
    "NMF",
    "DirichletPosterior",
    "DirichletPrior",
    "EmbeddedTopics",
    "ExpertTopics",
    "LogisticNormalPosterior",
    "LogisticNormalPrior",
    "SoftmaxTopics",
    "TopicDecoder",
    "TopicEncoder",
    "TopicModel",
    "WeightedTopics",
]
