"""What every analysis of codes returns: a value, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Statistic"]


@dataclass(frozen=True)
class Statistic:
    """A number that was estimated from codes.

    Attributes:
        value: the estimate.
        n: how many codes, pairs or queries it was estimated from.
        interval: lower and upper end of its confidence interval; None where it describes the given codes and nothing
            beyond them.
        baseline: what it would be by chance, or for the plainest method; None where there is no such number.
        seed: seed of the random numbers it depends on; None where it depends on none.
        level: coverage of the interval.

    """

    value: float
    n: int
    interval: tuple[float, float] | None = None
    baseline: float | None = None
    seed: int | None = None
    level: float = 0.95

    def to_dict(self) -> dict[str, Any]:
        """Return its attributes by name."""
        return asdict(self)

    def __str__(self) -> str:
        interval = "" if self.interval is None else f" [{self.interval[0]:.3g}, {self.interval[1]:.3g}]"
        baseline = "" if self.baseline is None else f", baseline {self.baseline:.3g}"
        return f"{self.value:.3g}{interval} (n = {self.n}{baseline})"
