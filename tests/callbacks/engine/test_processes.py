"""Two processes that train one VAE over gloo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lsgen.data import Digits
from lsgen.models.divergence import kl_per_dimension

SCRIPT = """
import signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import toy_engine as engine

whole, cut = Path(sys.argv[2]), Path(sys.argv[3])
two = {"devices": 2, "strategy": "ddp_fork", "max_steps": 15}
kill = engine.Send(signal.SIGKILL, "on_train_batch_end", 9)
assert engine.in_child(lambda: engine.fit(whole, **two)) == 0
assert engine.in_child(lambda: engine.fit(cut, extra=[kill], every_n_steps=4, **two)) != 0
assert engine.load(cut)["clocks"]["generator_steps"] == 8
assert engine.in_child(lambda: engine.fit(cut, resume=True, **two)) == 0


class ToTheFirst(engine.Send):
    def _send(self, trainer, module, *args):
        if trainer.is_global_zero:
            super()._send(trainer, module, *args)


stop = ToTheFirst(signal.SIGTERM, "on_validation_batch_end", 10)
stopped = Path(sys.argv[4])
assert engine.in_child(lambda: engine.fit(stopped, extra=[stop], every_n_steps=None, **two)) != 0
assert engine.load(stopped)["clocks"]["generator_steps"] == 9
assert engine.in_child(lambda: engine.fit(stopped, resume=True, **two)) == 0
"""


@pytest.mark.slow
def test_two_processes(engine: ModuleType, tmp_path: Path) -> None:
    """Metrics are over the whole data set; killed in an epoch or stopped in a validation, all bits are the same."""
    whole, cut, stopped = tmp_path / "whole", tmp_path / "cut", tmp_path / "stopped"
    command = [sys.executable, "-c", SCRIPT, str(Path(str(engine.__file__)).parent), *map(str, (whole, cut, stopped))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert engine.same_run(whole, cut) == []
    assert engine.same_run(whole, stopped) == []

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
