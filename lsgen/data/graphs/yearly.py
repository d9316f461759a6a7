"""Networks of the same places in several years, as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsgen.latent.graphs import Graph

__all__ = ["YearLinks", "joined_years"]


class YearLinks(NamedTuple):
    """The links of a year between n places.

    Attributes:
        there: whether there is one from the place of a row to that of a column, (n, n).
        weights: of those that there are, row by row, (E,).

    """

    there: NDArray[np.bool_]
    weights: NDArray[np.float64]


def joined_years(years: Mapping[int, YearLinks], places: Mapping[Any, tuple[float, float]]) -> Graph:
    """Return signed directed networks of n places as one, in which no link leads from year to year.

    A node is a place in a year, called as the place, with the year behind it where there are several; the columns are
    "place", "year", "latitude" and "longitude". Links stand at the time of their year.

    Args:
        years: the links of each.
        places: the latitude and the longitude of each.

    """
    count, number = len(places), len(years)
    north, east = np.array([*places.values()]).T
    return Graph.of(
        np.concatenate([np.argwhere(part.there) + row * count for row, part in enumerate(years.values())]),
        directed=True,
        weights=np.concatenate([part.weights for part in years.values()]),
        times=np.repeat([float(year) for year in years], [len(part.weights) for part in years.values()]),
        names=[f"{place}" if number == 1 else f"{place} {year}" for year in years for place in places],
        columns={
            "place": [*places] * number,
            "year": np.repeat([*years], count),
            "latitude": np.tile(north, number),
            "longitude": np.tile(east, number),
        },
        signed=True,
    )
