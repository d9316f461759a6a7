"""Two processes that train one VAE over gloo."""

from __future__ import annotations

import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lsgen.data import Digits
from lsgen.models.vae.objective import kl_per_dimension

OPTIONS: dict[str, Any] = {"devices": 2, "strategy": "ddp_fork", "max_steps": 15}


@pytest.mark.slow
def test_two_processes(engine: ModuleType, tmp_path: Path) -> None:
    """Metrics are those over the whole data set; killed and resumed inside an epoch, all bits are the same."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert engine.in_child(lambda: engine.fit(whole, **OPTIONS)) == 0
    kill = engine.Send(signal.SIGKILL, "on_train_batch_end", 9)
    assert engine.in_child(lambda: engine.fit(cut, extra=[kill], every_n_steps=4, **OPTIONS)) != 0
    assert engine.load(cut)["clocks"]["generator_steps"] == 8
    assert engine.in_child(lambda: engine.fit(cut, resume=True, **OPTIONS)) == 0
    assert engine.same_run(whole, cut) == []

    clocks = engine.load(whole)["clocks"]
    assert clocks["generator_steps"] == 15
    assert clocks["images_seen"] - (1257 + 5 * 128) in (0, 1)  # the first process has one observation more
    model, images = engine.build(None), Digits().dataset("val")[torch.arange(180)]["x"]
    model.load_state_dict(engine.load(whole)["state_dict"])
    posterior = model.latent_space.encode(images)
    kl = kl_per_dimension(posterior, model.latent_space.prior()).double().mean(0)
    row = engine.rows(whole)[-1]
    assert [float(row[f"val/kl_dimension/{i:02d}"]) for i in range(3)] == pytest.approx(kl.tolist(), rel=1e-5)
    spread = posterior.mean.double().var(0, unbiased=False)
    assert float(row["val/active_units"]) == int((spread > 0.01).sum())
