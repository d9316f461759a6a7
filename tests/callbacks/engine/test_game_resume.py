"""A game that is killed and resumed, bit for bit against one that is not: two optimisers, averages, half an update."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch
from pytorch_lightning import Callback

from lsgen.callbacks.engine.ema import GeneratorEMA
from lsgen.callbacks.evaluation.collapse import CollapseWatch
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, R1, NonSaturating, PathLength, Updates
from lsgen.nn.adversarial.augment import AdaptiveAugment
from lsgen.nn.adversarial.dcgan import DCGANCritic, DCGANGenerator

pytestmark = pytest.mark.slow

SHAPE = (1, 8, 8)


def _gan(max_steps: int | None) -> GAN:
    """Return a game whose every part has a state: norms, statistics, averages, p, schedules, lazy penalties."""
    torch.manual_seed(0)
    adam = partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))
    linear = partial(torch.optim.lr_scheduler.LinearLR, end_factor=0.1, total_iters=20)
    return GAN(
        DCGANGenerator(3, SHAPE, width=4), DCGANCritic(SHAPE, width=4, batch_norm=False, spectral=True),
        FixedGaussian(SHAPE), StandardNormal(3), NonSaturating(), [R1(1.0, every=3), PathLength(1.0, every=2)],
        AdaptiveAugment(speed=2000, target=0.0), value_range=(0, 1),
        updates=Updates(adam, adam, linear, n_critic=2, accumulate=3, clip_norm=1.0), max_steps=max_steps,
    )  # fmt: skip


def _fit(engine: ModuleType, run_dir: Path, extra: Iterable[Callback] = (), resume: bool = False) -> None:
    watchers = [GeneratorEMA(half_life=300), CollapseWatch(every_n_steps=4, n=16)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "build", _gan)
        engine.fit(run_dir, max_steps=12, resume=resume, extra=[*watchers, *extra], every_n_steps=2, monitor=None)


@pytest.fixture(scope="module")
def undisturbed(engine: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("game")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    _fit(engine, run_dir)
    torch.set_num_threads(threads)
    return run_dir


class AfterBatches(Callback):
    """Kills this process after a number of batches, whatever update they belong to."""

    def __init__(self, engine: ModuleType, batches: int) -> None:
        self.kill, self.left = engine.Send(signal.SIGKILL, "now", 0), batches

    def on_train_batch_end(self, trainer: object, pl_module: object, *args: object) -> None:
        self.left -= 1
        if not self.left:
            self.kill.now(trainer, pl_module)


@pytest.mark.parametrize("batches", [17, 45])
def test_a_killed_game_goes_on_bitwise(engine: ModuleType, undisturbed: Path, tmp_path: Path, batches: int) -> None:
    """Twelve steps are 72 batches, three of an update and two updates a step; epochs have twenty."""
    kill = AfterBatches(engine, batches)
    assert engine.killed(engine.in_child(lambda: _fit(engine, tmp_path, [kill, engine.Noisy()])))
    saved = engine.load(tmp_path)["clocks"]
    assert saved["images_seen"] <= 64 * batches
    _fit(engine, tmp_path, resume=True)
    assert _without_cost(engine, undisturbed, tmp_path) == []
    assert engine.load(tmp_path)["clocks"]["generator_steps"] == 12


def test_batches_that_wait_are_kept(engine: ModuleType, undisturbed: Path, tmp_path: Path) -> None:
    """A signal between the batches of an update: what was read is not read again."""
    stop = AfterBatches(engine, 22)
    stop.kill.signum = signal.SIGTERM
    with pytest.raises(SystemExit):
        _fit(engine, tmp_path, [stop])
    saved = engine.load(tmp_path)
    assert len(saved["waiting"]) == 1
    assert saved["clocks"]["critic_steps"] == 7
    _fit(engine, tmp_path, resume=True)
    assert _without_cost(engine, undisturbed, tmp_path) == []


def _without_cost(engine: ModuleType, a: Path, b: Path) -> list[str]:
    """Return the differences between two runs, but for seconds on the wall."""
    rows = [
        [{k: v for k, v in row.items() if "seconds" not in k and "share_of" not in k} for row in engine.rows(run)]
        for run in (a, b)
    ]
    found: list[str] = engine.differences(engine.load(a), engine.load(b), "last") + engine.differences(*rows, "rows")
    return found
