"""Scaling efficiency of training over processes.

For a run with P processes that trains on r_P images a second, over all processes,

    scaling efficiency e_P = r_P / (P r_1)

with r_1 the mean over the runs with one process that are alike in everything that the sweep sets but the seed and the
number of processes. As the batch size is that of one process, this is the efficiency of weak scaling
[Gustafson, J. L. (1988). Reevaluating Amdahl's law, Commun. ACM 31]. Every rate is the last that its run logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from statistics import fmean
from typing import Any

__all__ = ["SCALING_EFFICIENCY", "add_scaling_efficiency"]

SCALING_EFFICIENCY = "scaling_efficiency"
_RATE = "train/images_per_s"
_PLACEMENT = ("trainer", "trainer.devices", "trainer.num_nodes", "trainer.strategy")
_ALIKE = ("trainer.accelerator", "trainer.precision", "data.batch_size")


def add_scaling_efficiency(rows: Iterable[dict[str, Any]], settings: Iterable[str]) -> None:
    """Add the scaling efficiency to the rows of finished runs, where both one process and several were run.

    A run is left out where its number of processes is not written in its config (`trainer.devices=auto`) or no run
    with one process is like it.

    Args:
        rows: of `index`.
        settings: the keys that the sweep sets to different values, the seed left out.

    """
    keys = [*dict.fromkeys([*(key for key in settings if key not in _PLACEMENT), *_ALIKE])]
    alike: dict[str, list[tuple[int, float, dict[str, Any]]]] = {}
    for row in rows:
        count, rate = _processes(row), row.get(_RATE)
        if row.get("state") == "finished" and count and isinstance(rate, int | float) and isfinite(rate):
            alike.setdefault(repr([row.get(key) for key in keys]), []).append((count, rate, row))
    for runs in alike.values():
        single = [rate for count, rate, _ in runs if count == 1]
        if not single or len(single) == len(runs) or fmean(single) <= 0:
            continue
        for count, rate, row in runs:
            row[SCALING_EFFICIENCY] = rate / (count * fmean(single))


def _processes(row: Mapping[str, Any]) -> int | None:
    """Return the number of processes of a run; None where its config leaves it to the machine."""
    devices, nodes = row.get("trainer.devices"), row.get("trainer.num_nodes", 1)
    devices = len(devices) if isinstance(devices, list) else devices
    try:
        count = int(devices) * int(nodes)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return count if count > 0 else None
