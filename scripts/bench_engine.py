"""Training through lsgen's whole engine against a bare PyTorch loop of the same model on the same batches.

The engine is Lightning with every callback and logger of a default run: seeding, guard, metrics, checkpoints,
progress, metrics.csv. The two alternate within one process; a row gives the median over the rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping
from io import StringIO
from time import perf_counter
from typing import Any, Literal

import torch
from pytorch_lightning import Callback, Trainer
from rich.console import Console
from torch import Tensor

from lsgen.callbacks import Checkpoint, CSVLogger, FiniteLoss, LikelihoodMetrics, Progress, Seeding
from lsgen.data import BatchDataset, DataModule, Loading, Split, TensorSource
from lsgen.data.encodings import AsStored
from lsgen.latent import StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.models import VAE
from lsgen.models.vae import ELBO
from lsgen.nn import Conv64Decoder, Conv64Encoder, MLPDecoder, MLPEncoder

ROUNDS = 5


class RandomImages(DataModule):
    """Random binary images in memory."""

    def __init__(self, shape: tuple[int, ...], n: int, batch_size: int) -> None:
        super().__init__(shape, shape, AsStored(2), batch_size, 0, Loading(drop_last=True))
        self.source = TensorSource(x=torch.randint(0, 2, (n, *shape), dtype=torch.uint8))

    def build(self, split: Split) -> BatchDataset:
        """Return all of it as every split."""
        return self.subset(self.source, torch.arange(len(self.source)), split)


class Stopwatch(Callback):
    """Times steps from the start of one batch to the start of the next, once warm."""

    def __init__(self, warm: int) -> None:
        self.warm, self.started, self.steps, self.seconds = warm, 0.0, 0, 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Mapping[str, Tensor], batch_idx: int
    ) -> None:
        """Note the time."""
        now = perf_counter()
        if pl_module.generator_steps == self.warm:
            self.started = now
        self.steps, self.seconds = pl_module.generator_steps - self.warm, now - self.started


def engine_step(
    model: VAE, data: RandomImages, steps: int, warm: int, precision: Literal["32-true", "bf16-mixed"] = "32-true"
) -> float:
    """Return the seconds of a training step through the engine."""
    watch = Stopwatch(warm)
    model.generator_steps, model.max_steps = 0, warm + steps + 1
    with tempfile.TemporaryDirectory() as run_dir, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            default_root_dir=run_dir,
            accelerator="cpu",
            devices=1,
            precision=precision,
            max_epochs=-1,
            logger=CSVLogger(run_dir),
            callbacks=[
                Seeding(0),
                FiniteLoss(),
                LikelihoodMetrics(),
                Progress(console=Console(file=StringIO(), force_terminal=True)),
                Checkpoint(),
                watch,
            ],
            limit_val_batches=0,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(model, data)
    return watch.seconds / watch.steps


def bare_step(model: VAE, data: RandomImages, steps: int, warm: int) -> float:
    """Return the seconds of a training step in a loop of a few lines."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    images, size, started = data.source.tensors["x"], data.batch_size, 0.0
    order, at = torch.randperm(len(images)), 0
    model.train()
    for step in range(warm + steps):
        if step == warm:
            started = perf_counter()
        if at + size > len(images):
            order, at = torch.randperm(len(images)), 0
        batch = {"x": images[order[at : at + size]].float()}
        at += size
        optimizer.zero_grad()
        model.objective(model.latent_space, batch, step).loss.backward()
        optimizer.step()
    return (perf_counter() - started) / steps


def mlp() -> VAE:
    """Return the MLP VAE of MNIST's size."""
    shape = (1, 28, 28)
    return VAE(MLPEncoder(shape, 10), MLPDecoder(10, shape), Bernoulli(shape), StandardNormal(10), ELBO())


def conv64() -> VAE:
    """Return the convolutional VAE of 64x64 images."""
    shape = (1, 64, 64)
    return VAE(Conv64Encoder(shape, 10), Conv64Decoder(10, shape), Bernoulli(shape), StandardNormal(10), ELBO())


def compare(build: Callable[[], VAE], shape: tuple[int, ...], batch: int, steps: int) -> tuple[float, float]:
    """Return the median seconds of a step, bare and through the engine."""
    data = RandomImages(shape, 40 * batch, batch)
    bare, engine = [], []
    for _ in range(ROUNDS):
        bare.append(bare_step(build(), data, steps, steps // 4))
        engine.append(engine_step(build(), data, steps, steps // 4))
    return statistics.median(bare), statistics.median(engine)


def rows() -> list[dict[str, Any]]:
    """Measure."""
    found = []
    for name, build, shape, batch, steps in (
        ("conv64, batch 64", conv64, (1, 64, 64), 64, 24),
        ("MLP, batch 512", mlp, (1, 28, 28), 512, 60),
    ):
        bare, engine = compare(build, shape, batch, steps)
        found.append(
            {
                "work": f"training images/s, {name}",
                "bound_or_peer": "bare PyTorch loop of the same model",
                "ratio": bare / engine,
                "target": ">= 0.9",
                "met": bare / engine >= 0.9,
                "note": f"{batch / engine:.0f} images/s",
            }
        )
    bare, engine = compare(lambda: small(), (1, 8, 8), 64, 400)
    found.append(
        {
            "work": "overhead of a step, ms (tiny MLP, batch 64)",
            "bound_or_peer": "bare PyTorch loop of the same model",
            "ratio": 1e3 * (engine - bare),
            "target": "<= 1.5",
            "met": 1e3 * (engine - bare) <= 1.5,
            "note": f"{1e3 * engine:.2f} ms against {1e3 * bare:.2f} ms a step",
        }
    )
    return found


def small() -> VAE:
    """Return a VAE whose arithmetic takes next to no time."""
    shape = (1, 8, 8)
    return VAE(MLPEncoder(shape, 2, (16,)), MLPDecoder(2, shape, (16,)), Bernoulli(shape), StandardNormal(2), ELBO())
