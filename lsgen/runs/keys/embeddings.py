"""Entries of the registry for codes that are judged by labels."""

from __future__ import annotations

from collections.abc import Iterator

from lsgen.runs.keys.entry import Entry, ends, figure

__all__ = ["EMBEDDINGS"]


def _scored(pattern: str, name: str, meaning: str, summary: bool = False) -> Iterator[Entry]:
    """Yield the entries of a score, of its 95 % interval and of the level of chance; the latter first."""
    section = "embeddings"
    yield from ends(pattern, name, "", section)
    yield Entry(f"{pattern}_chance", f"{name} by chance", "", section, meaning="of a random order or guess")
    yield Entry(pattern, name, "", section, meaning=meaning, better="higher", summary=summary)


# fmt: off
EMBEDDINGS: tuple[Entry, ...] = (
    *(
        entry
        for pattern, name, meaning, summary in (
            ("retrieval/precision_at_{k}", "precision at {k}", "share of relevant ones among the k nearest", False),
            ("retrieval/recall_at_{k}", "recall at {k}", "share of the relevant ones that the k nearest hold", False),
            ("retrieval/hit_rate_at_{k}", "hit rate at {k}", "whether a relevant one is among the k nearest", False),
            ("retrieval/ndcg_at_{k}", "nDCG at {k}", "discounted gain of the k nearest, over the greatest there is",
                False),
            ("retrieval/r_precision", "R-precision", "precision at as many as there are relevant ones", False),
            ("retrieval/map_at_r", "MAP@R", "mean of the precision at the places of relevant ones up to R", True),
            ("retrieval/mrr", "MRR", "mean of 1 / place of the first relevant one", False),
            ("few_shot/prototype", "few-shot accuracy, prototypes", "by the nearest mean of known codes", True),
            ("few_shot/nearest", "few-shot accuracy, nearest", "by the nearest known code", True),
        )
        for entry in _scored(pattern, name, meaning, summary)
    ),
    Entry("retrieval/queries_left_out", "queries left out", "", "embeddings",
        meaning="that have no relevant observation", default=False),
    Entry("retrieval/queries", "queries", "", "embeddings", meaning="observations that were searched for",
        default=False),
    Entry("few_shot/classes_left_out", "classes left out", "", "embeddings", meaning="with too few observations",
        default=False),
    Entry("few_shot/classes", "classes", "", "embeddings", meaning="of which episodes are made", default=False),
    figure("retrieval/nearest", "Queries and the nearest observations", "embeddings",
        "those of the label of the query have a green frame, others a red one"),
)
# fmt: on
