"""Counts of a network of flows over years: who moves, between how many pairs, and the links of signed backbones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lsgen.data import TurkishMigration
from lsgen.data.graphs.signed_backbone import SignedBackbone, signed_weights
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["MigrationCounts", "RandomFlows"]


class Flows(Protocol):
    """Who moves between places, by year."""

    @property
    def flows(self) -> Mapping[int, NDArray[np.float64]]:
        """People from the place of a row to that of a column, (N, N), by year."""


@dataclass(frozen=True)
class RandomFlows:
    """Flows between places of random sizes, with which the comparison is tried where there are no files.

    Attributes:
        years: the years.
        places: number of places.

    """

    years: Sequence[int] = (2008, 2020)
    places: int = 8

    @property
    def flows(self) -> Mapping[int, NDArray[np.float64]]:
        """People, by year."""
        draws = np.random.default_rng(0)
        return {year: draws.poisson(50, (self.places, self.places)).astype(float) for year in self.years}


@dataclass(frozen=True)
class MigrationCounts:
    """Counts people, pairs of places and links of backbones.

    Keys, for each year: people_YEAR, those who move; pairs_YEAR, ordered pairs of places between which somebody does;
    links_YEAR, links of the backbone. ever, links that are in the backbone of one year at least; density, the least
    share of pairs over the years.

    Attributes:
        source: the flows; those of Turkey if None.
        share: see `lsgen.data.graphs.signed_backbone.SignedBackbone`.
        vigour: see there.

    """

    source: Flows | None = None
    share: float = 0.075
    vigour: float = 0.33

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the counts; no run is looked at."""
        backbone, source = SignedBackbone(self.share, self.vigour), self.source or TurkishMigration()
        found, shares = dict[str, float](), list[float]()
        ever = np.zeros((1, 1), dtype=bool)
        for year, flows in source.flows.items():
            apart = ~np.eye(len(flows), dtype=bool)
            kept, moves = backbone.kept(signed_weights(flows)), flows[apart] > 0
            found |= {f"people_{year}": float(flows[apart].sum()), f"pairs_{year}": float(moves.sum())}
            found[f"links_{year}"] = float(kept.sum())
            ever = ever | kept
            shares.append(float(moves.mean()))
        return Measured({**found, "ever": float(ever.sum()), "density": min(shares)})
