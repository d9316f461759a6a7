"""Small models and a recording logger for the tests of latent-space callbacks."""

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lsgen.latent import EncodableLatentSpace, LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.nn import MLPDecoder, MLPEncoder

SHAPE, DIM = (1, 6, 6), 3


class Recorder(Logger):
    """Keeps every row that is logged."""

    def __init__(self):
        super().__init__()
        self.rows = []

    name, version, log_all = "recorder", "0", True

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, params, *args, **kwargs):
        return

    def keys(self):
        return {key for _, row in self.rows for key in row}

    def steps(self, key):
        return [step for step, row in self.rows if key in row]

    def values(self, key):
        return [row[key] for _, row in self.rows if key in row]


class ThirdParty(pl.LightningModule):
    """A module by somebody else: a latent space, no clocks, batches that are tuples, dropout and a BatchNorm."""

    def __init__(self, encodable=True):
        super().__init__()
        torch.manual_seed(3)
        decoder = nn.Sequential(
            nn.Linear(DIM, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 36), nn.Unflatten(1, SHAPE)
        )
        prior = StandardNormal(DIM)
        if encodable:
            encoder = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(36, 2 * DIM))
            self.latent_space = EncodableLatentSpace(encoder, decoder, Bernoulli(SHAPE), prior)
        else:
            self.latent_space = LatentSpace(decoder, FixedGaussian(SHAPE, 1.0), prior)
        self.losses = []

    def training_step(self, batch, batch_idx):
        x = batch[0] if isinstance(batch, list | tuple) else batch["x"] if isinstance(batch, dict) else batch
        space = self.latent_space
        if isinstance(space, EncodableLatentSpace):
            z = space.encode(x).rsample()
            loss = -space.decode(z).log_prob(x).mean() + z.square().mean()
        else:
            loss = -space.decode(torch.randn(len(x), DIM)).log_prob(x).mean()
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def images(n=40):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))


def loader(n=40, batch_size=8, dataset=None):
    data = TensorDataset(images(n), torch.arange(n) % 4) if dataset is None else dataset
    return DataLoader(data, batch_size, shuffle=True)


def space(dim=DIM, shape=SHAPE):
    torch.manual_seed(5)
    encoder, decoder = MLPEncoder(shape, dim, (16,), nn.Tanh), MLPDecoder(dim, shape, (16,), nn.Tanh)
    made = EncodableLatentSpace(encoder, decoder, Bernoulli(shape), StandardNormal(dim))
    for parameter in made.parameters():
        parameter.data *= 3
    return made


def enlarged(x):
    """Return grey images (1, h, w) in [0, 1] as the grids show them: bytes, three channels, 48 pixels or more."""
    grey = (x[0].double() * 255).round().to(torch.uint8).numpy()
    factor = -(-48 // min(grey.shape))
    return np.kron(grey, np.ones((factor, factor), np.uint8))[..., None].repeat(3, -1)


def places(picture, image):
    """Return where (row, column) the image stands in the picture, by comparing all windows."""
    h, w = image.shape[:2]
    corner = (picture[: len(picture) - h + 1, : picture.shape[1] - w + 1] == image[0, 0]).all(-1)
    return [(int(r), int(c)) for r, c in np.argwhere(corner) if (picture[r : r + h, c : c + w] == image).all()]


def fit(path, callbacks, max_epochs=2, module=None, loggers=True, data=None, seed=0, val=True, **trainer):
    pl.seed_everything(seed)
    module = ThirdParty() if module is None else module
    recorder = Recorder()
    made = pl.Trainer(
        max_epochs=max_epochs,
        default_root_dir=path,
        callbacks=callbacks,
        logger=[recorder] if loggers is True else loggers,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        num_sanity_val_steps=0,
        **trainer,
    )
    pl.seed_everything(seed)
    made.fit(module, loader() if data is None else data)
    return module, recorder, made


def taken(kind, given, **defaults):
    """Return a dataclass of options out of keyword arguments, which lose them."""
    return kind(**{**defaults, **{f.name: given.pop(f.name) for f in fields(kind) if f.name in given}})


@pytest.fixture(scope="session")
def toys():
    return SimpleNamespace(
        SHAPE=SHAPE,
        DIM=DIM,
        Recorder=Recorder,
        ThirdParty=ThirdParty,
        images=images,
        loader=loader,
        space=space,
        fit=fit,
        enlarged=enlarged,
        places=places,
        taken=taken,
    )
