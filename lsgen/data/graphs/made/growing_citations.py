r"""A growing network of citations whose field moves in a known direction.

Every year the same number of papers appears. A paper i of year y_i stands at a place (s_i, x_i) in a space of topics,

    s_i = drift tau_i,    tau_i = y_i + a_i,    a_i ~ N(0, ahead^2),    x_i ~ N(0, spread^2 I),

where tau is its intrinsic year: papers with a_i > 0 are ahead of their time. It cites so many different papers of the
years before it, one after another with probability

    P(i -> j) ~ (k_j + 1) exp(-((s_i - s_j)^2 + |x_i - x_j|^2) / 2),

k_j the citations of j up to the year before. So nearness in topics and preferential attachment decide together. With
drift = 0 years leave no trace but the number of citations that older papers have had the time to collect.

Reference: for the linear growth of fields in the latent space of citations, and the intrinsic year, Asatani et al.,
"Detecting trends in academic research from a citation network using network representation learning" (2018); for the
attachment, Price, "A general theory of bibliometric and other cumulative advantage processes" (1976).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from lsgen.data.draws import Purpose, key
from lsgen.latent.graphs import Graph

__all__ = ["GrowingCitations"]


@dataclass(frozen=True)
class GrowingCitations:
    """A network of papers that cite earlier ones, of a field that moves in a known direction.

    Papers are called "year:k"; the columns "year" and "intrinsic_year" have y and tau, and the time of a link is the
    year of the paper that cites, so that `LinkSplit` of kind "time" holds out the latest years.

    Attributes:
        years: how many there are.
        per_year: papers of each year.
        citations: papers that each cites, fewer in the second year if there are not as many.
        drift: how far the field moves in a year, in units of the distance over which citations fall off.
        ahead: standard deviation of the years by which papers are ahead of their time.
        topics: number of directions of topics beside that of the drift.
        spread: standard deviation of papers in each of them.
        directed: whether links go from the paper that cites to the one that is cited, else they have no direction.
        seed: of the draws.

    Raises:
        ValueError: a number is out of its range.

    """

    years: int = 30
    per_year: int = 50
    citations: int = 10
    drift: float = 0.4
    ahead: float = 2.0
    topics: int = 2
    spread: float = 1.0
    directed: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.years < 2 or min(self.per_year, self.citations) < 1 or self.topics < 0 or self.seed < 0:
            raise ValueError(
                "expected at least 2 years, a paper and a citation in each, and topics and a seed of at least 0, got "
                f"{self}"
            )
        if not all(value >= 0 and isfinite(value) for value in (self.drift, self.ahead, self.spread)):
            raise ValueError(f"expected drift, ahead and spread of at least 0 and finite, got {self}")

    def graph(self) -> Graph:
        """Return the network, its papers numbered in the order of years."""
        rng = np.random.default_rng(key(self.seed, Purpose.SYNTHESIS))
        total = self.years * self.per_year
        year = np.repeat(np.arange(self.years), self.per_year)
        intrinsic = year + self.ahead * rng.standard_normal(total)
        places = np.concatenate(
            [self.drift * intrinsic[:, None], self.spread * rng.standard_normal((total, self.topics))], 1
        )
        cited, edges = np.zeros(total), []
        for first in range(self.per_year, total, self.per_year):
            new, old = places[first : first + self.per_year], places[:first]
            square = np.square(new[:, None] - old).sum(-1)
            scores = np.log(cited[:first] + 1) - square / 2 + rng.gumbel(size=square.shape)  # the largest are drawn
            number = min(self.citations, first)
            chosen = np.argpartition(-scores, number - 1, axis=1)[:, :number]
            edges.append(np.stack([np.repeat(first + np.arange(len(new)), number), chosen.ravel()], 1))
            cited[:first] += np.bincount(chosen.ravel(), minlength=first)
        links = np.concatenate(edges)
        return Graph.of(
            links,
            total,
            directed=self.directed,
            times=year[links[:, 0]],
            names=[f"{y}:{k}" for y in range(self.years) for k in range(self.per_year)],
            columns={"year": year, "intrinsic_year": intrinsic},
        )
