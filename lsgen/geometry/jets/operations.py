r"""The table of rules by which the operations of a traced map act on Taylor expansions, and its use.

Linear operations act on value and derivatives alike, bilinear ones follow the product rule, elementwise functions the
chain rule. An operation without a rule, or with arguments that its rule does not cover, is differentiated
automatically. The operations are those of PyTorch's aten namespace, after decomposition by `make_fx`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.compat import schema_of
from lsgen.geometry.jets.arithmetic import ARITHMETIC_RULES
from lsgen.geometry.jets.elementwise import ELEMENTWISE_RULES
from lsgen.geometry.jets.fallback import expand_by_autograd
from lsgen.geometry.jets.linear import LINEAR_RULES
from lsgen.geometry.jets.normalisation import NORMALISATION_RULES
from lsgen.geometry.jets.taylor import NoRule, Rule, Taylor, value_of

__all__ = ["RULES", "apply_operation", "one_table"]

log = logging.getLogger(__name__)
aten = torch.ops.aten
_logged: set[str] = set()


def one_table(*tables: Mapping[Any, Rule]) -> dict[Any, Rule]:
    """Return the rules of several tables as one.

    Raises:
        ValueError: two of the tables have a rule for the same operation.

    """
    joined: dict[Any, Rule] = {}
    for table in tables:
        twice = sorted(map(str, joined.keys() & table.keys()))
        if twice:
            raise ValueError(f"expected one rule for each operation, got two for {', '.join(twice)}")
        joined |= table
    return joined


RULES = one_table(ELEMENTWISE_RULES, LINEAR_RULES, ARITHMETIC_RULES, NORMALISATION_RULES)

CONSTANT = {
    Tensor.detach,
    aten.sign,
    aten.floor,
    aten.ceil,
    aten.round,
    aten.trunc,
    aten.zeros_like,
    aten.ones_like,
    aten.full_like,
    aten.empty_like,
    aten.new_zeros,
    aten.new_ones,
    aten.new_full,
    aten.new_empty,
    aten._new_zeros_with_same_feature_meta,
}
"""Operations whose derivative is zero wherever it exists."""

INDICATORS = frozenset(
    """gt ge lt le eq ne logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not
    isfinite isnan isinf signbit argmax argmin argsort any all sgn floor_divide""".split()  # noqa: SIM905
)
"""Names of comparisons, logic and index arithmetic, whose derivative is zero too."""


def apply_operation(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the result of an operation whose arguments may be expansions.

    Raises:
        NotImplementedError: it has no rule and takes lists of tensors or keywords that depend on z.

    """
    if not _depends(args) and not (kwargs and _depends(kwargs.values())):
        return target(*args, **kwargs)
    rule, constant = _kind(target)
    if constant:
        return target(*_values(args), **{key: _values(value) for key, value in kwargs.items()})
    try:
        if rule is not None:
            return rule(*args, **kwargs)
        _log_once(f"{target} has no rule")
    except NoRule as reason:
        _log_once(str(reason))
    if _depends(kwargs.values()) or any(isinstance(a, list | tuple) and _depends(a) for a in args):
        raise NotImplementedError(f"{target} cannot be differentiated with respect to lists of tensors")
    return expand_by_autograd(partial(target, **kwargs), args)


def _depends(values: Iterable[Any]) -> bool:
    for x in values:  # noqa: SIM110 (several times faster than a generator)
        if isinstance(x, Taylor) or (isinstance(x, (list, tuple)) and _depends(x)):
            return True
    return False


def _values(x: Any) -> Any:
    return type(x)(_values(y) for y in x) if type(x) in (list, tuple) else value_of(x)


@cache
def _kind(target: Any) -> tuple[Rule | None, bool]:
    """Return the rule of the operation that a target is an overload of, and whether its derivative is zero."""
    packet = getattr(target, "overloadpacket", target)
    return RULES.get(packet), packet in CONSTANT or (
        schema_of(target) is not None and str(target).split(".")[1] in INDICATORS
    )


def _log_once(reason: str) -> None:
    if reason not in _logged:
        _logged.add(reason)
        log.info("differentiated automatically, which is slower: %s", reason)
