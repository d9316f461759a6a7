"""Entries of the registry for sentences that models write."""

from __future__ import annotations

from lsgen.runs.keys.entry import Chart, Entry, figure

__all__ = ["SENTENCES"]

# fmt: off
SENTENCES: tuple[Entry, ...] = (
    Entry("sentences/model/bits_per_token", "bits a token", "bits", "sentences", better="lower", summary=True,
        meaning="of held-out sentences, ends included, by an importance-sampled bound",
        card=("Bits a token", "importance-sampled"), chart=Chart("Bits a token", "bits", "model")),
    Entry("sentences/{by}/bits_per_token", "bits a token, {by}", "bits", "sentences", better="lower", summary=True,
        meaning="the same by the ELBO, by frequencies of words or pairs of words, or by the decoder without codes",
        chart=Chart("Bits a token", "bits", "{by}")),
    Entry("sentences/{by}/perplexity", "perplexity, {by}", "", "sentences", better="lower",
        meaning="two to the power of the bits a token"),
    figure("sentences/scores", "How held-out sentences are told", "sentences",
        "all of these numbers; also as csv", "table"),
    figure("sentences/interpolations", "Interpolated sentences", "sentences", "what codes on paths between held-out "
        "sentences write, by the most probable word at each place and by a beam; also as csv", "table"),
    figure("sentences/ends", "Sentences that are joined", "sentences", "the ends of the paths; also as csv", "table"),
    figure("sentences/samples", "Sentences of codes from the prior", "sentences", "also as csv", "table"),
)
# fmt: on
