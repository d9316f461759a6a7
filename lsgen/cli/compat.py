"""Private parts of Hydra that the command line relies on; nothing else in this room touches any.

Hydra's public interface composes a config, but it neither lets another class read the files, nor composes the jobs of a
sweep without running them. Importing this module imports Hydra.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry

__all__ = ["FileConfigSource", "apply_overrides", "file_of", "grid", "package_of", "read_files_with"]


def read_files_with(source: type[FileConfigSource]) -> None:
    """Have Hydra read config files through a class of lsgen's."""
    SourcesRegistry.instance().types["file"] = source


def file_of(source: FileConfigSource, config: str) -> str:
    """Return the name of the file, below the source's directory, that holds a config."""
    return source._normalize_file_name(config)


def package_of(text: str) -> str | None:
    """Return the package that a config's `@package` line declares; None if it has no such line."""
    return FileConfigSource._get_header_dict(text)["package"]


def apply_overrides(loader: Any, overrides: Sequence[Any], config: Any) -> None:
    """Apply parsed overrides of values to a composed config, in place."""
    loader._apply_overrides_to_config(list(overrides), config)


def grid(overrides: Sequence[Any]) -> list[list[str]]:
    """Return the overrides of every job of a sweep: each combination of the values of parsed overrides."""
    (jobs,) = BasicSweeper.split_arguments(list(overrides), None)
    return [list(job) for job in jobs]
