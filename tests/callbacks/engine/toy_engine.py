"""A run that takes half a second and uses everything the engine has.

As a script: toy_engine.py RUN_DIR [KEY=VALUE ...]
"""

from __future__ import annotations

import csv
import logging
import os
import random
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, Trainer

from lsgen.callbacks import Checkpoint, CSVLogger, FiniteLoss, LikelihoodMetrics, Seeding, newest_checkpoint
from lsgen.data import Digits, Loading
from lsgen.latent import StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.models import VAE
from lsgen.models.schedules import Linear
from lsgen.models.vae import ELBO
from lsgen.nn import MLPDecoder, MLPEncoder

STEPS_PER_EPOCH = 20  # 1,257 training digits in batches of 64
SHAPE = (1, 8, 8)


def build(max_steps: int | None) -> VAE:
    """Return a VAE with two schedules, one of the loss and one of the learning rate."""
    torch.manual_seed(0)
    scheduler = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=100)
    encoder, decoder = MLPEncoder(SHAPE, 3, (16,)), MLPDecoder(3, SHAPE, (16,))
    return VAE(encoder, decoder, Bernoulli(SHAPE), StandardNormal(3), ELBO(Linear(0, 1, 50)),
               scheduler=scheduler, max_steps=max_steps)  # fmt: skip


def fit(
    run_dir: Path,
    max_steps: int | None = 65,
    resume: bool = False,
    extra: Iterable[Callback] = (),
    loggers: Iterable[Any] = (),
    workers: int = 0,
    every_n_steps: int | None = 7,
    monitor: str | None = "val/elbo",
    **trainer: Any,
) -> Trainer:
    """Train, or continue from the newest checkpoint."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    defaults = {"max_epochs": -1, "devices": 1, "log_every_n_steps": 5, "enable_progress_bar": False}
    options: dict[str, Any] = {**defaults, **trainer}
    callbacks = [
        Seeding(11),
        FiniteLoss(),
        LikelihoodMetrics(),
        Checkpoint(every_n_steps=every_n_steps, every_n_minutes=None, monitor=monitor),
        *extra,
    ]
    engine = Trainer(
        default_root_dir=run_dir,
        accelerator="cpu",
        logger=[CSVLogger(run_dir), *loggers],
        callbacks=callbacks,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch")
        engine.fit(
            build(max_steps),
            Digits(batch_size=64, seed=3, loading=Loading(num_workers=workers)),
            ckpt_path=newest_checkpoint(run_dir) if resume else None,
            weights_only=True,
        )
    return engine


class Noisy(Callback):
    """Draws random numbers from every generator where only this attempt does."""

    def on_train_batch_end(self, *args: Any) -> None:
        torch.rand(3)

    def on_validation_epoch_end(self, *args: Any) -> None:
        torch.rand(3)
        np.random.rand(2)  # noqa: NPY002
        random.random()


class Send(Callback):
    """Sends this process a signal, in one hook, once a number of generator steps is reached."""

    def __init__(self, signum: int, hook: str, step: int) -> None:
        self.signum, self.step, self.sent = signum, step, False
        setattr(self, hook, self._send)

    def _send(self, trainer: Trainer, module: VAE, *args: Any, **kwargs: Any) -> None:
        if module.generator_steps >= self.step and not self.sent:
            self.sent = True
            os.kill(os.getpid(), self.signum)


def in_child(work: Callable[[], Any]) -> int:
    """Run the work in a forked process and return its wait status."""
    return os.waitpid(start_child(work), 0)[1]


def start_child(work: Callable[[], Any]) -> int:
    """Run the work in a forked process and return its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        torch.set_num_threads(1)
        try:
            work()
        except BaseException:  # noqa: BLE001 (the child must never return into the tests)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return process


def killed(status: int) -> bool:
    """Tell whether a wait status is that of kill -9."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def rows(run_dir: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without what depends on the clock on the wall."""
    with open(Path(run_dir) / "metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if "images_per_s" not in k and v} for row in csv.DictReader(file)]


def load(run_dir: Path, name: str = "last.ckpt") -> dict[str, Any]:
    """Return a checkpoint."""
    content: dict[str, Any] = torch.load(Path(run_dir) / "checkpoints" / name, weights_only=True)
    return content


def differences(a: Any, b: Any, place: str = "") -> list[str]:
    """Return where two nests of containers differ in a type, a key, a value or a bit of a tensor."""
    if type(a) is not type(b):
        return [f"{place}: {type(a)} {type(b)}"]
    if isinstance(a, dict):
        keys = [f"{place}/{key} is in one only" for key in a.keys() ^ b.keys()]
        return keys + [found for key in a.keys() & b.keys() for found in differences(a[key], b[key], f"{place}/{key}")]
    if isinstance(a, list | tuple):
        if len(a) != len(b):
            return [f"{place}: lengths {len(a)} {len(b)}"]
        return [found for i, pair in enumerate(zip(a, b, strict=True)) for found in differences(*pair, f"{place}/{i}")]
    same = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    return [] if same else [f"{place}: {a} {b}"]


def same_run(a: Path, b: Path, best: bool = True) -> list[str]:
    """Return the differences between two runs: all of last.ckpt and best.ckpt, and every logged number."""
    found = differences(load(a), load(b), "last") + differences(rows(a), rows(b), "rows")
    return found + (differences(load(a, "best.ckpt"), load(b, "best.ckpt"), "best") if best else [])


if __name__ == "__main__":
    torch.set_num_threads(1)
    given: dict[str, Any] = dict(argument.split("=", 1) for argument in sys.argv[2:])
    kill_at = int(given.pop("kill_at", 0))
    numbers = {key: int(value) if value.lstrip("-").isdigit() else value for key, value in given.items()}
    kill = [Send(signal.SIGKILL, "on_train_batch_end", kill_at)] if kill_at else []
    fit(Path(sys.argv[1]), extra=kill, **numbers)
