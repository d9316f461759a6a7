r"""Frozen configs: plain containers that a run keeps, resolved except for the values of its machine.

All interpolations are resolved but those of the machine, `${oc.env:NAME}`: they stay, wherever they are used, so
that a run moved to another machine finds that machine's data, and no secret of the environment is written down.
Text is resolved once: what then holds `${` is text, and is written `\${`, which OmegaConf reads as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from uuid import uuid4

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from lsgen.cli.errors import UsageError
from lsgen.runs import literal_secrets

__all__ = ["escaped", "freeze", "quoted", "references", "resolving", "thaw"]


def freeze(config: DictConfig) -> dict[str, Any]:
    """Return the config as plain containers, resolved except for `${oc.env:NAME}`.

    Raises:
        UsageError: a value is missing, cannot be resolved, or is a secret written out.

    """
    machine = _MachineValues()
    OmegaConf.register_new_resolver("oc.env", machine.keep, replace=True)
    try:
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UsageError(
            f"the config cannot be resolved: {str(error).splitlines()[0]} (at {error.full_key})"
        ) from error
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)
    plain = _mapped(escaped(resolved), machine.restore)
    secrets = literal_secrets(cast(dict[str, Any], plain))
    if secrets:
        raise UsageError(
            f"{secrets[0]} looks like a secret, and a run keeps its config: write '${{oc.env:NAME}}' and set NAME"
        )
    return cast(dict[str, Any], plain)


def thaw(plain: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> DictConfig:
    """Return a frozen config with the values of this machine, after the given changes by dotted key.

    Raises:
        UsageError: an environment variable that it needs is not set.

    """
    config = OmegaConf.create(dict(plain))
    for key, value in (overrides or {}).items():
        OmegaConf.update(config, key, value)
    with resolving():
        resolved = OmegaConf.to_container(config, resolve=True)
    return OmegaConf.create(escaped(resolved))


def escaped(node: Any) -> Any:
    r"""Return resolved containers or text with every `${` written such that OmegaConf reads it as text.

    Example:
        >>> print(escaped("costs ${5}"))
        costs \${5}

    """
    return _mapped(node, lambda text: re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", text))


def quoted(text: str) -> str:
    r"""Return text in the quotes of Hydra and OmegaConf, where a backslash is itself unless quotes follow it.

    Example:
        >>> print(quoted("it's"), quoted("C:\\"))
        'it\'s' 'C:\\'

    """
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text) + "'"


@contextmanager
def resolving() -> Iterator[None]:
    """Raise OmegaConf's errors about interpolations as one sentence.

    Raises:
        UsageError: that sentence.

    """
    try:
        yield
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0].removeprefix("KeyError raised while resolving interpolation: ")
        place = f" (at {error.full_key})" if error.full_key else ""
        raise UsageError(f"the config cannot be resolved: {reason}{place}") from error


def references(config: DictConfig) -> Iterator[str]:
    """Yield the text of every interpolation in a config that is not resolved yet."""
    yield from _texts(OmegaConf.to_container(config, resolve=False))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list | ListConfig):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str) and "${" in node:
        yield node


def _mapped(node: Any, change: Callable[[str], str]) -> Any:
    """Return containers with every text in them changed."""
    if isinstance(node, Mapping):
        return {key: _mapped(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [_mapped(value, change) for value in node]
    return change(node) if isinstance(node, str) else node


class _MachineValues:
    """Replacement of the resolver `oc.env` that marks the place of a machine's value and fills it in later."""

    def __init__(self) -> None:
        self._mark = f"machine{uuid4().hex}n"
        self._written: list[str] = []

    def keep(self, name: str, *default: Any) -> str:
        """Return the mark of `${oc.env:name,default}`."""
        self._written.append(f"${{oc.env:{','.join([name, *map(_literal, default)])}}}")
        return f"{self._mark}{len(self._written) - 1}_"

    def restore(self, text: str) -> str:
        """Return text with its marks replaced by the interpolations they stand for."""
        return re.sub(f"{self._mark}(\\d+)_", lambda found: self.restore(self._written[int(found[1])]), text)


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(escaped(value)) if isinstance(value, str) else str(value)
