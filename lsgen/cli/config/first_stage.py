"""The first stage of latent diffusion: a run stands for its model, whose config and weights the new run then keeps.

`model.first_stage=RUN` becomes the model of that run in the frozen config. Its weights are read when the new run is
built, and are in every checkpoint of it; so nothing needs RUN afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsgen.runs import RunDirectory

__all__ = ["fill_first_stage", "load_first_stage"]


def fill_first_stage(config: dict[str, Any]) -> None:
    """Replace the path of a run by what its model is built of; do nothing where there is none.

    Args:
        config: a frozen config; changed.

    Raises:
        RunError: there is no such run, or it has no checkpoint.

    """
    model = config.get("model")
    if not isinstance(model, dict) or not isinstance(place := model.get("first_stage"), str):
        return
    run = RunDirectory.open(place)
    run.check_version()
    model["first_stage"] = {
        "_target_": "lsgen.models.diffusion.FirstStage",
        "model": run.config()["model"],
        "checkpoint": str(run.checkpoint().absolute()),
    }


def load_first_stage(model: Any) -> None:
    """Give the first stage of a model its weights, where it has one and the file is there."""
    from lsgen.callbacks import read_checkpoint
    from lsgen.models.diffusion import Diffusion

    stage = model.decoder.first_stage if isinstance(model, Diffusion) else None
    if stage is not None and stage.checkpoint is not None and Path(stage.checkpoint).is_file():
        stage.load(read_checkpoint(stage.checkpoint)["state_dict"])
