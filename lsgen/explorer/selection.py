"""Items that somebody chose in an explorer, back in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["read_selection"]


def read_selection(path: str | Path, group: str | None = None) -> list[int] | list[str]:
    """Return the ids of the items that were selected in a page, as `Codes.select(ids=...)` takes them.

    Args:
        path: a state that the page has saved.
        group: the name of a group whose items are returned instead of the selection; "A", "B" or "C" is a pin, unless a
            group has that name.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such state, or has no such group.

    """
    try:
        state = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"expected a state that an explorer has saved, got {path}, which is no JSON") from error
    if not isinstance(state, dict) or state.get("format") != "lsgen explorer state":
        raise ValueError(f"expected a state that an explorer has saved, got {path}, which is something else")
    try:
        return _ids(state, group)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected a state that an explorer has saved, got {path}, which lacks a part") from error


def _ids(state: dict[str, Any], group: str | None) -> list[int] | list[str]:
    groups = {entry["name"]: entry["ids"] for entry in reversed(state["groups"])}
    pins = {name: [value] for name, value in state["pins"].items() if value is not None}
    found = state["selection"] if group is None else (pins | groups).get(group)
    if found is None:
        known = ", ".join(groups) or "none"
        raise ValueError(f"expected a group of the state, which has {known}, got {group!r}")
    return [int(value) for value in found] if state["kind"] == "whole" else [str(value) for value in found]
