"""Signed networks whose weights follow from codes that are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lsgen.data.draws import Purpose, key
from lsgen.data.graphs.yearly import YearLinks, joined_years
from lsgen.latent.graphs import Graph

__all__ = ["CosineNetwork"]


@dataclass(frozen=True)
class CosineNetwork:
    r"""Signed weights between all ordered pairs of places with known codes on a sphere, one network for each year.

        s_ij = cos(u_i, u_j) + noise e_ij,    e_ij ~ Laplace(0, 1)

    independently, for i != j. The codes of the first year are uniform on the sphere; from year to year they move by
    normal steps and back onto it. A node is a place in a year, called "3" or "3 2001", and links are within years, at
    whose time they stand. The columns are "place", "year", and "latitude" and "longitude" in degrees, which are the
    first two coordinates of the code of the first year, stretched: near places get along.

    Attributes:
        places: number of places in a year.
        dim: dimension d of codes.
        years: number of years, from 2001 on.
        noise: scale of the noise.
        drift: standard deviation of a coordinate's step from year to year.
        seed: of the draws.

    Raises:
        ValueError: a number is out of its range.

    """

    places: int = 40
    dim: int = 3
    years: int = 1
    noise: float = 0.1
    drift: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            self.places < 2
            or self.dim < 2
            or self.years < 1
            or not (self.noise >= 0 and self.drift >= 0)
            or self.seed < 0
        ):
            raise ValueError(
                f"expected at least 2 places, 2 dimensions and a year, and no negative noise, drift or seed, got {self}"
            )

    @cached_property
    def codes(self) -> NDArray[np.float64]:
        """The codes, (years, places, d), of length 1."""
        draws = np.random.default_rng(key(self.seed, Purpose.SYNTHESIS))
        found = [_unit(draws.standard_normal((self.places, self.dim)))]
        for _ in range(self.years - 1):
            found.append(_unit(found[-1] + self.drift * draws.standard_normal(found[-1].shape)))
        return np.stack(found)

    def graph(self) -> Graph:
        """Return the networks of all years as one, in which no link leads from year to year."""
        draws, n = np.random.default_rng(key(self.seed, Purpose.SYNTHESIS, 1)), self.places
        apart = ~np.eye(n, dtype=bool)
        weights = [(u @ u.T)[apart] + self.noise * draws.laplace(size=n * (n - 1)) for u in self.codes]
        places = {place: (39 + 3 * north, 35 + 9 * east) for place, (north, east, *_) in enumerate(self.codes[0])}
        return joined_years({year: YearLinks(apart, part) for year, part in enumerate(weights, 2001)}, places)


def _unit(u: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = u / np.linalg.norm(u, axis=-1, keepdims=True)
    return found
