"""A game under the callbacks that every run has: a loss that is no number stops it, by name."""

from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsgen.callbacks import FiniteLoss, LikelihoodMetrics, NonFiniteError
from lsgen.callbacks.logging.loggers import CSVLogger
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, GradientPenalty, Updates, Wasserstein
from lsgen.nn.adversarial.critics import MLPCritic


class Poisoned(nn.Linear):
    """A generator that turns to NaN in the third batch."""

    calls = 0

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(z) * (float("nan") if self.calls > 3 else 1.0)


def _run(tmp_path: Path, generator: nn.Module, callback: object) -> GAN:
    gan = GAN(
        generator, MLPCritic((3,), [4]), FixedGaussian((3,)), StandardNormal(2), Wasserstein(), [GradientPenalty()],
        updates=Updates(n_critic=2),
    )  # fmt: skip
    trainer = Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=1, enable_checkpointing=False, callbacks=[callback],
        logger=CSVLogger(tmp_path), enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(gan, DataLoader([{"x": torch.randn(4, 3)} for _ in range(6)], batch_size=None))  # type: ignore[arg-type]
    return gan


def test_a_loss_that_is_no_number_stops_before_the_update_and_names_its_term(tmp_path: Path) -> None:
    generator = Poisoned(2, 3)
    with pytest.raises(NonFiniteError, match=r"after 1 generator steps .* from the term critic/adversarial"):
        _run(tmp_path, generator, FiniteLoss())
    assert all(bool(torch.isfinite(p).all()) for p in generator.parameters())


def test_terms_are_logged_on_generator_steps(tmp_path: Path) -> None:
    _run(tmp_path, nn.Linear(2, 3), LikelihoodMetrics())
    header, *rows = (tmp_path / "metrics.csv").read_text().splitlines()
    columns = header.split(",")
    assert {"train/critic/adversarial", "train/critic/gradient_penalty", "train/generator/adversarial"} < set(columns)
    assert [row.split(",")[columns.index("step")] for row in rows] == ["1", "2", "3"]
