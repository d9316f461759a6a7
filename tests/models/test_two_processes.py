"""Two processes: the averaged gradients of a VAE and of its discriminator, and a likelihood by the ODE."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).with_name("two_vaes.py")
LEFTOVERS = ("LOCAL_RANK", "NODE_RANK", "GLOBAL_RANK", "GROUP_RANK", "RANK", "WORLD_SIZE", "MASTER_", "PL_", "LSGEN_")


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("two_vaes", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _by_hand(script: ModuleType) -> dict[str, torch.Tensor]:
    """Take the steps in one process: the mean of the losses of both halves, each with its own random numbers."""
    model = script.build()
    ours, theirs = model.latent_space.parameters(), model.objective.discriminator.parameters()
    optimizers = [torch.optim.SGD(part, lr=0.05) for part in (ours, theirs)]
    for step, batch in enumerate(script.batches()):
        loss = torch.zeros(())
        for rank, half in enumerate(batch.chunk(2)):
            script.seed(step, rank)
            losses, codes = model.objective.losses_and_codes(model.latent_space, {"x": half}, step)
            loss = loss + (losses.loss + model.objective.adversary_loss(model.latent_space, codes.detach())) / 2
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    return model.state_dict()


@pytest.mark.slow
def test_two_processes_take_the_steps_of_their_averaged_gradients(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(LEFTOVERS)}
    command = [sys.executable, SCRIPT, "2", tmp_path / "out"]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(tmp_path / f"out.{rank}", weights_only=True) for rank in range(2))
    assert first["clocks"] == second["clocks"] == [5, 40]
    for name, value in _by_hand(_script()).items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        torch.testing.assert_close(first["weights"][name], value, atol=1e-6, rtol=1e-5, msg=name)
    log_densities = -(_script().batches()[0].square() + torch.tensor(2 * torch.pi).log()).sum(1) / 2
    assert first["nll"] == second["nll"] == pytest.approx(-float(log_densities.mean()), abs=2e-3)
