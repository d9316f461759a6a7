"""Composition: the config of a run as Hydra puts it together from groups, files and overrides."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Composed", "choices_of", "compose_chosen", "compose_plain", "environment", "parsed", "set_by_config"]


@dataclass(frozen=True)
class Composed:
    """A composed config, with the choices and overrides it was composed from.

    Attributes:
        config: the config, interpolations unresolved.
        without_overlay: composes the same group choices without the experiment.
        overlay_alone: composes the experiment without anything else from the command line.
        overlay: the name of the experiment; None where there is none.
        choices: group -> chosen config.
        overrides: the overrides of the command line, without Hydra's own.
        number: the number of the job in a sweep; None for a single run.
        output: the directory that the user asked Hydra to use; None where the user did not.
        variables: environment variables that `hydra.job.env_set` asks for.

    """

    config: Any
    without_overlay: Callable[[], Any]
    overlay_alone: Callable[[], Any]
    overlay: str | None
    choices: Mapping[str, Any]
    overrides: Sequence[str]
    number: int | None
    output: Path | None
    variables: Mapping[str, str]


def choices_of(choices: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """Return the experiment (None if there is none) and the other group choices, each as `GROUP=CHOICE`."""
    overlay = choices.get("experiment")
    groups = [f"{group}={choice}" for group, choice in choices.items() if _is_ours(group) and choice is not None]
    return None if overlay in (None, "none") else str(overlay), groups


def set_by_config(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that a config may set: all but lsgen's own, which state what the user trusts."""
    return {name: str(value) for name, value in variables.items() if not name.startswith("LSGEN_")}


def parsed(loader: Any, overrides: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """Return parsed overrides that choose from a group, Hydra's own among them, and those that set values.

    What jobs with the same choices share has to be composed once; values are set afterwards.

    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    every = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    chooses = [
        each.key_or_group.startswith("hydra") or loader.repository.group_exists(each.key_or_group) for each in every
    ]
    pairs = list(zip(every, chooses, strict=True))
    return [each for each, choice in pairs if choice], [each for each, choice in pairs if not choice]


def compose_plain(name: str, overrides: Sequence[str]) -> Any:
    """Return a composed config as plain containers, interpolations unresolved."""
    from hydra import compose
    from omegaconf import OmegaConf

    return OmegaConf.to_container(compose(name, overrides=list(overrides)), resolve=False)


def compose_chosen(name: str, chosen: Sequence[str]) -> Any:
    """Return a config composed of group choices, without an experiment, as plain containers.

    Groups that no defaults list names, such as one of the user that the command line or the experiment adds, are added.
    """
    from hydra.errors import ConfigCompositionException

    without = "experiment=none"
    try:
        return compose_plain(name, [*chosen, without])
    except ConfigCompositionException:  # some group must be added
        known = _groups(name, without)
    named = [choice for choice in chosen if choice.partition("=")[0] in known]
    if len(named) < len(chosen):
        known = _groups(name, *named, without)  # a chosen config may name further groups
    return compose_plain(name, [*(f"{'' if one.partition('=')[0] in known else '+'}{one}" for one in chosen), without])


def _groups(name: str, *overrides: str) -> set[str]:
    """Return the groups from which a composed config has a choice."""
    from hydra import compose

    return set(compose(name, overrides=list(overrides), return_hydra_config=True).hydra.runtime.choices)


def _is_ours(group: str) -> bool:
    return group != "experiment" and not group.startswith("hydra/")


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Replace all environment variables within the context, and restore them afterwards."""
    former = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(former)
