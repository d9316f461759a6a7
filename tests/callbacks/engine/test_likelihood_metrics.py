"""Logged bounds against sums over the data set done by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from lsgen.callbacks import CSVLogger, LikelihoodMetrics, Seeding
from lsgen.callbacks.evaluation.metrics import Throughput, code_length
from lsgen.data import Digits
from lsgen.likelihoods import Gaussian
from lsgen.models import Losses

TERMS = ("elbo", "reconstruction", "kl")


class Collect(Callback):
    """Keeps the terms of every observation, by epoch in training and by pass in validation."""

    def __init__(self) -> None:
        self.train: list[list[Losses]] = []
        self.val: list[list[Losses]] = []
        self.means: list[list[Tensor]] = []

    def on_train_epoch_start(self, *args: Any) -> None:
        self.train.append([])

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.train[-1].append(outputs["losses"])

    def on_validation_start(self, *args: Any) -> None:
        self.val.append([])
        self.means.append([])

    def on_validation_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, *args: Any) -> None:
        self.val[-1].append(outputs)
        self.means[-1].append(module.latent_space.encode(batch["x"]).mean)


def _averages(batches: list[Losses]) -> dict[str, float]:
    reconstruction = torch.cat([losses.reconstruction.double() for losses in batches]).mean().item()
    kl = torch.cat([losses.kl.double().sum(-1) for losses in batches]).mean().item()
    return {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}


@pytest.mark.slow
def test_logged_values_are_exact(engine: ModuleType, tmp_path: Path) -> None:
    """Over the epoch and over the data set, whose last batches are smaller; sums of float32 done in float64."""
    collect = Collect()
    trainer = engine.fit(tmp_path, extra=[collect])
    rows = {int(row["step"]): row for row in engine.rows(tmp_path)}
    for step, train, val in zip((20, 40, 60, 65), collect.train, collect.val, strict=True):
        for term in TERMS:
            assert float(rows[step][f"train/{term}_epoch"]) == pytest.approx(_averages(train)[term], rel=1e-12)
            assert float(rows[step][f"val/{term}"]) == pytest.approx(_averages(val)[term], rel=1e-12)
        kl = torch.cat([losses.kl.double() for losses in val]).mean(0)
        assert [float(rows[step][f"val/kl_dimension/{i:02d}"]) for i in range(3)] == pytest.approx(
            kl.tolist(), rel=1e-6
        )
    means = torch.cat(collect.means[-1]).double()
    assert float(rows[65]["val/active_units"]) == int((means.var(0, unbiased=False) > 0.01).sum())
    assert float(rows[65]["val/nats_per_dimension"]) == pytest.approx(-float(rows[65]["val/elbo"]) / 64)
    assert trainer.callback_metrics["val/elbo"].item() == pytest.approx(float(rows[65]["val/elbo"]), rel=1e-6)


@pytest.mark.slow
def test_rows_of_training(engine: ModuleType, tmp_path: Path) -> None:
    """One every five generator steps, each the average of its batch, with the weight that it had."""
    collect = Collect()
    engine.fit(tmp_path, extra=[collect])
    batches = [losses for epoch in collect.train for losses in epoch]
    rows = [row for row in engine.rows(tmp_path) if "train/loss" in row]
    assert [int(row["step"]) for row in rows] == list(range(5, 66, 5))
    for row in rows:
        losses = batches[int(row["step"]) - 1]
        assert float(row["train/loss"]) == losses.loss.item()
        assert float(row["train/elbo"]) == pytest.approx(losses.elbo.mean().item(), rel=1e-6)
        assert float(row["train/beta"]) == min((int(row["step"]) - 1) / 50, 1.0)


@pytest.mark.slow
def test_a_plain_trainer(engine: ModuleType, tmp_path: Path) -> None:
    """No run directory of ours, no checkpoint callback: the values are there all the same, and in test() too."""
    model, data = engine.build(30), Digits()
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=CSVLogger(tmp_path),
        enable_progress_bar=False,
        enable_checkpointing=False,
        callbacks=[LikelihoodMetrics(every_n_steps=10), Seeding(0)],
    )
    trainer.fit(model, data)
    assert [int(row["step"]) for row in engine.rows(tmp_path) if "train/elbo" in row] == [10, 20, 30]
    first = trainer.test(model, data, verbose=False)[0]
    assert first == trainer.test(model, data, verbose=False)[0]
    assert first["test/elbo"] == pytest.approx(-first["test/reconstruction"] - first["test/kl"], rel=1e-5)


@pytest.mark.parametrize(
    ("data", "gaussian", "name", "extra_bits"),
    [
        ({"binarise": "static"}, False, "bits_per_dimension", 0.0),
        ({}, False, "nats_per_dimension", None),  # cross-entropy of grey values is no code length
        ({}, True, "nats_per_dimension", None),  # a density of discrete values is none either
        ({"dequantise": True}, True, "bits_per_dimension", math.log2(17)),
    ],
)
def test_bits_only_where_they_are_bits(
    engine: ModuleType, data: dict[str, Any], gaussian: bool, name: str, extra_bits: float | None
) -> None:
    """A probability of discrete data, or a density of dequantised data with the change of units."""
    space = engine.build(None).latent_space
    if gaussian:
        space.likelihood = Gaussian((1, 8, 8))
    found, value = code_length(torch.tensor(-100.0, dtype=torch.float64), space, Digits(**data))
    assert found == name
    expected = 100 / 64 if extra_bits is None else 100 / 64 / math.log(2) + extra_bits
    assert value.item() == pytest.approx(expected)
    assert code_length(torch.tensor(-100.0), space, None)[0] == "nats_per_dimension"


def test_sums_of_every_process_are_restored(engine: ModuleType) -> None:
    """A process takes its own; where their number has changed, the first takes the total."""
    source = LikelihoodMetrics()
    losses = Losses(torch.tensor(0.0), torch.tensor([1.0, 2.0]), torch.tensor([[0.5, 0.25], [0.125, 0.0]]))
    source.on_train_batch_end(_Silent(), torch.nn.Module(), {"losses": losses}, None, 0)  # type: ignore[arg-type]
    state = source.state_dict()
    assert set(state["epoch"][0]) == {"observations", "reconstruction_sum", "kl_sum"}
    total = LikelihoodMetrics()
    total.load_state_dict({"epoch": state["epoch"] * 3})
    assert total.state_dict()["epoch"][0]["observations"].item() == 6
    assert total.state_dict()["epoch"][0]["kl_sum"].tolist() == [3 * 0.625, 3 * 0.25]


class _Silent:
    global_step, log_every_n_steps = 1, 50


def test_throughput_leaves_validation_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 images in 2 + 1 seconds, whatever the pause between them."""
    clock = iter([0.0, 2.0, 100.0, 101.0])
    monkeypatch.setattr("lsgen.callbacks.evaluation.metrics.perf_counter", lambda: next(clock))
    throughput = Throughput()
    throughput.restart(40)
    throughput.pause(80)
    throughput.restart(80)
    assert throughput.measure(100) == pytest.approx(20.0)
