"""A run that is killed and resumed, bit for bit against one that is not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lsgen.callbacks import (
    Checkpoint,
    CSVLogger,
    FiniteLoss,
    Interrupted,
    LikelihoodMetrics,
    Seeding,
    newest_checkpoint,
)

pytestmark = pytest.mark.slow

BEFORE_THE_FIRST_CHECKPOINT = ("on_train_batch_end", 3)
MOMENTS = [
    BEFORE_THE_FIRST_CHECKPOINT,
    ("on_train_batch_end", 17),
    ("on_before_optimizer_step", 33),
    ("on_train_batch_start", 20),  # the first batch of the second epoch
    ("on_train_batch_end", 20),  # the last batch of the first epoch
    ("on_validation_batch_end", 20),
    ("on_train_epoch_end", 40),
    ("on_train_epoch_start", 40),
    ("on_train_batch_end", 65),  # the last step
    ("on_train_end", 65),
]


@pytest.mark.parametrize(("hook", "step"), MOMENTS)
def test_kill_and_resume(engine: ModuleType, reference: Path, tmp_path: Path, hook: str, step: int) -> None:
    """Model, optimiser, schedules, clocks, data order, random numbers, metric states and logs: all the same bits."""
    kill = engine.Send(signal.SIGKILL, hook, step)
    assert engine.killed(engine.in_child(lambda: engine.fit(tmp_path, extra=[kill, engine.Noisy()])))
    assert (newest_checkpoint(tmp_path) is None) == ((hook, step) == BEFORE_THE_FIRST_CHECKPOINT)
    engine.fit(tmp_path, resume=True)
    assert engine.same_run(reference, tmp_path) == []


def test_kill_at_random_times(engine: ModuleType, reference: Path, tmp_path: Path) -> None:
    """Attempt after attempt is killed at any time on the wall, until one gets through."""
    status, kills = 9, 0
    while engine.killed(status):
        process = engine.start_child(lambda: engine.fit(tmp_path, resume=True, every_n_steps=2))
        time.sleep(random.uniform(0.02, 0.3) * (1 + kills / 8))
        os.kill(process, signal.SIGKILL)
        status, kills = os.waitpid(process, 0)[1], kills + 1
        assert kills < 100
    assert status == 0
    assert engine.same_run(reference, tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace", "link"])
def test_kill_while_a_checkpoint_is_written(engine: ModuleType, reference: Path, tmp_path: Path, call: str) -> None:
    """The first, second and fourth such system call never return."""
    for fatal in (1, 2, 4):
        run_dir = tmp_path / str(fatal)
        assert engine.killed(engine.in_child(lambda d=run_dir, n=fatal: _fit_until_call(engine, d, call, n)))
        engine.fit(run_dir, resume=True)
        assert engine.same_run(reference, run_dir) == []


def _fit_until_call(engine: ModuleType, run_dir: Path, name: str, fatal: int) -> None:
    real, calls = getattr(os, name), [0]

    def counted(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)

    setattr(os, name, counted)
    engine.fit(run_dir, every_n_steps=3)


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({"val_check_interval": 7}, 14),
        ({"val_check_interval": 13, "check_val_every_n_epoch": None}, 26),
        ({"accumulate_grad_batches": 3, "max_steps": 20}, 12),
        ({"max_steps": None, "max_epochs": 2}, 40),
        ({"limit_train_batches": 1, "max_steps": 12}, 9),
    ],
)
def test_other_ways_to_train(engine: ModuleType, tmp_path: Path, options: dict[str, Any], step: int) -> None:
    """Validation inside epochs, accumulated gradients, a limit in epochs, epochs of one batch."""
    engine.fit(tmp_path / "whole", **options)
    kill = engine.Send(signal.SIGKILL, "on_train_batch_end", step)
    assert engine.killed(engine.in_child(lambda: engine.fit(tmp_path / "cut", extra=[kill], **options)))
    engine.fit(tmp_path / "cut", resume=True, **options)
    assert engine.same_run(tmp_path / "whole", tmp_path / "cut") == []


def test_workers(engine: ModuleType, reference: Path, tmp_path: Path) -> None:
    """Batches that two processes had prepared ahead when the kill came are prepared again."""
    script = [sys.executable, engine.__file__, str(tmp_path), "workers=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    cut = subprocess.run([*script, "kill_at=24"], env=environment, capture_output=True, text=True, check=False)
    assert cut.returncode == -signal.SIGKILL, cut.stderr
    engine.fit(tmp_path, resume=True, workers=2)
    assert engine.same_run(reference, tmp_path) == []


@pytest.mark.parametrize(("steps", "signum"), [(17, signal.SIGINT), (40, signal.SIGTERM)])
def test_a_signal_saves_and_stops(
    engine: ModuleType, reference: Path, tmp_path: Path, steps: int, signum: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run ends after the batch, with the sentence and the exit status of the signal; handlers are as before."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=rf"after {steps} generator steps; .*last.ckpt.* resume") as stop:
        engine.fit(tmp_path, extra=[engine.Send(signum, "on_train_batch_end", steps)], every_n_steps=None)
    assert stop.value.code == 128 + signum
    assert ("press it again" in capsys.readouterr().err) == (signum == signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert engine.load(tmp_path)["clocks"]["generator_steps"] == steps
    engine.fit(tmp_path, resume=True)
    assert engine.same_run(reference, tmp_path) == []


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({}, 20),
        ({"val_check_interval": 7}, 14),
        ({"val_check_interval": 13, "check_val_every_n_epoch": None}, 26),
        ({"accumulate_grad_batches": 3, "max_steps": 20}, 7),
    ],
)
def test_a_signal_in_a_validation_does_not_wait_for_its_end(
    engine: ModuleType, tmp_path: Path, options: dict[str, Any], step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was saved before the last batch is resumed from, and that batch and the validation come out the same."""
    for bound in ("_BRIEF", "_LEAST_RATIO"):
        monkeypatch.setattr(f"lsgen.callbacks.engine.checkpoint.{bound}", 0)
    engine.fit(tmp_path / "whole", **options)
    seen: list[int] = []

    class Count(Callback):
        def on_validation_batch_end(self, *args: Any) -> None:
            seen.append(args[4])

    extra = [Count(), engine.Send(signal.SIGTERM, "on_validation_batch_end", step)]
    sentence = rf"in a validation after {step} generator steps; .*last.ckpt of .* before it"
    with pytest.raises(Interrupted, match=sentence):
        engine.fit(tmp_path / "cut", extra=extra, every_n_steps=None, **options)
    assert seen[-1] == 0, "the signal came with the first batch, and no other followed"
    assert engine.load(tmp_path / "cut")["clocks"]["generator_steps"] == step - 1
    engine.fit(tmp_path / "cut", resume=True, **options)
    assert engine.same_run(tmp_path / "whole", tmp_path / "cut") == []


def test_saving_before_validations_costs_little(
    engine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where validations are brief it is done before the first only, of which nothing is known yet."""
    monkeypatch.setattr("lsgen.callbacks.engine.checkpoint._BRIEF", float("inf"))
    saved: list[int] = []

    class Watch(Callback):
        def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
            saved.append(pl_module.generator_steps)

    engine.fit(tmp_path, extra=[Watch()], every_n_steps=None, monitor=None)
    assert [step for step in saved if step % engine.STEPS_PER_EPOCH == engine.STEPS_PER_EPOCH - 1] == [19]


def test_a_second_interrupt_stops_at_once(engine: ModuleType, tmp_path: Path) -> None:
    """It comes in the middle of a batch, so nothing more is saved."""
    twice = [engine.Send(signal.SIGINT, "on_before_backward", 10), engine.Send(signal.SIGINT, "on_after_backward", 10)]
    with pytest.raises(SystemExit):
        engine.fit(tmp_path, extra=twice)
    assert engine.load(tmp_path)["clocks"]["generator_steps"] == 7


@pytest.mark.parametrize("limit", [{"max_steps": 33}, {"max_steps": 40}, {"max_steps": None, "max_epochs": 2}])
def test_extending_a_finished_run(engine: ModuleType, reference: Path, tmp_path: Path, limit: dict[str, Any]) -> None:
    """It goes on as if it had never stopped, in the middle of an epoch or at its end."""
    engine.fit(tmp_path, **limit)
    assert engine.load(tmp_path)["finished"]
    engine.fit(tmp_path, resume=True)
    assert engine.differences(engine.load(reference), engine.load(tmp_path)) == []
    first, second = ({row["step"]: row for row in engine.rows(run)} for run in (reference, tmp_path))
    assert first.keys() <= second.keys()
    assert all(first[step].items() <= second[step].items() for step in first)


@pytest.mark.parametrize("limit", [{}, {"max_steps": None, "max_epochs": 2}])
def test_resuming_a_finished_run_changes_nothing(engine: ModuleType, tmp_path: Path, limit: dict[str, Any]) -> None:
    """No file is touched."""
    engine.fit(tmp_path, **limit)
    before = _state(tmp_path)
    engine.fit(tmp_path, resume=True, **limit)
    assert _state(tmp_path) == before


def _state(run_dir: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in run_dir.rglob("*") if path.is_file()}


class Foreign(LightningModule):
    """A module of somebody else: no clocks, no losses, dropout that draws noise, batches that are tuples."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss: torch.Tensor = self.net(batch[0]).square().mean()
        self.log("train/foreign", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


def _fit_foreign(run_dir: Path, resume: bool = False, extra: tuple[Callback, ...] = ()) -> None:
    trainer = Trainer(
        default_root_dir=run_dir,
        accelerator="cpu",
        max_epochs=3,
        log_every_n_steps=2,
        logger=CSVLogger(run_dir),
        callbacks=[Seeding(0), FiniteLoss(), LikelihoodMetrics(), Checkpoint(every_n_steps=1), *extra],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = DataLoader(TensorDataset(torch.arange(48.0).reshape(12, 4)), batch_size=2)
    trainer.fit(Foreign(), data, ckpt_path=newest_checkpoint(run_dir) if resume else None, weights_only=True)


def test_a_module_without_clocks(engine: ModuleType, tmp_path: Path) -> None:
    """Lightning's global_step is its clock; between two epochs, where its loader begins anew, it resumes exactly."""
    _fit_foreign(tmp_path / "whole")
    logged = [int(row["step"]) for row in engine.rows(tmp_path / "whole") if "train/foreign" in row]
    assert logged == list(range(2, 19, 2))
    with pytest.raises(Interrupted):
        _fit_foreign(tmp_path / "cut", extra=(_StopInEpoch(1),))
    _fit_foreign(tmp_path / "cut", resume=True)
    assert engine.same_run(tmp_path / "whole", tmp_path / "cut", best=False) == []


class _StopInEpoch(Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGTERM)
