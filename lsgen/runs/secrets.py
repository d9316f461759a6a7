"""Keep passwords, tokens and keys out of whatever a run writes down."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["literal_secrets", "redact"]

_WORDS = r"(?:api_?key|access_?key|private_?key|secret|token|password|passwd|credentials?)"
_SECRET_NAME = re.compile(rf"(?i)(?:^|[._\-]){_WORDS}(?:$|[._\-])|(?:^|_){_WORDS}$")
_ASSIGNMENT = re.compile(rf"(?i)([\w.\-+]*(?<![a-z]){_WORDS}(?![a-z])[\w.\-]*\s*[=:]\s*)(?!\$\{{oc\.env:)(\S+)")
_URL_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_MASK = "***"


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return `text` with secrets masked.

    Masked are the values of environment variables whose name speaks of a key, token, secret or password
    (where they have at least 6 characters), what is assigned to such a name, and the user part of a URL.

    Example:
        >>> redact("train logger.wandb.api_key=abc seed=1", {})
        'train logger.wandb.api_key=*** seed=1'

    """
    for value in sorted(_values(os.environ if environment is None else environment), key=len, reverse=True):
        text = text.replace(value, _MASK)
    return _URL_USER.sub(_MASK, _ASSIGNMENT.sub(rf"\g<1>{_MASK}", text))


def literal_secrets(config: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the dotted keys of a config whose value is a secret written out instead of `${oc.env:NAME}`."""
    values = set(_values(os.environ if environment is None else environment))
    return [key for key, value in _leaves(config) if _is_secret(key, value, values)]


def _is_secret(key: str, value: Any, values: Iterable[str]) -> bool:
    if not isinstance(value, str) or not value or value.startswith("${oc.env:"):
        return False
    return bool(_SECRET_NAME.search(key.rsplit(".", 1)[-1])) or any(secret in value for secret in values)


def _values(environment: Mapping[str, str]) -> list[str]:
    return [value for name, value in environment.items() if len(value) >= 6 and _SECRET_NAME.search(name)]


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, f"{prefix}[{index}]")
    else:
        yield prefix, node
