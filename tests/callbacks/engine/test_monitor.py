"""Which checkpoint is the best: by the evidence bound, by the loss of deterministic codes, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsgen.callbacks import Checkpoint, LikelihoodMetrics
from lsgen.latent import Deterministic, Posterior, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models import VAE
from lsgen.models.gan import GAN, Wasserstein
from lsgen.models.vae import ELBO, Autoencoder, Objective
from lsgen.nn.adversarial.critics import MLPCritic


def _vae(objective: Objective, posterior: Posterior | None, outputs: int) -> VAE:
    torch.manual_seed(0)
    parts = nn.Linear(4, outputs), nn.Linear(2, 4), FixedGaussian((4,)), StandardNormal(2)
    return VAE(*parts, objective, posterior, optimizer=lambda weights: torch.optim.SGD(weights, lr=0.01))


class Foreign(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return self.layer(batch["x"]).square().mean()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.log("val/loss", self.layer(batch["x"]).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Values(Callback):
    """Notes what is monitored after every validation."""

    def __init__(self, key: str) -> None:
        self.key, self.values = key, list[float]()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.values.append(float(trainer.callback_metrics[self.key]))


def _fit(place: Path, module: LightningModule, *callbacks: Callback) -> Checkpoint:
    checkpoint = Checkpoint(monitor="auto")
    loader = DataLoader([{"x": x} for x in torch.randn(6, 4)], batch_size=3)
    trainer = Trainer(
        default_root_dir=place, accelerator="cpu", max_epochs=3, logger=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[*callbacks, checkpoint],
    )  # fmt: skip
    trainer.fit(module, loader, loader)
    return checkpoint


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "posterior", "outputs", "key", "best"),
    [(ELBO(), None, 4, "val/elbo", max), (Autoencoder(), Deterministic(), 2, "val/loss", min)],
    ids=["evidence bound", "points"],
)
def test_the_best_validation_is_kept(tmp_path: Path, objective, posterior, outputs, key, best) -> None:
    values = Values(key)
    checkpoint = _fit(tmp_path, _vae(objective, posterior, outputs), LikelihoodMetrics(), values)
    assert checkpoint.monitor == key
    assert checkpoint.best_score == best(values.values)
    assert min(values.values) < max(values.values)
    assert (tmp_path / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("foreign", [True, False])
def test_games_and_modules_of_others_have_no_best(tmp_path: Path, foreign: bool) -> None:
    gan = GAN(nn.Linear(2, 4), MLPCritic((4,), [4]), FixedGaussian((4,)), StandardNormal(2), Wasserstein())
    checkpoint = _fit(tmp_path, Foreign() if foreign else gan)
    assert checkpoint.monitor is None
    assert [file.name for file in sorted((tmp_path / "checkpoints").glob("*.ckpt"))] == ["last.ckpt", "previous.ckpt"]


def test_a_mode_is_of_a_monitor_that_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected no mode beside monitor = 'auto'.*, got 'min'"):
        Checkpoint(monitor="auto", mode="min")
