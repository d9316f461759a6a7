"""Correlations of similarities against scipy and gensim; both policies for unknown words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from lsgen.latent import Codes, PoincareBall
from lsgen.metrics.words import SimilarityCorrelation, pair_similarities


def _computed(x: np.ndarray, y: np.ndarray, level: float = 0.95) -> dict:
    metric = SimilarityCorrelation(level)
    metric.update(torch.from_numpy(x), torch.from_numpy(y))
    return metric.compute()


def test_correlations_and_intervals_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, 60).astype(float)  # with ties
    y = 0.5 * x + rng.standard_normal(60).round(1)
    found = _computed(x, y, 0.9)["drop"]
    pearson = stats.pearsonr(x, y)
    assert float(found["pearson"]) == pytest.approx(pearson.statistic)
    ends = pearson.confidence_interval(0.9)
    assert [float(found[f"pearson_{end}"]) for end in ("low", "high")] == pytest.approx([ends.low, ends.high])
    assert float(found["spearman"]) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert float(found["spearman_low"]) < float(found["spearman"]) < float(found["spearman_high"])


def test_the_interval_of_spearman_covers() -> None:
    rng, covered, n = np.random.default_rng(1), 0, 400
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # of a normal distribution with the correlation 0.6
    for _ in range(n):
        x = rng.standard_normal(50)
        found = _computed(x, 0.6 * x + 0.8 * rng.standard_normal(50))["drop"]
        covered += float(found["spearman_low"]) <= truth <= float(found["spearman_high"])
    assert stats.binomtest(covered, n, 0.95).pvalue > 1e-3


def test_pairs_without_variation_or_too_few_of_them_have_no_number() -> None:
    assert torch.tensor(list(_computed(np.ones(9), np.arange(9.0))["drop"].values())).isnan().all()
    few = _computed(np.arange(3.0), np.array([1.0, 3.0, 2.0]))["drop"]
    assert float(few["spearman"]) == pytest.approx(0.5)
    assert few["spearman_low"].isnan()
    none = _computed(np.full(5, np.nan), np.arange(5.0))
    assert none["drop"]["pearson"].isnan()
    assert (int(none["known"]), int(none["pairs"])) == (0, 5)


def test_what_is_no_pair_is_refused() -> None:
    metric = SimilarityCorrelation()
    with pytest.raises(ValueError, match=r"expected similarities and ratings \(N,\), got \(2,\) and \(3,\)"):
        metric.update(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="expected finite ratings, got 1"):
        metric.update(torch.zeros(2), torch.tensor([0.0, torch.nan]))
    with pytest.raises(ValueError, match="expected a level in"):
        SimilarityCorrelation(1.0)
    with pytest.raises(ValueError, match="expected at least one pair"):
        pair_similarities(Codes(np.ones((2, 2)), ["a", "b"]), [])


def test_both_policies_agree_with_gensim(tmp_path: Path) -> None:
    pytest.importorskip("gensim")
    from lsgen.latent.vectors import to_keyed_vectors

    rng = np.random.default_rng(2)
    words = [f"w{i}" for i in range(30)]
    codes = Codes(rng.standard_normal((30, 5)).astype(np.float32), words)
    names = [*words, "x", "y"]
    rows = rng.choice(32 * 31, 80, replace=False)  # of a word with itself gensim's cosine differs by rounding
    pairs = [(names[i // 31], names[(i // 31 + 1 + i % 31) % 32]) for i in rows.tolist()]
    ratings = rng.standard_normal(80)
    lines = [f"{a}\t{b}\t{value!r}\n" for (a, b), value in zip(pairs, ratings.tolist(), strict=True)]
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    similar = pair_similarities(codes, pairs)
    assert similar.unknown == tuple(pair for pair in pairs if {"x", "y"} & set(pair))
    found = _computed(similar.values.numpy(), ratings)
    for policy, dummy in (("drop", False), ("zero", True)):
        pearson, spearman, unknown = to_keyed_vectors(codes).evaluate_word_pairs(
            str(tmp_path / "pairs.tsv"), dummy4unknown=dummy, case_insensitive=False
        )
        assert float(found[policy]["pearson"]) == pytest.approx(pearson[0], abs=1e-6)
        assert float(found[policy]["spearman"]) == pytest.approx(spearman[0], abs=1e-6)
        assert dummy or unknown == pytest.approx(100 * len(similar.unknown) / 80)


def test_similarity_off_flat_space_is_minus_the_distance() -> None:
    z = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, -0.25]])
    found = pair_similarities(Codes(z, ["o", "p", "q"], PoincareBall()), [("o", "p"), ("q", "o"), ("o", "z")])
    assert found.values[:2].tolist() == pytest.approx([-2 * np.arctanh(0.5), -2 * np.arctanh(0.25)])
    assert found.values[2].isnan()
    assert found.unknown == (("o", "z"),)


def test_words_with_themselves_are_equally_similar() -> None:
    codes = Codes(np.random.default_rng(3).standard_normal((50, 7)), [str(i) for i in range(50)])
    assert (pair_similarities(codes, [(str(i), str(i)) for i in range(50)]).values == 1).all()
