"""lsgen's own flags, which are taken off the command line before Hydra parses it.

Their values are literal strings: a path may hold `=`, commas and brackets, which are grammar to Hydra.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.errors import UsageError

__all__ = ["assignments", "device_of", "only_run", "places", "take", "take_switches"]

_ON_CHECKPOINTS = ("checkpoint", "device")


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


def take_switches(
    arguments: Sequence[str], switches: Collection[str], valued: Collection[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """Split flags with dashes off.

    Args:
        arguments: the command line.
        switches: flags without a value, such as "--wait".
        valued: flags that take one, as `--hours 8` or `--hours=8`.

    Returns:
        The values by flag, of those given; and the remaining arguments.

    Raises:
        UsageError: a flag lacks its value, or is given two, or one that it does not take.

    """
    taken: dict[str, str] = {}
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        name, separator, value = argument.partition("=")
        if name in switches:
            if separator:
                raise UsageError(f"expected {name} without a value, got {argument}")
            taken[name] = ""
        elif name in valued:
            given = value if separator else next(left, "")
            if not given:
                raise UsageError(f"expected {name} VALUE, got nothing after it")
            if name in taken:
                raise UsageError(f"{name} is given twice: {taken[name]} and {given}")
            taken[name] = given
        else:
            rest.append(argument)
    return taken, rest


def only_run(arguments: Sequence[str]) -> str:
    """Return the one run directory that is left when the flags are taken off.

    Raises:
        UsageError: there is none, there are several, or one of them looks like a mistyped flag.

    """
    if len(places(arguments, _ON_CHECKPOINTS)) != 1:
        raise UsageError(f"expected one run directory, got {' '.join(arguments) or 'none'}")
    return arguments[0]


def places(arguments: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """Return the run directories that are left when the flags `known` are taken off.

    Raises:
        UsageError: one of them looks like a mistyped flag.

    """
    for argument in arguments:
        name, separator, _ = argument.partition("=")
        if separator and not Path(argument).exists():
            *others, last = (f"{flag}=" for flag in known)
            expected = f"{', '.join(others)} or {last}"
            raise UsageError(f"unknown option {argument!r}: expected {expected}{did_you_mean(name, known)}")
    return arguments


def device_of(flags: Mapping[str, str]) -> str:
    """Return the device that `device=` asks for, "cpu" if it is not given.

    Raises:
        UsageError: it is neither cpu nor cuda, or this machine has no CUDA device.

    """
    device = flags.get("device", "cpu")
    if device not in ("cpu", "cuda"):
        raise UsageError(f"expected device=cpu or device=cuda, got {device!r}")
    if device == "cuda":
        from torch.cuda import is_available

        if not is_available():
            raise UsageError("expected a CUDA device for device=cuda, got a machine where torch finds none")
    return device


def assignments(arguments: Sequence[str], known: Collection[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` changes of a frozen config, values as yaml.

    Args:
        arguments: the changes.
        known: the dotted keys that the config has.

    Raises:
        UsageError: an argument is no assignment, its key is unknown, or its value is no yaml.

    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    changes: dict[str, Any] = {}
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if not separator:
            raise UsageError(f"expected KEY=VALUE, got {argument!r}")
        if not value.strip():
            raise UsageError(f"expected {key}=VALUE, got nothing after the =")
        if key not in known:
            raise UsageError(
                f"unknown config key {key!r}: the frozen config does not have it{did_you_mean(key, known)}"
            )
        try:
            (changes[key],) = OmegaConf.from_dotlist([f"value={value}"]).values()
        except (OmegaConfBaseException, YAMLError) as error:
            raise UsageError(f"expected {key}=VALUE with a yaml value, got {value!r}") from error
    return changes
