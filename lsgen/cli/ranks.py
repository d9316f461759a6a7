"""The rank of this process among the processes of a run.

A run has as many processes as its trainer uses devices on all its nodes. Lightning and torch read ranks from the
environment, where srun leaves them for every task of a step, also for tasks that are runs of their own. So a process
that trains alone is the first of its run, whatever the environment says.
"""

from __future__ import annotations

import os
from typing import Any

from lsgen.cli.config.frozen_config import resolving
from lsgen.cli.errors import UsageError
from lsgen.runs import RunDirectory

__all__ = ["forget_ranks", "is_first_process", "processes"]

_OF_STEP = ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_PROCID", "SLURM_LOCALID")


def is_first_process(directory: RunDirectory) -> bool:
    """Return whether this is the process that writes to the run directory, as one of several does."""
    rank = max(int(os.environ.get(name, 0)) for name in ("LOCAL_RANK", "SLURM_PROCID"))
    return rank == 0 or processes(directory) == 1


def processes(directory: RunDirectory) -> int:
    """Return how many processes train a run; 1 if its config is invalid, which training refuses later."""
    from omegaconf import OmegaConf

    config = OmegaConf.create(directory.config())
    for key, value in directory.overrides().items():
        OmegaConf.update(config, key, value)
    try:
        with resolving():
            devices, accelerator = config.trainer.get("devices", "auto"), config.trainer.get("accelerator", "auto")
            return int(config.trainer.get("num_nodes", 1)) * _devices(devices, accelerator)
    except (UsageError, ValueError, TypeError):
        return 1


def forget_ranks() -> None:
    """Remove the ranks from the environment, so that Lightning trains in this process alone."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    if int(os.environ.get("SLURM_NTASKS", 1)) > 1 or int(os.environ.get("SLURM_PROCID", 0)) > 0:
        for name in _OF_STEP:
            os.environ.pop(name, None)
    for name in ("RANK", "LOCAL_RANK"):
        os.environ.pop(name, None)
    rank_zero_only.rank = 0  # type: ignore[attr-defined]


def _devices(devices: Any, accelerator: str) -> int:
    """Return how many devices a trainer uses on each node: of a number, a list, "0,2", "auto" or -1."""
    if str(devices) in ("auto", "-1"):
        if accelerator == "cpu":
            return 1
        import torch

        return max(1, torch.cuda.device_count())
    if isinstance(devices, int | str) and "," not in str(devices):
        return int(devices)
    return len([one for one in str(devices).strip("[] ").split(",") if one.strip()])
