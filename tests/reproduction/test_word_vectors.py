"""Scores of word vectors against gensim, and of relations against planted ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lsgen.analysis.analogies import read_questions
from lsgen.data.text.benchmarks import benchmark_file
from lsgen.latent import Codes
from lsgen.latent.vectors import to_keyed_vectors, write_vectors
from lsgen.reproduction.comparisons.relations import RelationDirections
from lsgen.reproduction.comparisons.word_scores import WordScores

pytest.importorskip("gensim")
SECTIONS = ("family", "gram7-past-tense")


def _vectors(shift: float) -> Codes:
    """Return vectors of the words of two sections, the second of each pair moved, and of others."""
    questions, sections = read_questions(benchmark_file("google"), lower=True)
    chosen = [words for words, section in zip(questions, sections, strict=True) if section in SECTIONS]
    firsts = list(dict.fromkeys(word for a, _, c, _ in chosen for word in (a, c)))
    partner = {a: b for a, b, _, _ in chosen}
    rng = np.random.default_rng(0)
    z = rng.standard_normal((len(firsts), 8))
    moved = z + shift * np.eye(8)[0] + 0.5 * rng.standard_normal(z.shape)
    others = rng.standard_normal((200, 8))
    words = [*firsts, *(partner[word] for word in firsts), *(f"x{i}" for i in range(200))]
    kept = np.unique(words, return_index=True)[1]
    return Codes(np.concatenate([z, moved, others])[kept].astype(np.float32), np.array(words, dtype=object)[kept])


def test_analogies_are_those_that_gensim_counts(tmp_path: Path) -> None:
    codes = _vectors(2.0)
    write_vectors(tmp_path / "v", codes)
    found = WordScores(str(tmp_path / "v"), similarities=()).__call__({})
    score, sections = to_keyed_vectors(codes).evaluate_word_analogies(
        str(benchmark_file("google")), restrict_vocab=len(codes), case_insensitive=False
    )
    known = [one for one in sections[:-1] if one["correct"] or one["incorrect"]]
    shares = [100 * len(one["correct"]) / (len(one["correct"]) + len(one["incorrect"])) for one in known]
    assert 5 < found.values["standard"] == pytest.approx(100 * score)
    assert found.arrays["standard_sections"].tolist() == [pytest.approx(shares)] * 2
    assert found.values["standard_syntactic"] == pytest.approx(
        shares[[one["section"] for one in known].index("gram7-past-tense")]
    )
    assert found.values["honest"] < found.values["standard"]


def test_planted_relations_are_told_from_noise(tmp_path: Path) -> None:
    codes = _vectors(2.0)
    write_vectors(tmp_path / "v", codes)
    found = RelationDirections(str(tmp_path / "v"), most=None, draws=3, permutations=99)({})
    assert found.values["reliability"] > 0.9
    assert found.values["reliability_noise"] < 0.4
    assert found.values["p_value"] <= 0.02 < found.values["p_value_noise"]
    place = {name: row for row, name in enumerate(codes.ids.tolist())}
    questions, sections = read_questions(benchmark_file("google"), lower=True)
    family = {
        pair
        for (a, b, c, d), name in zip(questions, sections, strict=True)
        if name == "family"
        for pair in ((a, b), (c, d))
    }
    pairs = [(place[a], place[b]) for a, b in family if a in place and b in place]
    difference = np.array([codes.z[j] - codes.z[i] for i, j in pairs], dtype=float)
    unit = difference / np.linalg.norm(difference, axis=1)[:, None]
    cosines = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    assert found.arrays["cosine"][0] == pytest.approx(found.arrays["cosine"][1])
    assert cosines.mean() in [pytest.approx(value) for value in found.arrays["cosine"][0]]
    assert found.values["effect_noise"] > 0.05
    with pytest.raises(ValueError, match="expected at least one draw"):
        RelationDirections(draws=0)
