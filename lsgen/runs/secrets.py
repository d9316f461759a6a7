"""Removal of passwords, tokens and keys from everything that a run writes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["literal_secrets", "redact"]

_WORDS = r"(?:api_?key|access_?key|private_?key|secret|token|password|passwd|credentials?)"
_SECRET_NAME = re.compile(rf"(?i)(?:^|[._\-]){_WORDS}(?:$|[._\-])|(?:^|_){_WORDS}$")
_ASSIGNMENT = re.compile(rf"(?i)([\w.\-+]*(?<![a-z]){_WORDS}(?![a-z])[\w.\-]*\s*[=:]\s*)(?!\$\{{oc\.env:)(\S+)")
_URL_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_ORDINARY = re.compile(r"[A-Za-z]{1,15}|[\d.]{1,8}")
_MASK = "***"


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return `text` with secrets masked.

    Masked are the values of environment variables whose name speaks of a key, token, secret or password, what is
    assigned to such a name, and the user part of a URL. A value of fewer than 6 characters, or one that is an
    ordinary word or number such as `digits` or `100000`, is no secret that could be told from other text.

    Example:
        >>> redact("train logger.wandb.api_key=abc seed=1", {})
        'train logger.wandb.api_key=*** seed=1'

    """
    values = _secrets(os.environ if environment is None else environment)
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, _MASK)
    return _URL_USER.sub(_MASK, _ASSIGNMENT.sub(rf"\g<1>{_MASK}", text))


def literal_secrets(config: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the dotted keys of a config whose value is a secret written out instead of `${oc.env:NAME}`.

    A key whose value holds that of an environment variable comes with its name, such as
    "run.name, which holds the value of the environment variable API_KEY,".
    """
    values = _secrets(os.environ if environment is None else environment)
    found = ((key, _secret_in(key, value, values)) for key, value in _leaves(config))
    return [f"{key}{why}" for key, why in found if why is not None]


def _secret_in(key: str, value: Any, values: Mapping[str, str]) -> str | None:
    """Return the reason why a value is a secret; None if it is not one."""
    if not isinstance(value, str) or not value or value.startswith("${oc.env:"):
        return None
    if _SECRET_NAME.search(key.rsplit(".", 1)[-1]):
        return ""
    name = next((name for secret, name in values.items() if secret in value), None)
    return None if name is None else f", which holds the value of the environment variable {name},"


def _secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of an environment, each with the name of its variable."""
    return {
        value: name
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and len(value) >= 6 and not _ORDINARY.fullmatch(value)
    }


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, f"{prefix}[{index}]")
    else:
        yield prefix, node
