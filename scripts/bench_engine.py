"""Training through lsgen's whole engine against a bare PyTorch loop of the same model on the same batches.

The engine is Lightning with every callback and logger of a default run: seeding, guard, metrics, checkpoints,
progress, metrics.csv. They alternate within one process; a row gives the median over the rounds. What a step costs
beyond the arithmetic is also measured in a trainer of Lightning with nothing of lsgen but model and batches.
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
from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor

from lsgen.callbacks import Checkpoint, CSVLogger, FiniteLoss, LikelihoodMetrics, PowerFunctionEMA, Progress, Seeding
from lsgen.data import BatchDataset, DataModule, Loading, Split, TensorSource
from lsgen.data.encodings import AsStored
from lsgen.latent import StandardNormal
from lsgen.likelihoods import Bernoulli, Categorical, Likelihood, modalities_likelihood
from lsgen.models import VAE
from lsgen.models.multimodal import MultimodalVAE, MVAEObjective
from lsgen.models.optimised import OptimisedModel
from lsgen.models.vae import ELBO
from lsgen.nn import Conv64Decoder, Conv64Encoder, MLPDecoder, MLPEncoder

ROUNDS = 5
Autoencoder = VAE | MultimodalVAE


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
        if trainer.global_step == self.warm:
            self.started = now
        self.steps, self.seconds = trainer.global_step - self.warm, now - self.started


class Plain(LightningModule):
    """Any user's module: the same objective, and none of the hooks of lsgen."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.objective, self.space = model.objective, model.latent_space

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam as the bare loop has it."""
        return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        loss: Tensor = self.objective(self.space, batch, self.global_step).loss
        return loss


def engine_step(
    model: OptimisedModel,
    data: RandomImages,
    steps: int,
    warm: int,
    precision: Literal["32-true", "bf16-mixed"] = "32-true",
    averaging: bool = False,
) -> float:
    """Return the seconds of a training step through the engine, with a moving average of the weights or without."""
    model.generator_steps, model.max_steps = 0, warm + steps + 1
    with tempfile.TemporaryDirectory() as run_dir:
        callbacks = [
            Seeding(0),
            FiniteLoss(),
            LikelihoodMetrics(),
            *([PowerFunctionEMA()] if averaging else []),
            Progress(console=Console(file=StringIO(), force_terminal=True)),
            Checkpoint(),
        ]
        options: dict[str, Any] = {"max_epochs": -1, "logger": CSVLogger(run_dir), "precision": precision}
        return _seconds(model, data, warm, callbacks, default_root_dir=run_dir, **options)


def lightning_step(model: Autoencoder, data: RandomImages, steps: int, warm: int) -> float:
    """Return the seconds of a training step of a plain module in a trainer without anything that can be left out."""
    options = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    return _seconds(Plain(model), data, warm, [], max_steps=warm + steps + 1, max_epochs=-1, **options)


def _seconds(
    module: LightningModule, data: RandomImages, warm: int, callbacks: list[Callback], **options: Any
) -> float:
    watch = Stopwatch(warm)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            callbacks=[*callbacks, watch],
            limit_val_batches=0,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            use_distributed_sampler=False,
            **options,
        )
        trainer.fit(module, data)
    return watch.seconds / watch.steps


def bare_step(model: Autoencoder, data: RandomImages, steps: int, warm: int) -> float:
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


def mvae() -> MultimodalVAE:
    """Return the MVAE of two modalities: MNIST's images, and a class of two."""
    parts: dict[str, Likelihood] = {"image": Bernoulli((1, 28, 28)), "label": Categorical((1,), 2)}
    encoders = {name: MLPEncoder(part.shape, 10) for name, part in parts.items()}
    decoders = {name: MLPDecoder(10, part.shape, heads=part.heads) for name, part in parts.items()}
    return MultimodalVAE(encoders, decoders, modalities_likelihood(parts), StandardNormal(10), MVAEObjective())


def compare(
    build: Callable[[], Autoencoder], shape: tuple[int, ...], batch: int, steps: int
) -> tuple[float, float, float]:
    """Return the median seconds of a step: in a bare loop, in a plain trainer of Lightning, through the engine."""
    data = RandomImages(shape, 40 * batch, batch)
    ways = (bare_step, lightning_step, engine_step)
    found = [[way(build(), data, steps, steps // 4) for way in ways] for _ in range(ROUNDS)]
    bare, lightning, engine = (statistics.median(seconds) for seconds in zip(*found, strict=True))
    return bare, lightning, engine


def rows() -> list[dict[str, Any]]:
    """Measure."""
    found = []
    for name, build, shape, batch, steps in (
        ("conv64, batch 64", conv64, (1, 64, 64), 64, 24),
        ("MLP, batch 512", mlp, (1, 28, 28), 512, 60),
        ("MVAE, batch 512", mvae, (785,), 512, 60),
    ):
        bare, lightning, engine = compare(build, shape, batch, steps)
        found.append(
            {
                "work": f"training images/s, {name}",
                "bound_or_peer": "bare PyTorch loop of the same model",
                "ratio": bare / engine,
                "target": ">= 0.9",
                "met": bare / engine >= 0.9,
                "note": f"{batch / engine:.0f} images/s; a plain trainer of Lightning: {bare / lightning:.3g}",
            }
        )
    bare, lightning, engine = compare(lambda: small(), (1, 8, 8), 64, 400)
    found.append(
        {
            "work": "overhead of a step, ms (tiny MLP, batch 64)",
            "bound_or_peer": "bare PyTorch loop of the same model",
            "ratio": 1e3 * (engine - bare),
            "target": "<= 1.0",
            "met": 1e3 * (engine - bare) <= 1.0,
            "note": f"{1e3 * bare:.2f} ms bare, {1e3 * lightning:.2f} ms in a plain trainer, {1e3 * engine:.2f} ms",
        }
    )
    return found


def small() -> VAE:
    """Return a VAE whose arithmetic takes next to no time."""
    shape = (1, 8, 8)
    return VAE(MLPEncoder(shape, 2, (16,)), MLPDecoder(2, shape, (16,)), Bernoulli(shape), StandardNormal(2), ELBO())
