"""Hydra's application: it composes a config from the command line and runs a job on it, or every job of a sweep."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsgen.cli.config.compose import (
    Composed,
    choices_of,
    compose_chosen,
    compose_plain,
    environment,
    set_by_config,
)
from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.config.searchpath import SHIPPED, config_options, register
from lsgen.cli.errors import UsageError
from lsgen.cli.refusals.explain import explanation
from lsgen.cli.sweeps.launch import Launch
from lsgen.runs import flatten

__all__ = ["compose_and_run"]

_WITH_VALUE = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
_WITH_VALUE |= {"--experimental-rerun"}
_MANY = 12  # names that are too many for a sentence which has a better one to offer
_INFOS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def compose_and_run(
    arguments: Sequence[str], sweep_dir: str, job: Callable[[Composed], Any], launch: Launch | None = None
) -> list[int]:
    """Compose a config with Hydra and run `job` on it, once or for every job of a sweep.

    Args:
        arguments: Hydra's flags and overrides.
        sweep_dir: where a sweep goes; used with `-m` only.
        job: called with each composed config, under the process's own sys.argv and environment. What it raises
            goes through Hydra, so it had better not.
        launch: what is asked of a sweep.

    Returns:
        The numbers of the jobs in the sweep's directory, where a launcher of lsgen took the place of `job`.

    Raises:
        UsageError: the arguments do not compose.

    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from lsgen.cli.config.sources import register_source
    from lsgen.cli.launchers.plugins import register_plugins

    _check_choices(arguments)
    arguments = _flags_first(arguments)
    register(*_config_directories(arguments))
    own_argv, own_environment = sys.argv, dict(os.environ)

    def task(config: Any) -> Any:
        composed = _describe(config)
        with outside(composed.variables):
            return job(composed)

    @contextmanager
    def outside(variables: Mapping[str, str] | None = None) -> Iterator[None]:
        own = {**own_environment, "LSGEN_SWEEP_DIR": sweep_dir}
        with environment({**own, **set_by_config(variables or {})}), _argv(own_argv):
            yield

    launched: list[int] = []
    task.outside, task.launched = outside, launched  # type: ignore[attr-defined]
    task.launch = launch or Launch()  # type: ignore[attr-defined]
    hydra_environment = {**own_environment, "HYDRA_FULL_ERROR": "1", "LSGEN_SWEEP_DIR": sweep_dir}
    try:
        with environment(hydra_environment), _argv([own_argv[0], *arguments]):
            register_plugins()
            register_source()
            hydra.main(version_base="1.3", config_path=SHIPPED, config_name="train")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        raise UsageError(_of_a_plugin(error) or _sentence(error, arguments)) from error
    return launched


def _check_choices(arguments: Sequence[str]) -> None:
    """Refuse `GROUP=null`, for which Hydra's own message gives no reason."""
    for argument in arguments:
        group, separator, choice = argument.partition("=")
        if separator and choice in ("null", "None", "~") and group in config_options():
            names = config_options(group)
            none = f": `{group}=none` is for none of them" if "none" in names else ""
            raise UsageError(f"expected {group} to be one of {', '.join(names)}, got {choice}{none}")


def _describe(config: Any) -> Composed:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    own = HydraConfig.get()
    choices = dict(own.runtime.choices)
    sweep = own.mode == RunMode.MULTIRUN
    name, output = str(own.job.config_name), Path(own.runtime.output_dir)
    overlay, groups = choices_of(choices)
    return Composed(
        config=config,
        without_overlay=lambda: compose_chosen(name, groups),
        overlay_alone=lambda: compose_plain(name, [f"experiment={overlay}"]),
        overlay=overlay,
        choices=choices,
        overrides=OmegaConf.to_container(own.overrides.task, resolve=False),  # type: ignore[arg-type]
        number=int(own.job.num) if sweep else None,
        output=None if output == Path(own.sweep.dir if sweep else ".").absolute() else output,
        variables=dict(own.job.env_set),
    )


def _flags_first(arguments: Sequence[str]) -> list[str]:
    """Put flags, with their values, before overrides: Hydra's parser takes overrides in one piece only."""
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, separator, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and separator and f"--{name}" not in {*_WITH_VALUE, "--info"}:
            hint = did_you_mean(f"--{name}", ("--hours", "--stop-at-first-failure", "--wait"))
            raise UsageError(f"unknown flag --{name}{hint or f': groups and keys go without dashes, {name}={value}'}")
        (flags if argument.startswith("-") else overrides).append(argument)
        takes_next = argument in _WITH_VALUE or (argument in ("--info", "-i") and rest and rest[0] in _INFOS)
        if takes_next and rest:
            flags.append(rest.pop(0))
    return flags + overrides


def _config_directories(arguments: Sequence[str]) -> list[str]:
    found = []
    for index, argument in enumerate(arguments):
        if argument in ("--config-dir", "-cd") and index + 1 < len(arguments):
            found.append(arguments[index + 1])
        elif argument.startswith("--config-dir="):
            found.append(argument.split("=", 1)[1])
    return found


def _of_a_plugin(error: BaseException) -> str | None:
    """Return the message of a launcher or sweeper about its options; None if the error has another source."""
    if type(error).__name__ != "InstantiationException":
        return None
    part = re.search(r"^full_key: (.+)$", str(error), re.MULTILINE)
    return explanation(error, place=part[1] if part else "")


def _sentence(error: BaseException, arguments: Sequence[str] = ()) -> str:
    """Return Hydra's error message in one sentence."""
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    text = "\n".join(dict.fromkeys(str(cause).strip() for cause in causes))
    if unknown := re.search(r"Could not override '([^']+)'|delete from config. '([^']+)' does not exist", text):
        key = unknown[1] or unknown[2]
        if key == "hydra.sweeper.zip":
            return "zip= pairs the lists of hydra/sweeper=grid and listed; no other sweeper knows it"
        if "/" in key and config_options(key):
            return f"nothing is chosen from {key} yet: write +{key}=NAME or +{key}=[NAME,NAME] with {_names(key)}"
        adding = f"; write +{key} if its class takes it" if unknown[1] and "." in key else ""
        hint = _suggestion(key, arguments) or adding
        return f"unknown config key {key!r}{hint} (`lsgen train --cfg job` prints all keys)"
    if choice := re.search(r"Could not find '(.+)/([^/]+)'\n+Available options in '.+':((?:\n\t.+)*)", text):
        names = [name for name in choice[3].split() if not name.startswith("_")]
        close = did_you_mean(choice[2], names)
        known = "those that `lsgen train --help` lists" if close and len(names) > _MANY else ", ".join(names)
        return f"expected {choice[1]} to be one of {known}, got {choice[2]!r}{close}"
    lines = [line.strip() for line in text.split("Config search path")[0].splitlines() if line.strip()]
    if argument := getattr(error, "override", None):  # of its parser
        if lines[0].startswith("Lexer"):
            expected = "KEY=VALUE as Hydra writes keys and values, other text in quotes"
            return f"cannot read the argument {argument!r}: expected {expected}"
        if argument not in lines[0]:
            lines[0] = f"cannot read the argument {argument!r}: {lines[0]}"
    dropped = ("object_type=", "reference_type=", "full_key:", "Set the environment variable", "See https://hydra.cc")
    return "; ".join(dict.fromkeys(line for line in lines if not line.startswith(dropped)))


def _names(group: str) -> str:
    return ", ".join(config_options(group))


def _suggestion(key: str, arguments: Sequence[str]) -> str:
    """Return a hint at the known key that is most similar to a mistyped one, or that has its name at a deeper level."""
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    groups = [argument for argument in arguments if argument.partition("=")[0] in config_options()]
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        try:
            config = compose("train", overrides=groups)
        except HydraException:  # one of the user's own files, or several choices of a sweep
            config = compose("train")
    plain: Any = OmegaConf.to_container(config, resolve=False)
    parent, _, name = key.rpartition(".")
    beside = f"{parent}." if parent else ""
    within = [known for known in flatten(plain) if known.startswith(beside) and known.endswith(f".{name}")]
    if parent and len(within) == 1:
        return f"; did you mean {within[0]}?"
    names = {known.removeprefix(beside).split(".")[0] for known in flatten(plain) if known.startswith(beside)}
    return did_you_mean(name, names) or (did_you_mean(key, flatten(plain)) if parent.split(".")[0] not in plain else "")


@contextmanager
def _argv(argv: list[str]) -> Iterator[None]:
    former = sys.argv
    sys.argv = argv
    try:
        yield
    finally:
        sys.argv = former
