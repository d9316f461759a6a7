"""Entries of the registry for views of observations: what they find of one another, prompts, and their gap."""

from __future__ import annotations

from collections.abc import Iterator

from lsgen.runs.keys.entry import Entry, ends, figure

__all__ = ["VIEWS"]

SECTION = "views"


def _scored(
    pattern: str, name: str, meaning: str, better: str, beside: dict[str, str], summary: bool = False
) -> Iterator[Entry]:
    """Yield the entries of a score, of its 95 % interval, and of what stands beside it; the score last."""
    yield from ends(pattern, name, "", SECTION)
    for part, words in beside.items():
        yield Entry(f"{pattern}_{part}", f"{name}, {part}", "", SECTION, meaning=words)
    yield Entry(pattern, name, "", SECTION, meaning=meaning, better=better, summary=summary)


_FOUND = {
    "chance": "of a random order",
    "oracle": "of an order by the attributes that captions tell",
}

# fmt: off
VIEWS: tuple[Entry, ...] = (
    *_scored("cross_retrieval/{way}/recall_at_{k}", "{way}, recall at {k}",
        "share of observations of which a hit is among the k nearest of a gallery", "higher", _FOUND, summary=True),
    *_scored("cross_retrieval/{way}/median_rank", "{way}, median rank",
        "place of the first hit, the least that half of the observations reach", "lower", _FOUND),
    Entry("cross_retrieval/gallery", "gallery", "", SECTION, meaning="observations in a gallery", default=False),
    Entry("cross_retrieval/queries", "queries", "", SECTION, meaning="observations that were in a gallery",
        default=False),
    figure("cross_retrieval/{way}/nearest", "What a view finds, {way}", SECTION,
        "queries and the nearest of a gallery; what is no hit in the colour of warnings"),
    *_scored("zero_shot/{view}/accuracy", "zero-shot accuracy of {view}",
        "by the class whose prompts are nearest", "higher",
        {"chance": "of a guess", "majority": "of the most frequent class"}, summary=True),
    *_scored("zero_shot/{view}/probe_codes", "probe of {view} codes",
        "accuracy of a linear probe of the codes, fitted to labels", "higher", {}),
    *_scored("zero_shot/{view}/probe_raw", "probe of {view} values",
        "accuracy of a linear probe of the values as they are, fitted to labels", "higher", {}),
    Entry("zero_shot/{view}/probe_observations", "observations of probes of {view}", "", SECTION,
        meaning="training observations that probes are fitted to", default=False),
    Entry("zero_shot/{view}/observations", "observations of {view}", "", SECTION,
        meaning="held-out observations with a known class", default=False),
    *_scored("modality_gap/{pair}/distance", "gap of {pair}", "distance of the mean codes of two views", "",
        {"chance": "if the means were the same"}, summary=True),
    Entry("modality_gap/{pair}/centred", "gap of {pair}, centred", "", SECTION,
        meaning="distance of the mean directions of codes about the mean of each view"),
    Entry("modality_gap/{pair}/pairs", "cosine of {pair}", "", SECTION, better="higher",
        meaning="mean cosine of both views of an observation"),
    Entry("modality_gap/{pair}/others", "cosine of {pair}, others", "", SECTION,
        meaning="mean cosine of views of different observations"),
    *_scored("modality_gap/{pair}/auc_centred", "separability of {pair}, centred",
        "AUC of a direction that tells two views apart, about the mean of each, cross-validated", "",
        {"chance": "of a guess"}),
    *_scored("modality_gap/{pair}/auc", "separability of {pair}",
        "AUC of a direction that tells two views apart, cross-validated", "", {"chance": "of a guess"}),
    Entry("modality_gap/{pair}/loss_if_closed", "loss of {pair} if the gap were closed", "nats", SECTION,
        meaning="change of InfoNCE at the temperature of the model if both views had one mean"),
    Entry("modality_gap/temperature", "temperature", "", SECTION, meaning="of the logits of the model"),
    figure("modality_gap/{pair}/map", "Map of {pair}", SECTION, "codes of both views, as they are and centred"),
    figure("modality_gap/{pair}/losses", "Loss of {pair} as the gap is closed", SECTION,
        "InfoNCE of a batch while views are moved towards one another, at several temperatures"),
)
# fmt: on
