"""Combinations of swept values, some of which go together instead of with all others.

a=1,2 b=3,4 c=5,6            8 jobs: every combination
a=1,2 b=3,4 c=5,6 zip=[a,b]  4 jobs: (1, 3) and (2, 4), each with both c
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

from lsgen.cli.errors import UsageError

__all__ = ["combinations", "paired_keys", "zip_option"]


def paired_keys(text: str) -> list[str]:
    """Return the keys that `zip=[KEY,KEY]` names; the brackets may be left out.

    Raises:
        UsageError: it names fewer than two.

    """
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    keys = [key.strip() for key in inner.split(",")]
    if len(keys) < 2 or not all(keys) or any(mark in inner for mark in "[]"):
        raise UsageError(f"expected zip=[KEY,KEY,...] with at least two swept keys, got zip={text}")
    return keys


def zip_option(groups: Iterable[Sequence[str]]) -> str:
    """Return the override of the sweeper that says which keys go together."""
    quoted = ",".join(f"[{','.join(repr(key) for key in keys)}]" for keys in groups)
    return f"hydra.sweeper.zip=[{quoted}]"


def combinations(overrides: Sequence[Any], groups: Sequence[Sequence[str]] = ()) -> list[list[str]]:
    """Return the overrides of every job.

    Args:
        overrides: parsed by Hydra; all their sweeps are over finite lists.
        groups: keys whose values go together, the first with the first, and so on; any number of such groups.

    Raises:
        UsageError: a key is not swept, swept twice or in two groups, or lists that go together differ in length.

    """
    from lsgen.cli.compat import grid  # with Hydra, which no help text waits for

    rows = [grid([one]) for one in overrides]
    lists = [_name(one.get_key_element()) for one in overrides if one.is_sweep_override()]
    for key in (key for keys in groups for key in keys):
        if lists.count(_name(key)) > 1:
            raise UsageError(f"expected one list for {key}, which zip= names, got {lists.count(_name(key))}")
    swept = {_name(one.get_key_element()): place for place, one in enumerate(overrides) if one.is_sweep_override()}
    group_of = {place: tuple(places) for places in _places(groups, swept, rows) for place in places}
    factors = []
    for place, own in enumerate(rows):
        together = group_of.get(place, (place,))
        if place == together[0]:
            pairs = (
                zip(*(rows[other] for other in together), strict=True) if len(together) > 1 else ((one,) for one in own)
            )
            factors.append([[override for part in pair for override in part] for pair in pairs])
    return [[override for part in chosen for override in part] for chosen in product(*factors)]


def _places(groups: Sequence[Sequence[str]], swept: dict[str, int], rows: Sequence[Sequence[Any]]) -> list[list[int]]:
    """Return the places of the overrides of each group, in the order of the command line."""
    found: list[list[int]] = []
    for keys in groups:
        written = f"zip=[{','.join(keys)}]"
        for key in keys:
            if _name(key) not in swept:
                raise UsageError(f"expected {written} to name swept keys, {', '.join(swept) or 'none'}, got {key!r}")
        places = sorted({swept[_name(key)] for key in keys})
        if len(places) < len(keys) or any(place in other for other in found for place in places):
            raise UsageError(f"expected each key in one zip= once, got one again in {written}")
        lengths = [len(rows[swept[_name(key)]]) for key in keys]
        if len(set(lengths)) > 1:
            said = ", ".join(f"{length} of {key}" for key, length in zip(keys, lengths, strict=True))
            raise UsageError(f"expected lists of one length for {written}, got {said}")
        found.append(places)
    return found


def _name(key: str) -> str:
    return key.lstrip("+~")
