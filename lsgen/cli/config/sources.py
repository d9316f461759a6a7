"""Reading of config files, with errors that name the file, the line and what to write instead.

Hydra reads a file with a byte order mark, or without its `@package` line, as if it were about something else. It also
parses every file anew whenever it composes a config, and composes a config twice before it runs a job. Here a file
that has not changed is parsed once in a process, and what the shipped files alone compose into is composed once for
the same choices from groups, to which values are set afterwards.
"""

from __future__ import annotations

import codecs
import os
import pickle
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig
from yaml import YAMLError

from lsgen.cli.compat import (
    ConfigLoaderImpl,
    FileConfigSource,
    ImportlibResourcesConfigSource,
    apply_overrides,
    compose_with,
    file_of,
    overrides_dirname,
    package_of,
    read_with,
)
from lsgen.cli.config.searchpath import SHIPPED, shipped_directory
from lsgen.cli.errors import UsageError
from lsgen.cli.refusals.explain import yaml_fault

__all__ = ["register_source"]


_UNCHANGING = {SHIPPED, "pkg://hydra.conf", "structured://"}
# Overrides by which more than files and overrides decide, or of what Hydra writes after it has set values.
_ELSEWHERE = ("hydra.searchpath", "hydra.job", "hydra.runtime", "hydra.overrides", "???")
_files: dict[tuple[str, ...], tuple[tuple[int, ...], bytes]] = {}
_composed: dict[tuple[object, ...], bytes] = {}


class _Files(FileConfigSource):
    """Reads config files as Hydra does, and refuses those that Hydra would misread."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a config file.

        Raises:
            UsageError: it is no text in UTF-8, no yaml or no mapping, or it lacks its `@package` line.

        """
        file = Path(self.path) / file_of(self, config_path)
        return _once(self, config_path, file, lambda: self._checked(config_path, file))

    def _checked(self, config_path: str, file: Path) -> ConfigResult:
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


class _Packages(ImportlibResourcesConfigSource):
    """Reads the config files of packages, such as those that ship with lsgen and Hydra, as Hydra does."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a config file."""
        place = resources.files(self.path)
        if not isinstance(place, Path):  # such as a zip file
            return super().load_config(config_path)
        file = place / file_of(self, config_path)
        return _once(self, config_path, file, lambda: super(_Packages, self).load_config(config_path))


def _once(source: ConfigSource, config_path: str, file: Path, read: Callable[[], ConfigResult]) -> ConfigResult:
    """Return what a file holds, for the caller to change; a file that stays as it was is read once."""
    about = file.stat()
    key, state = (source.provider, source.full_path(), config_path), (about.st_ino, about.st_size, about.st_mtime_ns)
    if key not in _files or _files[key][0] != state:
        _files[key] = state, pickle.dumps(read())
    found: ConfigResult = pickle.loads(_files[key][1])
    return found


class _Loader(ConfigLoaderImpl):
    """Composes configs as Hydra does; of the same shipped files and the same choices, once."""

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Return a config."""
        places = {source.full_path() for source in self.get_sources()}
        if not places <= _UNCHANGING or any(word in one for word in _ELSEWHERE for one in overrides):
            return super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        parsed = OverridesParser.create().parse_overrides(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        given = [one for one in parsed if not one.is_sweep_override()]
        values = [one for one in given if not self._chooses(one)]
        chosen = [str(one.input_line) for one in given if self._chooses(one)]
        key = (config_name, *chosen, _shipped_files())
        if key not in _composed:
            _composed[key] = pickle.dumps(super().load_configuration(config_name, chosen, run_mode, from_shell, False))
        config: DictConfig = pickle.loads(_composed[key])
        apply_overrides(self, values, config)
        _record(parsed, config)
        return config

    def _chooses(self, override: Override) -> bool:
        """Return whether an override chooses from a group, as Hydra tells it from one that sets a value."""
        return self.repository.group_exists(override.key_or_group) and not isinstance(override.value(), dict)


def _record(overrides: Sequence[Override], config: DictConfig) -> None:
    """Write into a config what it was composed from, and where."""
    job = config.hydra.job
    own = [one for one in overrides if one.is_hydra_override()]
    task = [one for one in overrides if not one.is_hydra_override()]
    config.hydra.overrides.hydra = [one.input_line for one in own]
    config.hydra.overrides.task = [one.input_line for one in task]
    job.override_dirname = overrides_dirname(task, **job.config.override_dirname)
    job.name = JobRuntime.instance().get("name")
    config.hydra.runtime.cwd = os.getcwd()


def _shipped_files() -> tuple[tuple[str, int, int], ...]:
    """Return the state of every shipped file."""
    found = [os.path.join(folder, name) for folder, _, names in os.walk(shipped_directory()) for name in names]
    return tuple((file, about.st_size, about.st_mtime_ns) for file in found for about in [os.stat(file)])


def register_source() -> None:
    """Have Hydra read and compose configs through this module."""
    Plugins.instance()  # Hydra registers its own classes where that has not been called yet
    read_with(_Files, _Packages)
    compose_with(_Loader)


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
