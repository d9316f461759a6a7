"""Reading of config files, with errors that name the file, the line and what to write instead.

Hydra reads a file with a byte order mark, or without its `@package` line, as if it were about something else.
"""

from __future__ import annotations

import codecs
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig
from yaml import YAMLError

from lsgen.cli.compat import FileConfigSource, file_of, package_of, read_files_with
from lsgen.cli.config.searchpath import shipped_directory
from lsgen.cli.errors import UsageError
from lsgen.cli.refusals.explain import yaml_fault

__all__ = ["register_source"]


class _Files(FileConfigSource):
    """Reads config files as Hydra does, and refuses those that Hydra would misread."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a config file.

        Raises:
            UsageError: it is no text in UTF-8, no yaml or no mapping, or it lacks its `@package` line.

        """
        file = Path(self.path) / file_of(self, config_path)
        _check_text(file)
        try:
            found = super().load_config(config_path)
        except YAMLError as error:
            raise UsageError(str(yaml_fault(error))) from error
        except ValueError as error:  # of its header, or of a key
            raise UsageError(f"{file}: {str(error).splitlines()[0]}") from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise UsageError(f"{file}: expected a mapping of keys to values, got something else") from error
        _check_package(file, PurePosixPath(config_path).parent.as_posix(), found)
        return found


def register_source() -> None:
    """Have Hydra read files through this module."""
    read_files_with(_Files)


def _check_text(file: Path) -> None:
    data = file.read_bytes()
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(f"{file} begins with a byte order mark (BOM): save it as UTF-8 without BOM")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = data[error.start : error.start + 1]
        raise UsageError(
            f"{file}, line {line}: expected text in UTF-8, got the byte {byte!r}: save it as UTF-8"
        ) from error


def _check_package(file: Path, group: str, found: ConfigResult) -> None:
    config: Any = found.config
    if not isinstance(config, DictConfig):
        raise UsageError(f"{file}: expected a mapping of keys to values, got a list")
    wanted, always = _package(group)
    sets = any(key != "defaults" for key in config) or "override" in str(config.get("defaults"))
    sets = sets if always else any(key in _groups() for key in config)  # some need it: those that set other groups
    if wanted and sets and not found.header["package"]:
        raise UsageError(
            f"{file}: expected '# @package {wanted}' as its first line, as configs in {group}/ have it, got none: "
            f"all that it sets would go to {group}.*, which nothing reads"
        )


@cache
def _package(group: str) -> tuple[str | None, bool]:
    """Return the package that the shipped configs of a group declare (None if none does), and whether all do."""
    texts = [file.read_text(encoding="utf-8")[:512] for file in sorted((shipped_directory() / group).glob("*.yaml"))]
    headers: list[str | None] = [package_of(text) for text in texts if text.strip()]
    declared = [header for header in headers if header is not None]
    return (declared[0], len(declared) == len(headers)) if declared else (None, False)


@cache
def _groups() -> frozenset[str]:
    return frozenset(path.name for path in shipped_directory().iterdir() if path.is_dir())
