"""Checks of experiment files for misspelt keys, which Hydra merges silently.

Hydra refuses an unknown key on the command line, but merges one from an overlay without a word. So the config is
composed twice: with the overlay, and with nothing but the group choices that the overlay made. A key that only the
first one has came from the overlay, and no part knows it: it is refused, unless it lies within a mapping
with `_target_`, whose constructor is asked later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.errors import UsageError

__all__ = ["check_overlay", "drop_deselected", "new_keys"]


def drop_deselected(config: dict[str, Any], overlay_alone: Callable[[], Mapping[str, Any]]) -> None:
    """Remove the settings of an overlay for callbacks, loggers and regularisers that the command line deselected.

    `experiment=NAME callbacks=none` leaves settings without anything to set. They are no mistake where the
    overlay by itself has the part.

    Args:
        config: the composed config; changed.
        overlay_alone: composes the overlay without anything else from the command line.

    """
    for group in ("callbacks", "logger", "regulariser"):
        members = config.get(group)
        bare = [name for name, part in members.items() if _is_bare(part)] if isinstance(members, dict) else []
        if bare:
            known = overlay_alone()[group]
            for name in bare:
                if name in known and not _is_bare(known[name]):
                    del config[group][name]


def _is_bare(part: Any) -> bool:
    return not (isinstance(part, Mapping) and "_target_" in part)


def check_overlay(overlaid: Mapping[str, Any], plain: Mapping[str, Any], name: str) -> None:
    """Refuse an overlay with keys that no part takes.

    Args:
        overlaid: the config composed with the overlay.
        plain: the config composed with the same group choices and without the overlay.
        name: the overlay, for the message.

    Raises:
        UsageError: the first such key.

    """
    for key, siblings in new_keys(overlaid, plain):
        hint = did_you_mean(key.rsplit(".", 1)[-1], siblings)
        if key == "experiment":
            hint = "; does each file of the experiment begin with the line '# @package _global_'?"
        raise UsageError(f"unknown config key '{key}' in experiment={name}: no chosen config has it{hint}")


def new_keys(
    overlaid: Mapping[str, Any], plain: Mapping[str, Any], prefix: str = "", *, strict: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Yield the dotted keys that only `overlaid` has, with the keys beside them that both have.

    Args:
        overlaid: a config with an overlay.
        plain: the same without.
        prefix: the dotted key of both.
        strict: whether keys within a `_target_` mapping count too.

    """
    by_constructor = "_target_" in overlaid and not strict
    for key, value in overlaid.items():
        if isinstance(value, Mapping) and isinstance(plain.get(key), Mapping):
            yield from new_keys(value, plain[key], f"{prefix}{key}.", strict=strict)
        elif key not in plain and not by_constructor and not (isinstance(value, Mapping) and "_target_" in value):
            yield f"{prefix}{key}", [str(name) for name in plain]
