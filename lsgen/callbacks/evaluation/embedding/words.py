"""Benchmarks of word vectors while they train: analogies, standard and honest, and similarities that people judged.

Reference: see `lsgen.analysis.analogies` and `lsgen.metrics.words.similarity`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_info, rank_zero_warn

from lsgen import viz
from lsgen.analysis import Statistic
from lsgen.analysis.analogies import AnalogyScores, evaluate_analogies, read_questions
from lsgen.analysis.analogies.evaluation import SCORES
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data.text.benchmarks import Rating, benchmark_file, read_similarities
from lsgen.latent import Codes, ItemSpace
from lsgen.metrics.words import SimilarityCorrelation, pair_similarities

__all__ = ["WordBenchmarks", "WordTests"]

Question = tuple[str, str, str, str, str]

MOST_UNKNOWN = 1000  # of unknown words or pairs that are listed


@dataclass(frozen=True)
class WordTests:
    """What word vectors are tested by.

    Attributes:
        analogies: names of files of questions, see `lsgen.data.text.benchmarks`.
        similarities: names of files of pairs of words with ratings.
        of_data: whether the questions and similarities that the data know are asked as well, under the name `data`.
        lowercase: whether words of files are taken in small letters.
        most: number of items, from the first on, that are tested; all if None.
        method: how analogies are solved, see `lsgen.analysis.analogies`.

    """

    analogies: Sequence[str] = ()
    similarities: Sequence[str] = ()
    of_data: bool = True
    lowercase: bool = True
    most: int | None = None
    method: str | None = None


class WordBenchmarks(PeriodicCallback):
    """Measures how well the codes of words solve analogies and order pairs as people do.

    Sets of questions without one in the vocabulary are logged with the coverage 0 alone. Of a test that codes do not
    allow, such as by cosines with a vector of zeros, there is a warning and nothing else.

    Args:
        tests: what is asked.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a file is damaged; when training starts, neither tests nor the data are to be asked.
        FileNotFoundError: there is no such file.
        ImportError: a file is gensim's, which is not installed.
        TypeError: when training starts, the model has no space. Of a space without items, a line says that it is left
            out.

    """

    family: ClassVar[str] = "words"
    judges: ClassVar[bool] = True
    takes: ClassVar[type] = ItemSpace
    default_steps: ClassVar[int | None] = None

    def __init__(
        self,
        tests: WordTests = WordTests(),
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        if tests.most is not None and tests.most < 5:
            raise ValueError(f"WordBenchmarks expected to test at least 5 items, got most = {tests.most}")
        self.tests = tests
        self._questions = {_key(name): _questions(name, tests.lowercase) for name in tests.analogies}
        self._pairs = {
            _key(name): read_similarities(benchmark_file(name), tests.lowercase) for name in tests.similarities
        }

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take what the data know of their words."""
        data = getattr(trainer, "datamodule", None)
        if self.tests.of_data:
            for known, name in ((self._questions, "questions"), (self._pairs, "similarities")):
                if found := getattr(data, name, ()):
                    known["data"] = tuple(found)
        if not self._questions and not self._pairs:
            if not self.tests.of_data:
                raise ValueError("WordBenchmarks expected analogies or similarities to ask for, got none in tests")
            rank_zero_info(
                "WordBenchmarks asks nothing: the data know no analogies or similarities; name files, or google and "
                "wordsim353, in tests"
            )

    def render(self, space: ItemSpace, probe: Probe | None, sink: Sink) -> None:
        """Test the items of a space and log, where there is something to ask."""
        if not self._questions and not self._pairs:
            return
        codes, turn = space.items(), _Turn(sink)
        if self.tests.most is not None and self.tests.most < len(codes):
            codes = codes.select(np.arange(self.tests.most))
        for name, asked in self._questions.items():
            with _warned(f"the analogies of {name}"):
                turn.analogies(codes, name, asked, self.tests.method)
        for name, rated in self._pairs.items():
            with _warned(f"the similarities of {name}"):
                turn.similarities(codes, name, rated)
        turn.close()


@dataclass
class _Turn:
    """What one turn has found, which goes to the log as it comes."""

    sink: Sink
    rows: list[list[Any]] = field(default_factory=list)
    unknown: list[list[Any]] = field(default_factory=list)
    bars: dict[str, AnalogyScores] = field(default_factory=dict)

    def analogies(self, codes: Codes, name: str, asked: Sequence[Question], method: str | None) -> None:
        """Ask analogies."""
        place, known = f"words/analogies/{name}", set(codes.ids.tolist())
        missing = Counter(word for _, *words in asked for word in words if word not in known)
        self.unknown += [[f"analogies/{name}", word, times] for word, times in missing.most_common(MOST_UNKNOWN)]
        if len(codes) < 5 or not any(all(word in known for word in words) for _, *words in asked):
            self.add(place, "coverage", Statistic(0.0, len(asked)))
            return
        found = evaluate_analogies(codes, [one[1:] for one in asked], [one[0] for one in asked], method)
        for score in SCORES:
            self.add(place, score, getattr(found.total, score))
        self.bars[f"{name}, all"] = found.total
        for section, scores in found.sections.items():
            for score in ("standard", "honest"):
                self.add(f"{place}/section/{_key(section)}", score, getattr(scores, score))
            self.bars[section if section not in self.bars else f"{name}, {section}"] = scores

    def similarities(self, codes: Codes, name: str, rated: Sequence[Rating]) -> None:
        """Compare similarities with ratings."""
        similar = pair_similarities(codes, [(a, b) for a, b, _ in rated])
        metric = SimilarityCorrelation(sync_on_compute=False)  # the other processes take no part in this turn
        metric.update(similar.values, torch.tensor([value for _, _, value in rated], dtype=torch.float64))
        found = metric.compute()
        known, pairs = int(found["known"]), int(found["pairs"])
        self.unknown += [[f"similarity/{name}", f"{a} {b}", 1] for a, b in similar.unknown[:MOST_UNKNOWN]]
        self.add(f"words/similarity/{name}", "coverage", Statistic(known / pairs, pairs))
        for policy, end, n in (("drop", "", known), ("zero", "_zero", pairs)):
            for kind in ("spearman", "pearson") if policy == "drop" or known < pairs else ():
                value, low, high = (float(found[policy][f"{kind}{part}"]) for part in ("", "_low", "_high"))
                interval = (low, high) if isfinite(low) else None
                self.add(f"words/similarity/{name}", f"{kind}{end}", Statistic(value, n, interval))

    def add(self, place: str, score: str, one: Statistic) -> None:
        """Log a number and the ends of its interval, where it is finite."""
        if not isfinite(one.value):
            return
        key, ends = f"{place}/{score}", one.interval or ()
        self.sink.scalars({key: one.value, **dict(zip((f"{key}_low", f"{key}_high"), ends, strict=False))})
        shown = [None if number is None else float(f"{number:.4g}") for number in (one.value, *(ends or (None, None)))]
        self.rows.append([place.removeprefix("words/"), score, *shown, one.n])

    def close(self) -> None:
        """Log the tables and the chart."""
        self.sink.rows("words/scores", ["test", "statistic", "value", "lower end", "upper end", "n"], self.rows)
        if self.unknown:
            self.sink.rows("words/unknown", ["test", "words", "times"], self.unknown)
        if self.bars:
            kinds = ("standard", "honest")
            series = {kind: [_bar(getattr(scores, kind)) for scores in self.bars.values()] for kind in kinds}
            title = "Analogies that are solved, with 95 % intervals"
            self.sink.image(
                "words/analogies", viz.horizontal_bars(series, list(self.bars), title, "share of questions")
            )


@contextmanager
def _warned(what: str) -> Iterator[None]:
    """Warn of what cannot be measured."""
    try:
        yield
    except ValueError as error:
        rank_zero_warn(f"WordBenchmarks left out {what}: {error}")


def _questions(name: str, lowercase: bool) -> tuple[Question, ...]:
    questions, sections = read_questions(benchmark_file(name), lowercase)
    return tuple((section, *words) for section, words in zip(sections, questions, strict=True))


def _bar(one: Statistic) -> tuple[float, float, float]:
    low, high = one.interval or (nan, nan)
    return one.value, low, high


def _key(name: str) -> str:
    """Return a name or the stem of a path as a part of a key."""
    stem = name.rsplit("/", 1)[-1].split(".")[0]
    return stem.replace(" ", "_").replace("/", "_") or "file"
