"""Entries of the registry for benchmarks of word vectors, and for sentences that models write."""

from __future__ import annotations

from collections.abc import Iterator

from lsgen.runs.keys.entry import Chart, Entry, ends, figure

__all__ = ["SENTENCES", "WORDS"]


def _with_ends(pattern: str, name: str, meaning: str, *, better: str = "", **more: object) -> Iterator[Entry]:
    """Yield the entry of a number and of the two ends of its 95 % interval."""
    yield Entry(f"words/{pattern}", name, "", "words", meaning=meaning, better=better, **more)  # type: ignore[arg-type]
    yield from ends(f"words/{pattern}", name, "", "words")


# fmt: off
WORDS: tuple[Entry, ...] = (
    *_with_ends("analogies/{test}/section/{section}/standard", "{section} of {test}", "share of the analogies of one "
        "section that are solved, with a, b and c left out of the answers", better="higher"),
    *_with_ends("analogies/{test}/section/{section}/honest", "{section} of {test}, honest",
        "the same with all words as answers", better="higher"),
    *_with_ends("analogies/{test}/standard", "analogies, {test}", "share of the analogies whose words are known "
        "that are solved, with a, b and c left out of the answers", better="higher", summary=True,
        card=("Analogies", "solved"), chart=Chart("Analogies", "share solved", "standard")),
    *_with_ends("analogies/{test}/honest", "analogies, {test}, honest", "the same with all words as answers",
        better="higher", summary=True, chart=Chart("Analogies", "share solved", "honest")),
    *_with_ends("analogies/{test}/returns_input", "answers that are inputs, {test}",
        "share whose honest answer is a, b or c", better="lower"),
    *_with_ends("analogies/{test}/nearest_of_c", "nearest of c, {test}", "share in which d is the word nearest to c, "
        "with a and b left out: what the direction adds nothing to"),
    *_with_ends("analogies/{test}/only_b", "only b, {test}",
        "share in which d is the word nearest to b, with a and c left out"),
    *_with_ends("similarity/{test}/spearman", "similarity, {test}", "Spearman's correlation of cosines (off flat space "
        "and spheres minus distances) with ratings, over pairs whose words are known", better="higher", summary=True,
        card=("Similarity", "Spearman"), chart=Chart("Similarity", "Spearman")),
    *_with_ends("similarity/{test}/pearson", "similarity, {test}, Pearson", "Pearson's of the same", better="higher"),
    *_with_ends("similarity/{test}/{correlation}_zero", "{correlation}, {test}, 0 for unknown", "the same over all "
        "pairs, those that are not known with the similarity 0", better="higher"),
    Entry("words/{kind}/{test}/coverage", "coverage of {test}, {kind}", "", "words", better="higher",
        meaning="share of questions, or of pairs, whose words are all known"),
    figure("words/analogies", "Analogies by section", "words",
        "shares that are solved, standard and honest, with 95 % intervals"),
    figure("words/scores", "Scores of words", "words", "all of these numbers, with intervals; also as csv", "table"),
    figure("words/unknown", "Words that are not known", "words",
        "words and pairs that are not known, and how often they are asked for; also as csv", "table"),
)

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
