"""Directions of relations between words, and what scores of directions are where there is no relation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.analogies import read_questions
from lsgen.analysis.directions import Resampling, pair_alignment, pair_direction
from lsgen.data.text.benchmarks import benchmark_file
from lsgen.latent import Codes
from lsgen.reproduction.comparisons.word_scores import word_vectors
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["RelationDirections"]


@dataclass(frozen=True)
class RelationDirections:
    """Measures scores of the direction of each relation of Google's analogies, and of random pairs of as many words.

    A relation is the pairs (a, b) of one section, such as a country and its capital. Keys are averages over relations:
    `cosine`, the mean cosine of the differences of two pairs; `effect`, Cohen's d of Latent Space Cartography's
    alignment of all pairs of the two groups; `reliability`, rho of the average difference, and `p_value`, by flips of
    pairs; and each with _noise, where there is no relation: for the effect random groups of the same sizes, else random
    pairs of words. Their arrays (draws, relations) hold each, of scores that are not drawn the same in all rows;
    `pairs` are the numbers of pairs.

    Attributes:
        vectors: a file of vectors, see `lsgen.latent.vectors`; those of GloVe 6B in 50 dimensions if None.
        most: number of words, from the most frequent one on; all if None.
        draws: number of sets of random pairs for each relation.
        permutations: number of flips of a p-value.

    Raises:
        ValueError: there is no draw.

    Reference: Liu, Jun, Li & Heer, "Latent space cartography" (2019), https://doi.org/10.1111/cgf.13672, for the scores
    cosine and effect.
    """

    vectors: str | None = None
    most: int | None = 30_000
    draws: int = 5
    permutations: int = 999

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"RelationDirections expected at least one draw, got {self.draws}")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the scores; no run is looked at."""
        codes = word_vectors(self.vectors, self.most)
        random, arrays = np.random.default_rng(0), dict[str, list[Any]]()
        relations = _relations(codes)
        for rows in relations.values():
            found = self._scores(codes, rows, 0) | _effect(codes, rows)
            drawn = [random.choice(len(codes), rows.shape, replace=False) for _ in range(self.draws)]
            noise = [self._scores(codes, one, seed) for seed, one in enumerate(drawn)]
            for key, value in found.items():
                arrays.setdefault(key, []).append([value] * self.draws)
            for key in noise[0]:
                arrays.setdefault(f"{key}_noise", []).append([one[key] for one in noise])
        stacked = {key: np.array(columns, dtype=float).T for key, columns in arrays.items()}
        stacked["pairs"] = np.array([[len(rows) for rows in relations.values()]], dtype=float)
        values = {key: float(array.mean()) for key, array in stacked.items()}
        return Measured(values | {"relations": float(len(relations))}, stacked)

    def _scores(self, codes: Codes, rows: NDArray[np.int64], seed: int) -> dict[str, float]:
        """Return the scores of pairs (n, 2) that are made of their differences."""
        difference = np.asarray(codes.z[rows[:, 1]], dtype=np.float64) - codes.z[rows[:, 0]]
        unit = difference / np.linalg.norm(difference, axis=1, keepdims=True)
        n = len(unit)
        cosine = float((np.square(unit.sum(0)).sum() - n) / (n * (n - 1)))
        own = codes.select(np.unique(rows))
        place = np.searchsorted(np.unique(rows), rows)
        units = np.unique(rows[:, 1], return_inverse=True)[1]
        found = pair_direction(own, place, units=units, resampling=Resampling(self.permutations, seed=seed))
        return {"cosine": cosine, "reliability": found.reliability.value, "p_value": found.p_value}


def _effect(codes: Codes, rows: NDArray[np.int64]) -> dict[str, float]:
    first, second = (np.unique(rows[:, i]) for i in (0, 1))
    found = pair_alignment(codes, first, second)
    return {"effect": found.value, "effect_noise": float("nan") if found.baseline is None else found.baseline}


def _relations(codes: Codes) -> dict[str, NDArray[np.int64]]:
    """Return the rows of the pairs (n, 2) of each section that has two or more, each once."""
    questions, sections = read_questions(benchmark_file("google"), lower=True)
    place = codes.places()
    pairs = dict[str, dict[tuple[int, int], None]]()
    for section, (a, b, c, d) in zip(sections, questions, strict=True):
        for one, other in ((a, b), (c, d)):
            if one in place and other in place:
                pairs.setdefault(section, {})[place[one], place[other]] = None
    return {section: np.array(list(found)) for section, found in pairs.items() if len(found) > 1}
