"""How many analogies vectors of words answer, and how well they order pairs as people do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lsgen.analysis.analogies import AnalogyScores, evaluate_analogies, read_questions
from lsgen.data.text.benchmarks import benchmark_file, read_similarities
from lsgen.data.text.glove_6b import glove_6b_50d
from lsgen.latent import Codes
from lsgen.latent.vectors import read_vectors
from lsgen.metrics.words import SimilarityCorrelation, pair_similarities
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["WordScores", "word_vectors"]

SCORES = ("standard", "honest", "returns_input", "nearest_of_c", "only_b")


@dataclass(frozen=True)
class WordScores:
    """Measures analogies and similarities of word vectors.

    Analogies are Google's, answered by the cosine of b - a + c of unit vectors. Keys, in per cent: `standard`, with the
    inputs left out of the answers, `honest`, with all words as answers, `returns_input`, `nearest_of_c` and `only_b`,
    of all questions, and with _semantic and _syntactic of the five sections about the world and the nine about grammar;
    SCORE_sections is their average over sections, and its array (2, sections) holds each, in two equal rows, as nothing
    is random. `questions` is how many have all words known. SET_rho is Spearman's correlation of the cosines of pairs
    with ratings, SET_low and SET_high the ends of its 95 % interval, SET_pairs the number of known pairs.

    Attributes:
        vectors: a file of vectors, see `lsgen.latent.vectors`; those of GloVe 6B in 50 dimensions if None.
        most: number of words, from the most frequent one on; all if None.
        similarities: sets of pairs of words, see `lsgen.data.text.benchmarks`.

    Reference: Mikolov et al., "Efficient estimation of word representations in vector space" (2013),
    https://arxiv.org/abs/1301.3781, section 4.1, for the questions.
    """

    vectors: str | None = None
    most: int | None = None
    similarities: Sequence[str] = ("wordsim353", "simlex999")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the scores; no run is looked at."""
        codes = word_vectors(self.vectors, self.most)
        values, arrays = _analogies(codes)
        for name in self.similarities:
            values |= _similarities(codes, name)
        return Measured(values, arrays)


def word_vectors(file: str | None, most: int | None) -> Codes:
    """Return the vectors of a file, or those of GloVe 6B in 50 dimensions."""
    return glove_6b_50d(most) if file is None else read_vectors(file, most=most)


def _analogies(codes: Codes) -> tuple[dict[str, float], dict[str, Any]]:
    questions, sections = read_questions(benchmark_file("google"), lower=True)
    found = evaluate_analogies(codes, questions, sections)
    parts: dict[str, list[AnalogyScores]] = {"": list(found.sections.values()), "_semantic": [], "_syntactic": []}
    for name, scores in found.sections.items():
        parts["_syntactic" if name.startswith("gram") else "_semantic"].append(scores)
    values = {"questions": float(found.total.standard.n)}
    arrays = {}
    for score in SCORES:
        for part, each in parts.items():
            shares, counts = (np.array([getattr(getattr(one, score), what) for one in each]) for what in ("value", "n"))
            values |= {f"{score}{part}": float(100 * shares @ counts / counts.sum())} if each else {}
        arrays[f"{score}_sections"] = 100 * np.array([[getattr(one, score).value for one in parts[""]]] * 2)
        values[f"{score}_sections"] = float(arrays[f"{score}_sections"].mean())
    return values, arrays


def _similarities(codes: Codes, name: str) -> dict[str, float]:
    rated = read_similarities(benchmark_file(name))
    metric = SimilarityCorrelation()
    similar = pair_similarities(codes, [(a, b) for a, b, _ in rated])
    metric.update(similar.values, torch.tensor([value for _, _, value in rated], dtype=torch.float64))
    found = metric.compute()
    rho, low, high = (float(found["drop"][f"spearman{end}"]) for end in ("", "_low", "_high"))
    keys = {"rho": rho, "low": low, "high": high, "pairs": float(found["known"])}
    return {f"{name}_{key}": value for key, value in keys.items()}
