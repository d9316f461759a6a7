"""Benchmarks of words: what is asked is answered by hand, and what is not known is listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
from named_points import WORDS, NamedPoints, word_files
from pytorch_lightning import Trainer
from scipy.stats import spearmanr

from lsgen.callbacks import WordBenchmarks, WordTests
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Digits
from lsgen.latent import Codes, ItemTable

Z = np.array([[0, 1], [1, 1], [0, 2], [2.1, 2], [-1, 0], [-1, -1], [0.3, -1]], dtype=np.float32)


class Kept(Sink):
    """Keeps tables."""

    def table(self, key: str, columns: object, rows: object) -> None:
        self.tables = {**getattr(self, "tables", {}), key: list(rows)}  # type: ignore[call-overload]


def _found(tmp_path: Path, **options: object) -> Kept:
    questions, pairs = word_files(tmp_path)
    sink = Kept(tmp_path, 3)
    WordBenchmarks(WordTests([questions], [pairs], **options)).run(ItemTable(Codes(Z, list(WORDS))), None, sink)  # type: ignore[arg-type]
    return sink


def test_what_is_asked_is_answered_and_what_is_unknown_is_listed(tmp_path: Path) -> None:
    sink = _found(tmp_path)
    values = sink.values
    place = "words/analogies/questions"
    # zero : one :: two : three; without the inputs three is nearest, with them one is
    assert values[f"{place}/standard"] == 1
    assert values[f"{place}/honest"] == 0
    assert values[f"{place}/returns_input"] == 1
    assert values[f"{place}/coverage"] == 0.5
    assert values[f"{place}/section/next/standard"] == 1
    cosines = [
        Z[i] @ Z[j] / np.linalg.norm(Z[i]) / np.linalg.norm(Z[j]) for i, j in [(0, 1), (1, 2), (2, 3), (3, 6), (6, 0)]
    ]
    ratings = [3, 2, 2.5, 1, 0, 1]
    place = "words/similarity/pairs"
    assert values[f"{place}/spearman"] == pytest.approx(spearmanr(cosines, ratings[:5]).statistic)
    assert values[f"{place}/spearman_zero"] == pytest.approx(spearmanr([*cosines, 0], ratings).statistic)
    assert values[f"{place}/coverage"] == pytest.approx(5 / 6)
    assert sink.tables["words/unknown"] == [
        ["analogies/questions", "nine", 1],
        ["analogies/questions", "ten", 1],
        ["similarity/pairs", "one nine", 1],
    ]
    assert ["similarity/pairs", "coverage", 0.8333, None, None, 6] in sink.tables["words/scores"]
    for rows in sink.tables.values():
        wandb.Table([str(i) for i in range(len(rows[0]))], rows)  # which refuses a column of several types
    assert (tmp_path / "figures" / "words" / "analogies" / "00000003.png").is_file()
    assert "one nine" in (tmp_path / "figures" / "words" / "unknown" / "00000003.csv").read_text()


def test_a_vocabulary_without_a_question_has_the_coverage_nought_alone(tmp_path: Path) -> None:
    keys = {key for key in _found(tmp_path, most=5, lowercase=False).values if "analogies" in key}
    assert "words/analogies/questions/standard" in keys  # zero to three are among the first five
    sink = Kept(tmp_path, 0)
    benchmark = WordBenchmarks(WordTests([word_files(tmp_path)[0]]))
    benchmark.run(ItemTable(Codes(Z, [f"x{word}" for word in WORDS])), None, sink)  # type: ignore[arg-type]
    assert sink.values == {"words/analogies/questions/coverage": 0.0}


def test_it_fires_with_what_the_data_know(tmp_path: Path) -> None:
    data = Digits(val_size=64, test_size=64, batch_size=256)
    data.questions = [("s", "zero", "one", "two", "three")]  # type: ignore[attr-defined]
    data.similarities = [("zero", "one", 1.0), ("one", "two", 0.5), ("two", "three", 0.1)]  # type: ignore[attr-defined]
    torch.manual_seed(0)
    rows: list[dict[str, float]] = []
    benchmark = WordBenchmarks(every_n_steps=2)
    trainer = Trainer(
        default_root_dir=tmp_path, max_epochs=1, accelerator="cpu", callbacks=[benchmark], logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sink, "close", lambda self: rows.append(self.values))
        trainer.fit(NamedPoints(max_steps=5), data)
    assert len(rows) == 3  # after 2, 4 and 5 steps
    assert all({"words/analogies/data/standard", "words/similarity/data/spearman"} <= set(row) for row in rows)


def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected to test at least 5 items, got most = 4"):
        WordBenchmarks(WordTests(most=4))
    with pytest.raises(FileNotFoundError, match="expected google, wordsim353, simlex999 or a file"):
        WordBenchmarks(WordTests(["none"]))
    benchmark = WordBenchmarks(WordTests(of_data=False))
    with pytest.raises(ValueError, match="expected analogies or similarities to ask for, got none in tests"):
        benchmark.setup(Trainer(logger=False, accelerator="cpu"), NamedPoints(), "fit")
    with pytest.raises(TypeError, match=r"latent_space to be a lsgen\.latent\.ItemSpace, got NoneType"):
        benchmark.check(torch.nn.Linear(1, 1))  # type: ignore[arg-type]


def test_data_that_know_nothing_of_their_words_are_asked_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("lsgen.callbacks.evaluation.embedding.words.rank_zero_info", told.append)
    benchmark = WordBenchmarks()
    benchmark.setup(Trainer(logger=False, accelerator="cpu"), NamedPoints(), "fit")
    assert told == [
        "WordBenchmarks asks nothing: the data know no analogies or similarities; name files, or google and "
        "wordsim353, in tests"
    ]
    benchmark.render(NamedPoints().latent_space, None, Sink(tmp_path, 1))
    assert not list(tmp_path.iterdir())


def test_a_vector_without_direction_leaves_out_what_needs_it_and_no_more(tmp_path: Path) -> None:
    questions, pairs = word_files(tmp_path)
    z = np.concatenate([Z, np.zeros((1, 2), dtype=np.float32)])
    sink, tests = Kept(tmp_path, 3), WordTests([questions], [pairs])
    with pytest.warns(UserWarning, match="left out the analogies of questions: expected vectors that have a direction"):
        WordBenchmarks(tests).run(ItemTable(Codes(z, [*WORDS, "padding"])), None, sink)
    assert sink.values["words/similarity/pairs/spearman"] == _found(tmp_path).values["words/similarity/pairs/spearman"]
    assert not any("analogies" in key for key in sink.values)
