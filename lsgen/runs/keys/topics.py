"""Entries of the registry for topic models."""

from __future__ import annotations

from lsgen.runs.keys.entry import Chart, Entry, figure

__all__ = ["TOPICS"]

# fmt: off
TOPICS: tuple[Entry, ...] = (
    Entry("topics/npmi", "coherence, NPMI", "", "topics", better="higher", summary=True, card=("Coherence", "NPMI"),
        chart=Chart("Coherence", "", "NPMI"), meaning="normalised pointwise mutual information of pairs of top words "
        "over documents of the reference, mean over topics"),
    Entry("topics/c_v", "coherence, C_v", "", "topics", better="higher", chart=Chart("Coherence", "", "C_v"),
        meaning="cosine of each top word's NPMI with all of them and that of the whole list"),
    Entry("topics/u_mass", "coherence, U_mass", "nats", "topics", better="higher",
        meaning="log share of the documents with a more probable word that have the other too"),
    Entry("topics/diversity", "diversity of topics", "", "topics", better="higher", summary=True,
        card=("Diversity", "of top words"), meaning="share of different words among 25 top words of each topic"),
    Entry("topics/exclusivity", "exclusivity of topics", "", "topics", better="higher",
        meaning="share that a topic has of the weight of its top words in all topics"),
    Entry("topics/perplexity", "perplexity of completion", "", "topics", better="lower", summary=True,
        card=("Perplexity", "document completion"), chart=Chart("Perplexity", "of the second half of documents"),
        meaning="of the second half of the words of validation documents given the first"),
    figure("topics/top_words", "Top words of topics", "topics", "of up to 50 topics, with their coherence"),
    figure("topics/traversal", "From the average mixture towards each topic", "topics",
        "the most probable words as the weight of a topic grows"),
    figure("topics/words", "Topics", "topics", "top words, NPMI and exclusivity of each topic", "table"),
    figure("topics/topics", "", "topics", "weights of words of each topic, and top words", "npz"),
)
# fmt: on
