"""Read and write small files atomically."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, BinaryIO

import yaml

__all__ = [
    "csv_text",
    "read_json",
    "read_yaml",
    "replacement",
    "to_json",
    "unescaped",
    "write_atomically",
    "write_json",
    "write_yaml",
]


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SafeDumper: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SafeDumper):  # type: ignore[misc, valid-type]
    """Quotes text such as 1e5 too, which YAML 1.1 reads as text, and OmegaConf and YAML 1.2 as a number."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*[eE][-+]?\d+$"), list("-+0123456789")
)


def unescaped(node: Any) -> Any:
    r"""Return containers or text of a frozen config as people read them: with `${` for the `\${` of plain text.

    Example:
        >>> unescaped({"name": r"a\${b}", "root": "${oc.env:HOME}"})
        {'name': 'a${b}', 'root': '${oc.env:HOME}'}

    """
    if isinstance(node, Mapping):
        return {key: unescaped(value) for key, value in node.items()}
    if isinstance(node, list):
        return [unescaped(value) for value in node]
    if not isinstance(node, str):
        return node
    return re.sub(r"(\\+)\$\{", lambda found: "\\" * (len(found[1]) // 2) + "${", node)


@contextmanager
def replacement(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file beside another one; once written and synchronised to disk it takes the other's place.

    Raises:
        OSError: the directory is not writable or the disk is full; the old file stays as it was, whatever is raised.

    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by `text`, see `replacement`.

    Raises:
        OSError: the directory is not writable or the disk is full; the old file stays as it was.

    """
    with replacement(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as comma-separated values, one a line."""
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write plain containers as yaml, atomically, in their given order."""
    write_atomically(path, yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read plain containers from yaml.

    Raises:
        ValueError: the file is no mapping, or no yaml.

    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"expected yaml in {path}, got {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"expected a mapping in {path}, got {type(content).__name__}")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain containers as JSON, atomically; see `to_json` for numbers that JSON does not have."""
    write_atomically(path, to_json(content, indent=2) + "\n")


def to_json(content: Any, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """Return plain containers as JSON, which has no NaN and no infinity: each becomes null.

    Args:
        content: what is written.
        indent: spaces for each level; everything on one line where it is None.
        default: turns what JSON does not know into what it knows.

    Example:
        >>> to_json({"elbo": float("nan"), "kl": 1.5})
        '{"elbo": null, "kl": 1.5}'

    """
    return json.dumps(_finite(content), indent=indent, ensure_ascii=False, allow_nan=False, default=default)


def _finite(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _finite(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_finite(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if there is no such file. A null under "metrics" is NaN, as it was measured.

    Raises:
        ValueError: the file is no JSON object.

    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"expected a JSON object in {path}, got {type(content).__name__}")
    if isinstance(metrics := content.get("metrics"), dict):
        content["metrics"] = {key: math.nan if value is None else value for key, value in metrics.items()}
    return content
