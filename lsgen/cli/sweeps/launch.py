"""What a command line asks of a sweep beside its jobs: its terms, and the metric that decides on its best run."""

from __future__ import annotations

from dataclasses import dataclass, field

from lsgen.cli.sweeps.terms import Terms

__all__ = ["Launch"]


@dataclass(frozen=True)
class Launch:
    """What a command line asks of a sweep.

    Attributes:
        terms: when jobs are not started any more, or stopped.
        best: the metric that decides on the best run, and whether the largest is best; None where none is named.

    """

    terms: Terms = field(default_factory=Terms)
    best: tuple[str, bool] | None = None

    @property
    def asks(self) -> bool:
        """Whether anything is asked."""
        return self.terms.stop_at_first_failure or self.terms.hours is not None or self.best is not None
