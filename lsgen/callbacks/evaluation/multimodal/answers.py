"""How many answers are right, by kind of question, beside what can be guessed without seeing everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen import viz
from lsgen.analysis.intervals import share_interval
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.held_out_scores import check_labelled
from lsgen.callbacks.evaluation.multimodal.observed_parts import ObservedParts, multimodal_data
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import MultimodalData, Split
from lsgen.metrics.multimodal import FrequentAnswers, RightAnswers, right_answers
from lsgen.models.multimodal import AnswerSpace
from lsgen.viz.style import INK, MUTED, SERIES

__all__ = ["AnswerQuality"]

Counts = Mapping[str, RightAnswers]


class AnswerQuality(PeriodicCallback):
    """Logs the share of right answers to held-out questions, of every kind, with 95 % intervals.

    Beside the model stand the most frequent answer of training; for every modality that is a text, the most frequent
    answer to the same text in training, which no predictor of the text alone can beat; and, where the data know it, the
    best that a modality alone allows. A model that does not see all modalities has another name, such as
    "model_of_question".

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `PeriodicCallback`.
        n: held-out questions of each split, drawn at random; all of them where there are fewer.
        splits: where they come from.
        known: training questions that guesses are learned from; all of them where there are fewer.
        shown: questions in the picture; 0 for none.
        chunk_size: questions answered at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is not positive, or no split is named; when training starts, the data have no labels.
        TypeError: when training starts, the data are no `MultimodalData`. Of a space without answers, a line says that
            it is left out.

    """

    family: ClassVar[str] = "answers"
    judges: ClassVar[bool] = True
    takes: ClassVar[type] = AnswerSpace
    default_steps: ClassVar[int | None] = None

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2000,
        splits: Sequence[Split] = ("val", "test"),
        known: int = 20_000,
        shown: int = 12,
        chunk_size: int = 250,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, known=known, chunk_size=chunk_size)
        self.at_least(0, shown=shown)
        if not splits:
            raise ValueError("AnswerQuality expected at least one split, got none")
        self.n, self.splits, self.known, self.shown = n, tuple(splits), known, shown
        self.chunk_size = chunk_size
        self._data: MultimodalData | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module; refuse one without labels."""
        self._data = multimodal_data(self, trainer, self.splits)
        self.__dict__.pop("_guesses", None)
        check_labelled(self, self._data, self.splits)

    def render(self, space: AnswerSpace, probe: Probe | None, sink: Sink) -> None:
        """Answer, count and log."""
        assert self._data is not None
        for split, asked in ObservedParts.each(self._data, self.splits, self.n):
            given = torch.cat([space.logits(x).argmax(1).cpu() for x in asked.batches(self.chunk_size, space)])
            self._log(split, space, asked, given, sink)
            if self.shown and split == self.splits[-1]:
                self._draw(space, asked, given, sink)

    def _log(self, split: Split, space: AnswerSpace, asked: ObservedParts, given: Tensor, sink: Sink) -> None:
        kinds, names = self._kinds(asked)
        every = {_name(space): given, **self._guessed(asked)}
        counts = {by: right_answers(answers, asked.label, kinds, names) for by, answers in every.items()}
        scalars, rows = dict[str, float](), []
        for by, found in counts.items():
            for kind, one in found.items():
                low, high = share_interval(one.right, one.asked)
                key = f"{self.family}/{split}/{by}/{kind}"
                scalars |= {key: one.right / one.asked, f"{key}_low": low, f"{key}_high": high}
                rows.append([by, kind, one.right / one.asked, low, high, one.asked])
        sink.scalars(scalars | self._ceilings(split))
        columns = ["answered by", "questions", "accuracy", "lower end", "upper end", "number"]
        sink.rows(f"{self.family}/{split}/scores", columns, rows)
        sink.image(f"{self.family}/{split}/bars", _bars(counts, f"Right answers, {split}"))

    def _kinds(self, asked: ObservedParts) -> tuple[Tensor, tuple[str, ...]]:
        """Return of what kind each question is, (N,), and what kinds are called."""
        assert self._data is not None
        names = tuple(getattr(self._data, "types", ()))
        if not names or "type" not in self._data.factor_names or asked.factors is None:
            return torch.zeros_like(asked.label), ("questions",)
        return asked.factors[:, self._data.factor_names.index("type")], names

    def _guessed(self, asked: ObservedParts) -> dict[str, Tensor]:
        """Return answers that are guessed from training, (N,) each, by what is looked at."""
        texts = {name: asked.texts(name) for name in asked.data.vocabularies}
        most, guesses = self._guesses
        found = {"most_frequent": torch.full_like(asked.label, most)}
        by_text = {name: torch.tensor(guess(texts[name])) for name, guess in guesses.items()}
        return found | {f"most_frequent_of_{name}": answers for name, answers in by_text.items()}

    @cached_property
    def _guesses(self) -> tuple[int, dict[str, FrequentAnswers]]:
        """The most frequent answer of training, and that to each text, by modality."""
        assert self._data is not None
        trained = ObservedParts.of(self._data, "train", self.known)
        label = trained.label.tolist()
        guesses = {name: FrequentAnswers(trained.texts(name), label) for name in self._data.vocabularies}
        return int(torch.bincount(trained.label).argmax()), guesses

    def _ceilings(self, split: Split) -> dict[str, float]:
        """Return the best accuracy that each modality alone allows, where the data know it."""
        known: Mapping[str, float] = getattr(self._data, "best_accuracy", {})
        return {f"{self.family}/{split}/best_of_{name}/all": float(value) for name, value in known.items()}

    def _draw(self, space: AnswerSpace, asked: ObservedParts, given: Tensor, sink: Sink) -> None:
        shown = min(self.shown, len(given))
        texts = [asked.texts(name)[:shown] for name in asked.data.vocabularies]
        lines = []
        for i in range(shown):
            said, true = (space.answers[int(answers[i])] for answers in (given, asked.label))
            right = viz.TextLine(said, SERIES[2]), viz.TextLine("", MUTED)
            wrong = viz.TextLine(said, SERIES[1]), viz.TextLine(f"true: {true}", MUTED)
            lines.append([*(viz.TextLine(text[i], INK) for text in texts), *(right if said == true else wrong)])
        title = "Questions with the model's answers: green where it is right, else with the true one"
        sink.image(f"{self.family}/examples", viz.captioned(asked.pictures(shown), lines, title=title))


def _name(space: AnswerSpace) -> str:
    """Return what a model is called: another name if it does not see all modalities."""
    whole = space.views == space.packing.names
    return "model" if whole else f"model_of_{'_and_'.join(space.views)}"


def _bars(counts: Mapping[str, Counts], title: str) -> viz.Pixels:
    kinds = list(next(iter(counts.values())))
    series = {
        by.replace("_", " "): [
            (found[kind].right / found[kind].asked, *share_interval(found[kind].right, found[kind].asked))
            for kind in kinds
        ]
        for by, found in counts.items()
    }
    return viz.horizontal_bars(series, kinds, title, "share of right answers, with 95 % intervals")
