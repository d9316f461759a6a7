"""The search for wrong numbers in data, which ends in one sentence with the value and its place."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["refuse_first"]


def refuse_first(wrong: Tensor, x: Tensor, expected: Callable[[float], str], place: Callable[..., str]) -> None:
    """Refuse numbers of which some are wrong.

    Args:
        wrong: which are, bool.
        x: the numbers, of the same shape.
        expected: value of the first wrong one -> what was expected.
        place: its indices, one after the other -> where it is.

    Raises:
        ValueError: the first wrong number with its place.

    """
    if bool(wrong.any()):
        first = wrong.nonzero()[0].tolist()
        value = x[tuple(first)].item()
        raise ValueError(f"expected {expected(value)}, got {value:.6g} in {place(*first)}")
