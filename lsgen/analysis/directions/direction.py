"""A direction of codes along which an attribute changes, and how far it can be told from noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.statistic import Statistic
from lsgen.analysis.tangents import TangentSpace

__all__ = ["Direction", "Resampling"]


@dataclass(frozen=True)
class Resampling:
    """Settings of what random numbers are drawn for.

    Attributes:
        permutations: number of permutations of the attribute, or of flips of pairs.
        folds: number of folds of the cross-validation.
        seed: seed of both.

    Raises:
        ValueError: there is no permutation, or fewer than two folds.

    """

    permutations: int = 999
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.permutations < 1 or self.folds < 2:
            raise ValueError(f"expected at least 1 permutation and 2 folds, got {self.permutations} and {self.folds}")


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction in the tangent space of codes along which an attribute changes.

    Attributes:
        name: what the attribute is called.
        vector: how codes differ, (d,): the second group less the first, one standard deviation of a value, or the
            second of a pair less the first, on average.
        space: the tangent space that the vector is in; flat space itself where codes lie in one.
        rows: the codes that it was found from, (n,); of pairs (n, 2).
        attribute: 0 and 1 for the two groups, or the values, (n,); of pairs 1.
        units: a number for each of the codes or pairs that are not independent of each other, (n,).
        reliability: rho, an estimate of cos^2 of the angle between the vector and the one of infinitely many codes; 0
            by chance.
        length: of the vector; by chance the root mean square of those of permutations.
        p_value: share of permutations whose vector is at least as long for its noise, themselves and the vector
            counted.
        auc: probability that of two codes with different attributes, which the direction was not found from, the one
            with the greater attribute lies farther along it; 1/2 by chance. Of pairs that the second does.
        deviation: standard deviation of all codes along the direction.
        remarks: sentences that a reader must know.

    """

    name: str
    vector: NDArray[np.float64]
    space: TangentSpace
    rows: NDArray[np.int64]
    attribute: NDArray[np.float64]
    units: NDArray[np.int64]
    reliability: Statistic
    length: Statistic
    p_value: float
    auc: Statistic
    deviation: float
    remarks: tuple[str, ...] = ()

    @property
    def paired(self) -> bool:
        """Whether it was found from pairs of codes."""
        return self.rows.ndim == 2

    @property
    def unit(self) -> NDArray[np.float64]:
        """The vector over its length, (d,); 0 where that is 0."""
        length = float(np.linalg.norm(self.vector))
        return self.vector / length if length > 0 else self.vector

    def scores(self, z: Any) -> NDArray[np.float64]:
        """Return how far codes (M, d) lie along the direction, from the mean, (M,)."""
        return self.space.vectors(z) @ self.unit

    def moved(self, z: Any, steps: float) -> NDArray[np.float64]:
        """Return codes (M, d) moved along the direction by a number of its standard deviations.

        On a curved manifold they are moved in the tangent space at the mean.
        """
        return self.space.codes(self.space.vectors(z) + steps * self.deviation * self.unit)
