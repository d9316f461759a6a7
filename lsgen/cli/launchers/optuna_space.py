"""Optuna's distributions for the swept overrides of a command line."""

from __future__ import annotations

from math import isfinite
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Transformer

from lsgen.cli.errors import UsageError

__all__ = ["as_override", "distribution", "one_of"]


def distribution(override: Override) -> Any:
    """Return the distribution of a swept override.

    An interval is one of real numbers, or of whole ones under `tag(int,...)`; `tag(log,...)` draws its logarithm. A
    range of whole numbers holds those that Hydra makes of it, downwards too. All else is a choice.

    Raises:
        UsageError: it holds nothing, or what Optuna cannot draw.

    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value, key, written = override.value(), override.get_key_element(), override.input_line
    tags = set(getattr(value, "tags", ()))
    if unknown := tags - {"log", "int"}:
        raise UsageError(f"expected the tags log or int for {key}, got {', '.join(sorted(unknown))} in {written}")
    if isinstance(value, IntervalSweep):
        low, high = float(value.start or 0), float(value.end or 0)
        if not (isfinite(low) and isfinite(high) and low <= high):
            raise UsageError(f"expected an interval from a finite number up to another for {key}, got {written}")
        if "log" in tags and low <= 0:
            raise UsageError(f"expected a logarithmic interval above 0 for {key}, got {written}")
        if "int" not in tags:
            return FloatDistribution(low, high, log="log" in tags)
        if not (low.is_integer() and high.is_integer()):
            raise UsageError(f"expected an interval of whole numbers for {key} under the tag int, got {written}")
        return IntDistribution(int(low), int(high), log="log" in tags)
    if not isinstance(value, ChoiceSweep | RangeSweep):
        raise UsageError(f"expected choice, range or interval for {key}, got {written}")
    if tags:
        raise UsageError(f"expected an interval for {key} under the tag {', '.join(sorted(tags))}, got {written}")
    if isinstance(value, RangeSweep) and all(isinstance(n, int) for n in (value.start, value.stop, value.step)):
        numbers = sorted(range(int(value.start or 0), int(value.stop or 0), _step(value, written)))
        if not numbers:
            raise UsageError(f"expected a range that holds a number for {key}, got {written}")
        return IntDistribution(numbers[0], numbers[-1], step=abs(int(value.step)))
    choices: Any = list(override.sweep_iterator(transformer=Transformer.encode))
    if not choices:
        raise UsageError(f"expected a value to choose for {key}, got {written}")
    return CategoricalDistribution(choices)


def one_of(drawn_from: Any) -> Any:
    """Return a value that a distribution can draw."""
    return drawn_from.choices[0] if hasattr(drawn_from, "choices") else drawn_from.low


def as_override(value: Any) -> str:
    """Return a drawn value as Hydra's grammar writes it."""
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _step(value: RangeSweep, written: Any) -> int:
    if not value.step:
        raise UsageError(f"expected a step other than 0, got {written}")
    return int(value.step)
