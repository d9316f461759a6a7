"""Binary arrays inside an HTML file: deflated, as base64, with a header that says what they are."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Container", "as_json"]


class Container:
    """Arrays and texts by name, each once; the page reads those it needs."""

    def __init__(self) -> None:
        self.index: dict[str, dict[str, Any]] = {}
        self._blocks: dict[str, str] = {}

    def add(self, name: str, array: NDArray[Any]) -> str:
        """Add numbers and return their name; types that the page does not know are refused.

        Raises:
            TypeError: the type is none of int8 to int32, uint8 to uint32, float16, float32 and float64.
            ValueError: the name is taken.

        """
        array = np.ascontiguousarray(array)
        if array.dtype.name not in _TYPES:
            raise TypeError(f"expected one of {', '.join(_TYPES)}, got {array.dtype}")
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        return self._put(name, {"type": array.dtype.name, "shape": list(array.shape)}, little.tobytes())

    def add_text(self, name: str, value: Any) -> str:
        """Add what JSON can hold and return its name."""
        return self._put(name, {"type": "json"}, as_json(value).encode())

    def add_webp(self, name: str, value: bytes) -> str:
        """Add a picture, which is compressed already, and return its name."""
        return self._put(name, {"type": "webp"}, value)

    def blocks(self) -> Iterator[tuple[str, str]]:
        """Yield names and what the page holds under them."""
        yield from self._blocks.items()

    def _put(self, name: str, about: dict[str, Any], raw: bytes) -> str:
        if name in self.index:
            raise ValueError(f"expected a new name of an array, got {name!r} twice")
        packed = raw if about["type"] == "webp" else zlib.compress(raw, 6)
        self.index[name] = {**about, "bytes": len(raw)}
        self._blocks[name] = b64encode(packed).decode()
        return name


_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32", "float64")


def as_json(value: Any) -> str:
    """Return JSON that may stand in a script element; what is not finite is null."""
    text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
