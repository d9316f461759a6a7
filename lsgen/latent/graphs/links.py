"""Links as arrays of numbers: checks of their ends and weights, and of links that are given twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Duplicates", "Loops", "as_links", "as_numbers", "as_weights", "sought", "without_repeats"]

Duplicates = Literal["refuse", "first", "add"]
Loops = Literal["refuse", "drop"]

_Numbers = NDArray[np.float64]
_Links = NDArray[np.int64]


def as_links(edges: Any) -> _Links:
    """Return the ends of links as a new array, int64 (E, 2).

    Raises:
        TypeError: they are no whole numbers.
        ValueError: their shape is another.

    """
    found = np.asarray(edges.detach().cpu().numpy() if isinstance(edges, torch.Tensor) else edges)
    if found.size == 0:
        return np.zeros((0, 2), np.int64)
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(f"expected links as whole numbers of their two ends, (E, 2), got {found.shape}")
    if found.dtype.kind not in "iu":
        raise TypeError(f"expected links as whole numbers of their two ends, got {found.dtype}")
    return found.astype(np.int64)


def as_numbers(name: str, values: Any, count: int) -> _Numbers | None:
    """Return a finite number of each link as a new array, float64 (E,); None where there are none.

    Raises:
        ValueError: there are more or fewer, or one is not finite.

    """
    if values is None:
        return None
    found = np.array(values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values, np.float64)
    if found.shape != (count,):
        raise ValueError(f"expected {name} of {count} links, ({count},), got {found.shape}")
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found))[0])
        raise ValueError(f"expected finite {name} of links, got {found[row]} of link {row}")
    return found


def as_weights(weights: Any, count: int, signed: bool) -> _Numbers | None:
    """Return a weight of each link as a new array, float64 (E,); None where there are none.

    Raises:
        ValueError: there are more or fewer, one is not finite, or it is not above 0 though weights have no sign.

    """
    found = as_numbers("weights", weights, count)
    if found is not None and not signed and (found <= 0).any():
        row = int(np.flatnonzero(found <= 0)[0])
        raise ValueError(
            f"expected weights above 0 of links of a graph without signs, got {found[row]:g} of link {row}"
        )
    return found


def without_repeats(
    links: _Links,
    weights: _Numbers | None,
    times: _Numbers | None,
    names: Sequence[str],
    nodes: int,
    duplicates: Duplicates,
    loops: Loops,
) -> tuple[_Links, _Numbers | None, _Numbers | None]:
    """Return links, weights and times without links from a node to itself and without those given twice.

    Raises:
        ValueError: there are some which are to be refused, or an option is none.

    """
    if duplicates not in get_args(Duplicates) or loops not in get_args(Loops):
        raise ValueError(
            f"expected duplicates refuse, first or add and loops refuse or drop, got {duplicates!r} and {loops!r}"
        )
    loop = links[:, 0] == links[:, 1]
    if loop.any():
        if loops == "refuse":
            node = names[links[loop][0, 0]]
            raise ValueError(f"expected no link from a node to itself, got {int(loop.sum())}, such as that of {node!r}")
        links = links[~loop]
        weights, times = (None if part is None else part[~loop] for part in (weights, times))
    keys = links[:, 0] * nodes + links[:, 1]
    _, first, of = np.unique(keys, return_index=True, return_inverse=True)
    if len(first) == len(links):
        return links, weights, times
    if duplicates == "refuse":
        again = np.setdiff1d(np.arange(len(links)), first)
        pair = " and ".join(repr(names[node]) for node in links[again[0]])
        raise ValueError(
            f"expected every link once, got {len(again)} again, such as that of {pair}; duplicates=first keeps one "
            "of them, duplicates=add adds their weights"
        )
    order = np.argsort(first, kind="stable")
    if duplicates == "add":
        own = np.ones(len(links)) if weights is None else weights
        weights = np.bincount(of, own, minlength=len(first))[order].astype(np.float64)
    elif weights is not None:
        weights = weights[first[order]]
    if times is not None:
        earliest = np.full(len(first), np.inf)
        np.minimum.at(earliest, of, times)
        times = earliest[order] if duplicates == "add" else times[first[order]]
    return links[first[order]], weights, times


def sought(asked: NDArray[Any], links: _Links, nodes: int) -> NDArray[np.bool_]:
    """Return which pairs (P, 2) are among the links (E, 2) of so many nodes, bool (P,)."""
    keys = np.sort(links[:, 0] * nodes + links[:, 1])
    wanted = asked[:, 0].astype(np.int64) * nodes + asked[:, 1]
    inside = ((asked >= 0) & (asked < nodes)).all(1)
    if not len(keys):
        return np.zeros(len(asked), bool)
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    found: NDArray[np.bool_] = inside & (keys[at] == wanted)
    return found
