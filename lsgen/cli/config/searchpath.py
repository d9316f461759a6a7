"""Search path of configs: the user's directories first, then those that ship with lsgen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

__all__ = ["SHIPPED", "config_options", "register", "shipped_directory", "user_directories"]

SHIPPED = "pkg://lsgen.conf"


def user_directories() -> list[Path]:
    """Return the user's config directories, the first one with priority: those of LSGEN_CONF, then ./conf.

    The directory that lsgen itself ships is not among them, so that working in a checkout changes nothing.
    """
    named = [Path(place) for place in os.environ.get("LSGEN_CONF", "").split(os.pathsep) if place]
    shipped = shipped_directory()
    found = [place.absolute() for place in [*named, Path("conf")] if place.is_dir()]
    return [place for place in dict.fromkeys(found) if place.resolve() != shipped]


def config_options(group: str = "") -> list[str]:
    """Return the names of the configs in a group (or of the groups themselves), of the user and of lsgen."""
    return sorted(set(_options(group)))


def register(*strongest: str) -> None:
    """Put the given directories, then the user's, before those of lsgen in Hydra's search path.

    Args:
        strongest: directories that beat all others, such as those of `--config-dir`.

    """
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class UserConfigs(SearchPathPlugin):
        """Prepends the user's directories."""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            """Let the user's files shadow the shipped ones."""
            places = [Path(place).absolute() for place in strongest] + user_directories()
            for place in reversed(places):
                search_path.prepend(provider="lsgen-user", path=f"file://{place}")

    plugins = Plugins.instance()
    known = plugins.plugin_type_to_subclass_list[SearchPathPlugin]
    known[:] = [plugin for plugin in known if plugin.__name__ != UserConfigs.__name__]
    plugins.register(UserConfigs)


def shipped_directory() -> Path:
    """Return the directory of the configs that lsgen ships."""
    return Path(next(iter(import_module("lsgen.conf").__path__))).resolve()


def _options(group: str) -> Iterator[str]:
    for place in [*user_directories(), shipped_directory()]:
        folder = place / group
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        for entry in entries:
            if group and entry.suffix == ".yaml" and not entry.name.startswith("_"):
                yield entry.stem
            elif not group and entry.is_dir() and any(entry.glob("*.yaml")):
                yield entry.name
