"""What went wrong beside the training of a run and did not end it, as status.json keeps it under "problems"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Problem", "problems_in"]


@dataclass
class Problem:
    """One kind of failure of what only looks at a run, or logs it.

    Attributes:
        who: what failed, such as the class of a callback or of a logger.
        what: the error of the first time, in words.
        first_step: generator steps completed when it first failed.
        last_step: generator steps completed when it last failed.
        count: how often it failed.

    """

    who: str
    what: str
    first_step: int
    last_step: int
    count: int = 1

    def __str__(self) -> str:
        """Return one sentence."""
        often = "once," if self.count == 1 else f"{self.count} times, first"
        return f"{self.who} failed {often} after {self.first_step} generator steps: {self.what}"


def problems_in(status: Mapping[str, Any]) -> list[Problem]:
    """Return what a status says went wrong; what is no record of a problem is passed over."""
    records = status.get("problems")
    found = []
    for record in records if isinstance(records, list) else []:
        try:
            found.append(Problem(**record))
        except TypeError:  # no mapping, or other keys
            continue
    return found
