"""Losses that are no numbers, and random numbers that depend on the place only."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from lsgen.callbacks import FiniteLoss, NonFiniteError, Seeding
from lsgen.callbacks.engine.seeding import derive_seed, seed_everywhere


class Spoil(Callback):
    """Puts a value into a batch, or into a bias of the encoder, once 37 steps are done."""

    def __init__(self, value: float, where: str) -> None:
        self.value, self.where = value, where
        self.weights: dict[str, torch.Tensor] = {}

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if module.generator_steps == 37:
            if self.where == "batch":
                batch["x"][5] = self.value
            else:
                module.latent_space.encoder.layers[-1].bias.data[4] = self.value
            self.weights = {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "where", "culprit"),
    [
        (
            float("nan"),
            "batch",
            "nan, from the reconstruction of 1 of 64 observations, the KL of latent dimension 0, 1, 2 in 1 of 64",
        ),
        (1e4, "bias", "(nan|inf), from .*the KL of latent dimension 1 in 64 of 64 observations"),
    ],
)
def test_a_bad_loss_stops_before_the_update(
    engine: ModuleType, tmp_path: Path, value: float, where: str, culprit: str
) -> None:
    """The sentence names step, place, term and what is kept; weights and checkpoint are those of before."""
    spoil = Spoil(value, where)
    place = r"training stopped after 37 generator steps \(epoch 1, batch 17\): the loss is "
    kept = r".*the update was not applied; .*last\.ckpt of generator step 35 is kept"
    models: list[Any] = []

    class Catch(Callback):
        def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
            models.append(module)

    with pytest.raises(NonFiniteError, match=place + culprit + kept):
        engine.fit(tmp_path, extra=[spoil, Catch()])
    assert all(torch.equal(value, spoil.weights[name]) for name, value in models[0].state_dict().items())
    assert engine.load(tmp_path)["clocks"]["generator_steps"] == 35


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every_n_steps", "rows", "last"),
    [(7, 5, 35), (1, 50, 37)],
    ids=["read where a row is logged", "read before a checkpoint is written"],
)
def test_an_accelerator_is_not_waited_for_and_bad_weights_are_not_saved(
    engine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_n_steps: int, rows: int, last: int
) -> None:
    """The first bad loss is named, some steps later; what is kept are weights of before it."""
    monkeypatch.setattr("lsgen.callbacks.engine.finite_loss.on_host", lambda x: False)
    ends: list[int] = []

    class Ends(Callback):
        def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
            ends.append(module.generator_steps)

    place = (
        r"training stopped after 37 generator steps \(epoch 1, batch 17\): the loss is nan, from the reconstruction "
    )
    kept = rf".*weights that learned from it are not saved; .*last\.ckpt of generator step {last} is kept"
    with pytest.raises(NonFiniteError, match=place + kept):
        engine.fit(
            tmp_path, extra=[Spoil(float("nan"), "batch"), Ends()], every_n_steps=every_n_steps, log_every_n_steps=rows
        )
    assert ends[0] > 37
    checkpoint = engine.load(tmp_path)
    assert checkpoint["clocks"]["generator_steps"] == last
    assert all(bool(torch.isfinite(weight).all()) for weight in checkpoint["state_dict"].values())


def test_options_are_checked() -> None:
    """The sentences say what was expected and what came."""
    with pytest.raises(ValueError, match="expected a check every n >= 1 steps, got 0"):
        FiniteLoss(0)
    with pytest.raises(TypeError, match="expected an integer seed, got bool True"):
        Seeding(True)
    with pytest.raises(TypeError, match="expected an integer seed, got NoneType"):
        Seeding(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a seed from 0 to"):
        Seeding(-1)


def test_seeds_differ_by_every_number_and_by_order() -> None:
    """No two of many places share a seed, 0 among them."""
    places = list(product(range(3), range(3), range(9), range(9)))
    assert len({derive_seed(*place) for place in places}) == len(places)
    assert all(0 <= derive_seed(*place) < 2**63 for place in places)


def test_all_generators_follow_the_seed() -> None:
    """Python's, numpy's and torch's draw the same again after the same seed."""

    def draw(seed: int) -> tuple[float, float, float]:
        seed_everywhere(seed)
        return random.random(), float(np.random.rand()), torch.rand(()).item()  # noqa: NPY002

    first, again, other = draw(2**62 + 1), draw(2**62 + 1), draw(2**62 + 2)
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


@pytest.mark.slow
def test_validation_draws_the_same_noise_each_time_and_disturbs_nothing(engine: ModuleType, tmp_path: Path) -> None:
    """Its first draws are equal in every pass; training without it ends with the same weights."""
    draws: list[float] = []

    class Watch(Callback):
        def on_validation_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, *args: Any) -> None:
            if batch_idx == 0:
                draws.append(torch.rand(()).item())

    engine.fit(tmp_path / "with", extra=[Watch()])
    engine.fit(tmp_path / "without", limit_val_batches=0, monitor=None)
    assert len(draws) == 4
    assert len(set(draws)) == 1
    weights = (engine.load(tmp_path / name)["state_dict"] for name in ("with", "without"))
    assert engine.differences(*weights) == []


@pytest.mark.slow
def test_the_seed_matters(engine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another seed draws other noise, from the same initial weights and the same batches; 0 is a seed."""
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        monkeypatch.setattr(engine, "Seeding", lambda _, seed=seed: Seeding(seed))
        engine.fit(tmp_path / name, max_steps=10)
        runs.append(engine.load(tmp_path / name)["state_dict"])
    assert engine.differences(runs[0], runs[1]) == []
    assert engine.differences(runs[0], runs[2]) != []
