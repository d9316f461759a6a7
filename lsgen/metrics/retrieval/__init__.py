"""Metrics of retrieval and of classification from few examples, as torchmetrics."""

from lsgen.metrics.retrieval.few_shot import Episodes, FewShot, episode_accuracy
from lsgen.metrics.retrieval.relevance import LabelRelevance, Relevance, TableRelevance
from lsgen.metrics.retrieval.scores import Retrieval
from lsgen.metrics.retrieval.search import QueryValues, query_values

__all__ = [
    "Episodes",
    "FewShot",
    "LabelRelevance",
    "QueryValues",
    "Relevance",
    "Retrieval",
    "TableRelevance",
    "episode_accuracy",
    "query_values",
]
