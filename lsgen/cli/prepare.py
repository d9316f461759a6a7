"""From a composed config to what a run directory keeps: checked, resolved, identified. Nothing heavy is imported."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import randbelow
from typing import Any

from lsgen.cli.compose import Composed
from lsgen.cli.freeze import freeze, references, resolving
from lsgen.cli.overlay import check_overlay, drop_deselected
from lsgen.cli.schema import check_shape
from lsgen.cli.targets import check_names
from lsgen.runs import new_id, provenance

__all__ = ["Frozen", "prepare"]


@dataclass(frozen=True)
class Frozen:
    """What is written when a run directory is made.

    Attributes:
        name: under which the run is known.
        id: its stable id.
        config: plain containers, resolved but for the values of the machine.
        origin: its provenance.

    """

    name: str
    id: str
    config: dict[str, Any]
    origin: dict[str, Any]


def prepare(
    composed: Composed, sweep: str | None, run_id: str | None = None, here: Mapping[str, Any] | None = None
) -> Frozen:
    """Check a composed config and resolve it.

    Args:
        composed: the config; its run's name, id and group and its seed are filled in.
        sweep: the name of the sweep that the run belongs to, if any.
        run_id: the id of the run where its config gives none; a new one unless given.
        here: the `surroundings` that runs prepared together share.

    Raises:
        UsageError: the config has keys that nothing knows, or names what it may not.

    """
    with resolving():
        _identify(composed, sweep, run_id)
    config = freeze(composed.config)
    if composed.overlay is not None:
        drop_deselected(config, composed.overlay_alone)
        check_overlay(config, composed.without_overlay(), composed.overlay)
    check_shape(config, references(composed.config))
    check_names(config)
    about = config["run"]
    origin = provenance(about["id"], config["seed"], sys.argv, composed.choices, composed.overrides, here)
    return Frozen(about["name"], about["id"], config, origin)


def _identify(composed: Composed, sweep: str | None, run_id: str | None) -> None:
    """Fill in what the config leaves open: the seed, and the id, name and group under which the run is known.

    A Weights & Biases agent has given the run its id already.
    """
    config, choices = composed.config, composed.choices
    chosen = [choices.get("experiment")]
    if chosen[0] in (None, "none"):
        chosen = [choices.get("data"), choices.get("model")]
    name = config.run.name or "_".join(re.sub(r"[^\w.-]+", "-", str(choice)) for choice in chosen)
    agents = os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
    config.run.id = str(config.run.id or agents or run_id or new_id())
    config.run.name = str(name)
    config.run.group = config.run.group or sweep or config.run.name
    config.seed = randbelow(2**31) if config.seed is None else config.seed
