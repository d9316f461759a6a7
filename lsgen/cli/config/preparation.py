"""Preparation of a composed config for a run directory: it is checked, resolved and named.

Nothing heavy is imported, unless the config leaves the shape of the data open.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import randbelow
from typing import Any

from lsgen.cli.config.compose import Composed
from lsgen.cli.config.first_stage import fill_first_stage
from lsgen.cli.config.frozen_config import freeze, references, resolving
from lsgen.cli.config.names import folder, identify
from lsgen.cli.config.open_shape import fill_shape
from lsgen.cli.config.overlay import check_overlay, drop_deselected
from lsgen.cli.config.schema import check_shape
from lsgen.cli.config.targets import check_names
from lsgen.runs import provenance

__all__ = ["FrozenRun", "chance", "prepare"]

_PATHS = (
    "path",
    "val_path",
    "test_path",
    "nodes_path",
    "picture",
    "label",
    "cache",
)  # keys of data with paths of the user


@dataclass(frozen=True)
class FrozenRun:
    """The config and provenance of a new run directory, and the end of its name.

    Attributes:
        folder: name and id of the run as the end of its directory's name.
        config: plain containers, resolved but for the values of the machine.
        origin: its provenance.

    """

    folder: str
    config: dict[str, Any]
    origin: dict[str, Any]


def prepare(
    composed: Composed, sweep: str | None, run_id: str | None = None, here: Mapping[str, Any] | None = None
) -> FrozenRun:
    """Check a composed config and resolve it.

    Args:
        composed: the config; its run's name, id and group, its seed and the shape of its data are filled in. Relative
            paths of data become absolute, so that the run can be resumed from anywhere.
        sweep: the name of the sweep that the run belongs to, if any.
        run_id: the id of the run where its config gives none; a new one unless given.
        here: the `surroundings` that runs prepared together share.

    Raises:
        UsageError: the config has keys that nothing knows, names what it may not, or leaves open a shape that its data
            do not tell.

    """
    from omegaconf import OmegaConf

    with resolving():
        identify(composed, sweep, run_id)
        if composed.config.get("seed") is None and not OmegaConf.is_missing(composed.config, "seed"):
            composed.config.seed = randbelow(2**31)
    fill_shape(composed.config)
    config = freeze(composed.config)
    if composed.overlay is not None:
        drop_deselected(config, composed.overlay_alone)
        check_overlay(config, composed.without_overlay(), composed.overlay)
    _drop_pages(config)
    fill_first_stage(config)
    check_shape(config, references(composed.config))
    check_names(config)
    _make_absolute(config.get("data"))
    about = config["run"]
    origin = provenance(about["id"], config["seed"], sys.argv, composed.choices, composed.overrides, here)
    origin |= chance(config)
    return FrozenRun(f"{folder(about['name'])}_{folder(about['id'])}", config, origin)


def chance(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what the provenance says of a run that the same seed does not repeat; nothing of any other."""
    model = config.get("model")
    workers = model.get("workers", 1) if isinstance(model, Mapping) else 1
    return {} if workers == 1 else {"nondeterministic": f"model.workers = {workers}: threads write as they come"}


def _drop_pages(config: dict[str, Any]) -> None:
    """Leave out the page of the codes where no page of the run is asked for."""
    members = config.get("callbacks")
    if config.get("report", True) or not isinstance(members, dict):
        return
    for name, part in list(members.items()):
        if isinstance(part, dict) and part.get("_target_") == "lsgen.callbacks.Explorer":
            del members[name]


def _make_absolute(data: Any) -> None:
    """Replace what names a file or directory from the present one; names of a hub and values of the machine stay."""
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        _make_absolute(value)
        if key not in _PATHS or not isinstance(value, str) or value.startswith(("~", "${")):
            continue
        if key == "cache" or (Path(value).is_file() if key == "label" else Path(value).exists()):
            data[key] = str(Path.cwd() / value)
