"""Private parts of Hydra that the command line relies on; nothing else in this room touches any.

Hydra's public interface composes a config, but it neither lets another class read the files, nor composes the jobs of a
sweep without running them. Importing this module imports Hydra.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hydra._internal.defaults_list as defaults
import hydra._internal.hydra as application
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_loader_impl import get_overrides_dirname as overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.plugins.config_source import ConfigSource

__all__ = [
    "ConfigLoaderImpl",
    "FileConfigSource",
    "ImportlibResourcesConfigSource",
    "apply_overrides",
    "compose_with",
    "file_of",
    "grid",
    "overrides_dirname",
    "package_of",
    "read_with",
]


_choices_by_name = defaults._create_interpolation_map


def compose_with(loader: type[ConfigLoaderImpl]) -> None:
    """Have Hydra compose configs with a class of lsgen's, and as fast as that goes."""
    application.ConfigLoaderImpl = loader  # type: ignore[misc]
    defaults._create_interpolation_map = _choices_where_asked_for


def _choices_where_asked_for(overrides: Any, defaults_list: list[Any], self_added: bool) -> Any:
    """Return what a defaults list with `${...}` takes its names from; of a list without, Hydra asks for nothing."""
    asked = any(one.is_interpolation() for one in defaults_list)
    return _choices_by_name(overrides, defaults_list, self_added) if asked else None


def read_with(*sources: type[ConfigSource]) -> None:
    """Have Hydra read configs through classes of lsgen's, each from where its scheme says."""
    for source in sources:
        SourcesRegistry.instance().types[source.scheme()] = source


def file_of(source: ConfigSource, config: str) -> str:
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
