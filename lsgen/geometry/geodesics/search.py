"""How geodesics are searched for: the options that `geodesic` and all that call it share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.geometry.geodesics.starts.graph import CodeGraph

__all__ = ["Search"]


@dataclass(frozen=True)
class Search:
    """Options of the search for geodesics, which `geodesic` explains.

    Attributes:
        initial, starts, graph, max_iterations, tol, refinements, chunk_size, generator: see `geodesic`.
        discrete: whether a curve of small residual on its own grid is enough, whether or not the grid tells its length.
            Nothing is tried with one that has none. That is for the first rounds of an iteration.

    Raises:
        ValueError: there is no start.

    """

    initial: Tensor | None = None
    starts: int = 1
    graph: CodeGraph | None = None
    max_iterations: int = 100
    tol: float = 1e-4
    refinements: int = 3
    chunk_size: int | None = None
    generator: torch.Generator | None = None
    discrete: bool = False

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise ValueError(f"expected at least 1 start, got {self.starts}")
