"""Options of the analysis of codes."""

from __future__ import annotations

from dataclasses import dataclass, field

from lsgen.analysis.probing import ProbeOptions
from lsgen.analysis.projections.choice import METHODS

__all__ = ["AnalysisDetail"]


@dataclass(frozen=True)
class AnalysisDetail:
    """How codes are analysed.

    Attributes:
        k: number of nearest neighbours.
        columns: columns that are probed, drawn and taken for attributes; the label and the factors unless given.
        maps: projections that are drawn, see `lsgen.analysis.projections`; "" stands for the one that loses least.
        map_seeds: maps of so many seeds that are laid over each other, of projections that depend on random numbers; 1
            for the one that is drawn alone.
        analogies: a file of questions about items by name, see `lsgen.analysis.analogies.read_questions`; unless given,
            groups of codes are asked about.
        scores: scores of strange codes, see `lsgen.analysis.anomalies`; all that apply unless given.
        probes: how probes are fitted and judged.
        pairs: pairs of codes that are joined by paths.
        points: steps of a path.
        missing: share of the values that is hidden for the coverage of imputations.
        imputed: observations whose values are hidden.
        samples: codes for each of them in importance sampling.

    Raises:
        ValueError: a number is out of its range, or there is no such projection.

    """

    k: int = 10
    columns: tuple[str, ...] | None = None
    maps: tuple[str, ...] = ("", "tsne")
    map_seeds: int = 3
    analogies: str | None = None
    scores: tuple[str, ...] | None = None
    probes: ProbeOptions = field(default_factory=ProbeOptions)
    pairs: int = 2
    points: int = 16
    missing: float = 0.3
    imputed: int = 50
    samples: int = 300

    def __post_init__(self) -> None:
        least = {"k": 1, "map_seeds": 1, "pairs": 1, "points": 3, "imputed": 2, "samples": 1}
        for name, number in least.items():
            if getattr(self, name) < number:
                raise ValueError(f"expected {name} of at least {number}, got {getattr(self, name)}")
        if unknown := [name for name in self.maps if name and name not in METHODS]:
            raise ValueError(f"expected maps out of {', '.join(METHODS)}, got {unknown[0]!r}")
        if not 0 < self.missing < 1:
            raise ValueError(f"expected a share of missing values between 0 and 1, got {self.missing}")
