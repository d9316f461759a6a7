"""A map of codes in two or three dimensions, and what it says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.projections.faithfulness import Faithfulness, measure_faithfulness
from lsgen.latent import Codes

__all__ = ["CodeMapping", "Projection"]


class CodeMapping(Protocol):
    """What maps codes (M, d), which need not be those of the projection, to coordinates (M, 2 or 3)."""

    def __call__(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the coordinates of codes."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Coordinates of codes on a map.

    Attributes:
        name: how it was made: pca, tsne, umap, axes, identity, disk or ternary.
        coordinates: of each code, (N, 2 or 3), in double precision.
        axes: what each coordinate is called.
        remark: what was done, in a sentence.
        faithfulness: how much of the neighbourhoods of codes the map keeps; None where it was not measured, or where
            there are fewer than three codes.
        mapping: what maps other codes; None where the method maps none.
        exact: whether it maps the codes of the projection to their coordinates, and others by the same formula.
        independent: whether it maps every code by itself, whatever other codes come with it.
        seed: seed of the random numbers it depends on; None where it depends on none.
        settings: numbers that the method was given.

    """

    name: str
    coordinates: NDArray[np.float64]
    axes: tuple[str, ...]
    remark: str = ""
    faithfulness: Faithfulness | None = None
    mapping: CodeMapping | None = None
    exact: bool = False
    independent: bool = False
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = np.shape(self.coordinates)
        if len(shape) != 2 or shape[1] not in (2, 3) or len(self.axes) != shape[1]:
            raise ValueError(f"expected coordinates (N, 2) or (N, 3) with a name each, got {shape} and {self.axes}")

    @property
    def dims(self) -> int:
        """Number of coordinates, 2 or 3."""
        return int(self.coordinates.shape[1])

    def transform(self, z: Any) -> NDArray[np.float64]:
        """Return the coordinates (M, 2 or 3) of other codes z (M, d); see `exact` and `independent`.

        Raises:
            TypeError: the method maps no other codes.
            ValueError: the codes have another shape or are not finite.

        """
        if self.mapping is None:
            raise TypeError(f"expected a projection that maps other codes, got {self.name}, which does not")
        z = np.asarray(z)
        if z.ndim != 2 or not np.isfinite(z).all():
            raise ValueError(f"expected finite codes (M, d), got {z.dtype} {z.shape}")
        return self.mapping(z)

    def measured(self, codes: Codes, k: int | None = None, points: int = 5000, seed: int = 0) -> Projection:
        """Return the projection with its faithfulness to the codes; see `measure_faithfulness`."""
        found = measure_faithfulness(codes, self.coordinates, k, points, seed) if len(codes) > 2 else None
        return replace(self, faithfulness=found)
