"""Training the same MLP VAE with lsgen and with pythae 0.1.2 (extra `bench`), in turn, within one process.

Both train the 784-400-400-10 VAE of Bernoulli pixels on the same images at batch 512 with Adam, each through its own
trainer and its own data loading; a row gives the ratio of the median images per second over the rounds. In single
precision the matrix products, which are the same, take most of either's step; the second row lets lsgen compute them
in bfloat16 (`trainer.precision=bf16-mixed`; losses and weights stay in single), which pythae offers on CUDA alone.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
from contextlib import redirect_stderr
from io import StringIO
from itertools import pairwise
from time import perf_counter
from typing import Any

from bench_engine import RandomImages, bare_step, engine_step, mlp
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

SHAPE, DIM, BATCH, STEPS, WARM, ROUNDS = (1, 28, 28), 10, 512, 100, 20, 5


class Encoder(BaseEncoder):
    """The encoder of lsgen's MLP VAE in pythae's terms."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> ModelOutput:
        """Return mean and log variance."""
        mean, log_variance = self.layers(x.flatten(1)).chunk(2, -1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """The decoder of lsgen's MLP VAE in pythae's terms, which wants probabilities."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z: Tensor) -> ModelOutput:
        """Return the mean image."""
        return ModelOutput(reconstruction=self.layers(z).sigmoid().unflatten(1, SHAPE))


class Stopwatch(TrainingCallback):
    """Notes when each epoch begins: pythae's "train step" is an epoch, but its end is called for every batch."""

    def __init__(self) -> None:
        self.begins: list[float] = []

    def on_train_step_begin(self, training_config: Any, **kwargs: Any) -> None:
        """Note the time."""
        self.begins.append(perf_counter())


def pythae_step(data: RandomImages) -> float:
    """Return the seconds of a training step of pythae."""
    ours, watch = mlp(), Stopwatch()
    config = VAEConfig(input_dim=SHAPE, latent_dim=DIM, reconstruction_loss="bce")
    model = VAE(config, Encoder(ours.latent_space.encoder.layers), Decoder(ours.latent_space.decoder.layers))
    images = data.source.tensors["x"].float()
    with tempfile.TemporaryDirectory() as output, redirect_stderr(StringIO()):
        trainer = BaseTrainer(
            model=model,
            train_dataset=BaseDataset(images, images[:, 0, 0, 0]),
            training_config=BaseTrainerConfig(
                output_dir=output,
                num_epochs=1 + (STEPS + WARM) * BATCH // len(images),
                per_device_train_batch_size=BATCH,
                learning_rate=1e-3,
                no_cuda=True,
            ),
            callbacks=[watch],
        )
        trainer.train()
    seconds = [end - begin for begin, end in pairwise(watch.begins)][1:]
    return sum(seconds) / (len(seconds) * len(images) // BATCH)


def rows() -> list[dict[str, Any]]:
    """Measure."""
    logging.disable(logging.INFO)
    data = RandomImages(SHAPE, 40 * BATCH, BATCH)
    peer, bare, single, mixed = [], [], [], []
    for _ in range(ROUNDS):
        peer.append(pythae_step(data))
        bare.append(bare_step(mlp(), data, STEPS, WARM))
        single.append(engine_step(mlp(), data, STEPS, WARM))
        mixed.append(engine_step(mlp(), data, STEPS, WARM, "bf16-mixed"))
    theirs, bound = statistics.median(peer), statistics.median(bare)
    found = []
    for precision, seconds in (("32-true", single), ("bf16-mixed", mixed)):
        ours = statistics.median(seconds)
        note = f"{BATCH / ours:.0f} against {BATCH / theirs:.0f} images/s"
        found.append(
            {
                "work": f"training images/s, MLP, batch 512, precision {precision}",
                "bound_or_peer": "pythae 0.1.2, the same network and objective",
                "ratio": theirs / ours,
                "target": ">= 2",
                "met": theirs / ours >= 2,
                "note": note + (f"; a bare loop would be {theirs / bound:.2f}" if seconds is single else ""),
            }
        )
    return found
