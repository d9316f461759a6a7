"""Metrics of topic models."""

from lsgen.metrics.topics.coherence import TopicCoherence
from lsgen.metrics.topics.completion import CompletionPerplexity
from lsgen.metrics.topics.word_lists import match_topics, top_words, topic_diversity, topic_exclusivity, topic_stability

__all__ = [
    "CompletionPerplexity",
    "TopicCoherence",
    "match_topics",
    "top_words",
    "topic_diversity",
    "topic_exclusivity",
    "topic_stability",
]
