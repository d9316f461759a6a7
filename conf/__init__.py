"""The configuration tree, shipped with the package as `lsgen.conf`, and the arithmetic that its files use.

    ${lsgen.sum:a,b,...}          sum of numbers; a list of parts counts with the `dim` of each
    ${lsgen.product:a,b,...}      product of numbers; a list counts with the product of its items
    ${lsgen.quotient:a,b}         whole number of times that b goes into a, at least 1
    ${lsgen.codes:levels}         numbers in a code of levels [side, channels]: the sum of side^2 channels
    ${lsgen.seen:dim,private,shapes}  codes that the networks of one of M modalities see: the others' private ones not
    ${lsgen.grid:shape,halvings}  sides of an image (C, H, W) once they were halved so often

A config that is frozen holds the results, so no run depends on these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from omegaconf import ListConfig, OmegaConf


def _sum(*terms: Any) -> int:
    return sum(sum(part["dim"] for part in term) if isinstance(term, ListConfig) else term for term in terms)


def _product(*factors: Any) -> int:
    return prod(prod(factor) if isinstance(factor, ListConfig) else factor for factor in factors)


def _quotient(number: int, divisor: int) -> int:
    return max(1, number // divisor)


def _grid(shape: Sequence[int], halvings: int) -> ListConfig:
    return OmegaConf.create([side // 2**halvings for side in shape[1:]])


def _codes(levels: Sequence[Sequence[int]]) -> int:
    return sum(side**2 * channels for side, channels in levels)


def _seen(dim: int, private: int, shapes: Mapping[str, Any]) -> int:
    return dim - (len(shapes) - 1) * private


_RESOLVERS: dict[str, Callable[..., Any]] = {
    "sum": _sum,
    "product": _product,
    "quotient": _quotient,
    "grid": _grid,
    "codes": _codes,
    "seen": _seen,
}
for _name, _function in _RESOLVERS.items():
    OmegaConf.register_new_resolver(f"lsgen.{_name}", _function, replace=True)
