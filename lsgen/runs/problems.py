"""Failures that did not end a run, as status.json records them under "problems"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Problem", "problems_in"]


@dataclass
class Problem:
    """One kind of failure of a callback or logger.

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
    """Return the problems recorded in a status; malformed records are ignored."""
    records = status.get("problems")
    found = []
    for record in records if isinstance(records, list) else []:
        try:
            found.append(Problem(**record))
        except TypeError:  # no mapping, or other keys
            continue
    return found
