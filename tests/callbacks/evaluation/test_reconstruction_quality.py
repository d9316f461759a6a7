"""What is logged of reconstructions is what direct computation gives."""

from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn

from lsgen.callbacks import RealSet, ReconstructionQuality
from lsgen.data import DataModule, Digits, Toy
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics import ImageSimilarity
from lsgen.metrics.quality import Halves, Moments, PerceptualDistance, Pixels, frechet_distance
from lsgen.models import VAE
from lsgen.models.vae import ELBO
from lsgen.nn import MLPDecoder, MLPEncoder
from lsgen.runs.keys import find

SHAPE, KEY = (1, 8, 8), "reconstruction/quality/"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch) -> None:
    """Run where nothing is kept: without a run directory, arrays go into the current one."""
    monkeypatch.chdir(tmp_path)


class Brightness(PerceptualDistance):
    """The difference of mean brightness."""

    def __init__(self) -> None:
        super().__init__("brightness", 2)

    def maps(self, x: Tensor) -> list[Tensor]:
        return [x]

    def heads(self) -> list[Tensor]:
        return [torch.ones(1)]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.mean((1, 2, 3)) - b.mean((1, 2, 3))).abs()


class Rows(Logger):
    """Keeps all rows."""

    name = version = "rows"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append(metrics)


def _trained(callback: ReconstructionQuality, data: DataModule, shape: tuple[int, ...] = SHAPE) -> tuple[VAE, Rows]:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder(shape, 2, (8,), nn.SiLU), MLPDecoder(2, shape, (8,), nn.SiLU)
    model, rows = VAE(encoder, decoder, FixedGaussian(shape), StandardNormal(2), ELBO(), max_steps=2), Rows()
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, logger=rows, callbacks=[callback], enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=1, num_sanity_val_steps=0,
        log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(model, data)
    return model, rows


def test_the_values_are_those_of_the_means_of_posterior_means() -> None:
    data = Digits(batch_size=500, val_size=60)
    callback = ReconstructionQuality(
        Pixels(SHAPE),
        Brightness(),
        2,
        real=RealSet("val", 50),
        sigma=0.5,
        halves=Halves(4),
        chunk_size=16,
    )
    model, rows = _trained(callback, data)
    (row,) = [row for row in rows.rows if KEY + "psnr" in row]
    order = torch.randperm(60, generator=torch.Generator().manual_seed(data.split_seed))[:50]
    x, space = data.dataset("val")[order]["x"], model.latent_space.eval()
    with torch.no_grad():
        again = space.decode(space.encode(x).mean).mean.clamp(0, 1)
    metric = ImageSimilarity(sigma=0.5)
    metric.update(x, again)
    expected = {"ssim_sigma_0.5": metric.compute()["ssim"], "psnr": metric.compute()["psnr"]}
    expected["distance_brightness"] = (x.mean((1, 2, 3)) - again.mean((1, 2, 3))).abs().mean()
    flat = [part.flatten(1).double() for part in (x, again)]
    moments = [Moments(50, part.mean(0), torch.cov(part.T)) for part in flat]
    expected["rfd_pixels"] = frechet_distance(*moments)
    for key, value in expected.items():
        assert row[KEY + key] == pytest.approx(value.item(), rel=1e-4), key
    low, middle, high = (row[f"{KEY}rfd_pixels_unbiased{end}"] for end in ("_low", "", "_high"))
    assert low < middle < high
    keys = ("distance_brightness", "rfd_pixels_unbiased_low", "lpips_vgg16", "rfid", "ssim", "rfid_unbiased")
    names = [match.entry.pattern for key in keys if (match := find(KEY + key)) is not None]
    assert len(set(names)) == 6


def test_options_that_cannot_work_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"ReconstructionQuality expected real.n of at least 2, got 1"):
        ReconstructionQuality(Pixels(SHAPE), real=RealSet("val", 1))
    with pytest.raises(ValueError, match=r"ReconstructionQuality expected real.n of at least 4, got 3"):
        ReconstructionQuality(Pixels(SHAPE), real=RealSet("val", 3), halves=Halves())
    with pytest.raises(ValueError, match="ReconstructionQuality expected an extractor for the interval of the Frechet"):
        ReconstructionQuality(halves=Halves())


def test_data_that_cannot_be_compared_are_refused_before_training() -> None:
    with pytest.raises(ValueError, match=r"images \(C, H, W\) of at least 11 x 11 .* got shape \(1, 8, 8\): a smaller"):
        _trained(ReconstructionQuality(), Digits())
    with pytest.raises(ValueError, match=r"got shape \(2,\)"):
        _trained(ReconstructionQuality(sigma=0.5), Toy(), (2,))
    with pytest.raises(ValueError, match="at least 361 observations in the test split, got 360"):
        _trained(ReconstructionQuality(sigma=0.5, real=RealSet("test", 361)), Digits())
