"""Flags of lsgen's own, taken off the command line before anybody else reads it.

Their values are literal strings: a path may hold `=`, commas and brackets, which are grammar to Hydra.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lsgen.cli.errors import UsageError

__all__ = ["take"]


def take(arguments: Sequence[str], names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Split `name=value` arguments off.

    Args:
        arguments: the command line.
        names: names of flags.

    Returns:
        The values by name, of those given; and the remaining arguments.

    Raises:
        UsageError: a flag is given twice or without a value.

    """
    taken: dict[str, str] = {}
    rest: list[str] = []
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if not separator or name not in names:
            rest.append(argument)
            continue
        if name in taken:
            raise UsageError(f"{name}= is given twice: {taken[name]!r} and {value!r}")
        if not value:
            raise UsageError(f"expected {name}=VALUE, got nothing after the =")
        taken[name] = value
    return taken, rest
