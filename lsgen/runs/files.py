"""Small files written so that a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

__all__ = ["read_json", "read_yaml", "write_atomically", "write_json", "write_yaml"]


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by `text`: written beside it, synchronised to disk, then renamed.

    Raises:
        OSError: the directory is not writable or the disk is full; the old file stays as it was.

    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write plain containers as yaml, atomically, in the order they came."""
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
    """Write plain containers as JSON, atomically."""
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty where there is no such file.

    Raises:
        ValueError: the file is no JSON object.

    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"expected a JSON object in {path}, got {type(content).__name__}")
    return content
