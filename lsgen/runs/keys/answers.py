"""Entries of the registry for answers to questions, and for captions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lsgen.runs.keys.entry import Entry, ends, figure

__all__ = ["ANSWERS"]


def _share(pattern: str, name: str, meaning: str, **more: Any) -> Iterator[Entry]:
    """Yield the entries of a share and of the ends of its interval."""
    yield from ends(pattern, name, "", "answers")
    yield Entry(pattern, name, section="answers", meaning=meaning, better="higher", **more)


# fmt: off
ANSWERS: tuple[Entry, ...] = (
    *_share("answers/{split}/model/all", "right answers, {split}", "share of right answers", summary=True,
        card=("Right answers", "share")),
    *_share("answers/{split}/model/{kind}", "right answers, {split}, {kind}", "the same of questions of a kind",
        summary=True),
    *_share("answers/{split}/{guess}/all", "right answers, {split}, {guess}", "the same of a model that does not see "
        "all modalities, of the most frequent answer of training, or of that to the same text", summary=True),
    *_share("answers/{split}/{guess}/{kind}", "right answers, {split}, {kind}, {guess}",
        "the same of questions of a kind"),
    figure("answers/{split}/bars", "Right answers by kind of question, {split}", "answers",
        "shares of right answers with 95 % intervals, beside what can be guessed"),
    figure("answers/{split}/scores", "Right answers, {split}", "answers",
        "all of these numbers, with intervals; also as csv", "table"),
    figure("answers/examples", "Questions and answers", "answers", "held-out observations with the model's answers"),
    *(
        Entry(f"captions/{{split}}/{{by}}/bleu_{n}", f"BLEU-{n}, {{split}}, {{by}}", section="answers",
            better="higher", summary=n == 4, meaning=f"right words and sequences of up to {n} words, of all captions "
            "together, without smoothing")
        for n in (1, 2, 3, 4)
    ),
    *_share("captions/{split}/{by}/attribute/{attribute}", "right {attribute}, {split}, {by}",
        "share of captions that say the true value of the attribute, of those that should"),
    *_share("captions/{split}/{by}/exact", "all attributes right, {split}, {by}",
        "share of captions that say the true values of all attributes and nothing else", summary=True,
        card=("Captions", "all attributes right")),
    *_share("captions/{split}/{by}/valid", "sentences, {split}, {by}", "share of captions that the grammar allows"),
    Entry("captions/{split}/{by}/novel", "new captions, {split}, {by}", section="answers",
        meaning="share of captions that training has not shown"),
    *ends("captions/{split}/{by}/novel", "new captions, {split}, {by}", "", "answers"),
    figure("captions/{split}/scores", "Captions, {split}", "answers",
        "all of these numbers, with intervals; also as csv", "table"),
    figure("captions/examples", "Captions", "answers", "held-out observations with the model's captions"),
)
# fmt: on
