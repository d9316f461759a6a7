"""Lightning's own callbacks beside ours: they do what they do, and a run that is killed resumes bit for bit."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import (
    DeviceStatsMonitor,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from torch import nn

from lsgen.callbacks.engine.averaging import accompany_averaging
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, NonSaturating, Updates
from lsgen.nn.adversarial.dcgan import DCGANCritic, DCGANGenerator


class Weights(Callback):
    """Keeps the weights at the starts of epochs, and those after the last step."""

    def __init__(self) -> None:
        self.at_starts: list[dict[str, torch.Tensor]] = []
        self.last: dict[str, torch.Tensor] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.at_starts.append({name: weight.detach().clone() for name, weight in pl_module.named_parameters()})

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.last = {name: weight.detach().clone() for name, weight in pl_module.named_parameters()}


class Stop(Callback):
    """Ends training after five steps."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        trainer.should_stop |= pl_module.generator_steps == 5


def killed_and_resumed(engine: ModuleType, place: Path, step: int, make: Any, **options: Any) -> None:
    kill = engine.Send(signal.SIGKILL, "on_train_batch_end", step)
    assert engine.killed(engine.in_child(lambda: engine.fit(place, extra=[kill, *make()], **options)))
    engine.fit(place, resume=True, extra=make(), **options)


def test_stopping_early_logging_and_keeping_more_checkpoints(
    engine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gain that nothing reaches ends training after the second validation."""
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace())
    monkeypatch.setattr("pytorch_lightning.accelerators.cpu._PSUTIL_AVAILABLE", True)
    monkeypatch.setattr("pytorch_lightning.accelerators.cpu.get_cpu_stats", lambda: {"percent": 7.0})
    others = partial(ModelCheckpoint, tmp_path / "others", monitor="val/elbo", mode="max", save_top_k=2)

    def make() -> list[Callback]:
        stop = EarlyStopping("val/elbo", mode="max", patience=1, min_delta=1e6)
        return [stop, LearningRateMonitor(), DeviceStatsMonitor(cpu_stats=True), others()]

    trainer = engine.fit(tmp_path / "whole", extra=make())
    assert trainer.lightning_module.generator_steps == 40
    assert sorted(file.name for file in (tmp_path / "others").iterdir()) == [
        "epoch=0-step=20.ckpt",
        "epoch=1-step=40.ckpt",
    ]
    logged = engine.rows(tmp_path / "whole")
    rates = [float(row["lr-Adam"]) for row in logged if "lr-Adam" in row]
    assert rates == pytest.approx([5e-4 * (1 + math.cos(math.pi * n / 100)) for n in range(4, 40, 5)])
    stats = "DeviceStatsMonitor.on_train_batch_end/percent"
    assert [row[stats] for row in logged if stats in row] == ["7.0"] * 8
    for file in (tmp_path / "others").iterdir():
        file.unlink()
    killed_and_resumed(engine, tmp_path / "cut", 33, make)
    assert engine.same_run(tmp_path / "whole", tmp_path / "cut") == []


@pytest.mark.slow
def test_averaged_weights_are_the_mean_over_the_starts_of_epochs_and_resume(engine: ModuleType, tmp_path: Path) -> None:
    def make() -> list[Callback]:
        return [StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2, annealing_epochs=2)]

    seen = Weights()
    trainer = engine.fit(tmp_path / "whole", extra=[seen, *make()])
    assert len(seen.at_starts) == 4
    saved = engine.load(tmp_path / "whole")["state_dict"]
    for name, weight in trainer.lightning_module.named_parameters():
        mean = torch.stack([weights[name] for weights in seen.at_starts[1:]]).double().mean(0)
        torch.testing.assert_close(weight.detach().double(), mean, rtol=1e-5, atol=1e-6)
        assert torch.equal(saved[name], weight.detach())
        assert not torch.equal(weight.detach(), seen.last[name])
    killed_and_resumed(engine, tmp_path / "cut", 33, make)
    assert engine.same_run(tmp_path / "whole", tmp_path / "cut") == []


def test_training_that_ends_before_averaging_begins_keeps_its_weights(engine: ModuleType, tmp_path: Path) -> None:
    seen = Weights()
    average = StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2)
    engine.fit(tmp_path, max_steps=None, extra=[Stop(), average, seen])
    saved = engine.load(tmp_path)["state_dict"]
    assert all(torch.equal(saved[name], weight) for name, weight in seen.last.items())
    with pytest.raises(ValueError, match="begin in one of the 4 epochs that 65 steps take, got swa_epoch_start=5"):
        engine.fit(tmp_path / "late", extra=[StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=5)])


def _game(max_steps: int | None) -> GAN:
    torch.manual_seed(0)
    shape = (1, 8, 8)
    return GAN(
        DCGANGenerator(3, shape, width=4), DCGANCritic(shape, width=4), FixedGaussian(shape), StandardNormal(3),
        NonSaturating(), value_range=(0, 1), updates=Updates(partial(torch.optim.Adam, lr=1e-3)), max_steps=max_steps,
    )  # fmt: skip


@pytest.mark.slow
def test_a_game_is_stopped_early_and_resumes(
    engine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning steps neither player, and its callbacks work all the same; it cannot average their weights."""
    monkeypatch.setattr(engine, "build", _game)

    def make() -> Iterable[Callback]:
        return [EarlyStopping("val/loss", patience=1, min_delta=1e6), LearningRateMonitor()]

    trainer = engine.fit(tmp_path / "whole", extra=make(), monitor=None)
    assert trainer.current_epoch == 2
    killed_and_resumed(engine, tmp_path / "cut", 13, make, monitor=None)
    assert engine.same_run(tmp_path / "whole", tmp_path / "cut", best=False) == []
    with pytest.raises(
        ValueError, match=r"one optimiser that Lightning steps .* got GAN, which steps its own; Generator"
    ):
        engine.fit(tmp_path / "averaged", extra=[StochasticWeightAveraging(0.01, 2)], monitor=None)


@pytest.mark.parametrize(("epochs", "strategy"), [(-1, "cos"), (1.5, "cos"), (2, "exponential")])
def test_an_annealing_that_there_is_not_is_refused_before_the_first_step(epochs: int, strategy: Any) -> None:
    average = StochasticWeightAveraging(swa_lrs=0.01, annealing_epochs=epochs, annealing_strategy=strategy)
    with pytest.raises(ValueError, match="StochasticWeightAveraging refuses its annealing: anneal_"):
        accompany_averaging(Trainer(accelerator="cpu", callbacks=[average], logger=False), LightningModule())


def test_batch_normalisation_cannot_be_averaged() -> None:
    class Normalised(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.BatchNorm1d(2)

    trainer = Trainer(callbacks=[StochasticWeightAveraging(0.01, 2)], logger=False, accelerator="cpu")
    with pytest.raises(ValueError, match=r"without batch normalisation .* got Normalised with it"):
        accompany_averaging(trainer, Normalised())
