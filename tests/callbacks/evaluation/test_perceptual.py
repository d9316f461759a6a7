"""The path length and the diversity of a generator that is known in closed form."""

from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn

from lsgen.callbacks import Paths, PerceptualQuality
from lsgen.data import Digits, Toy
from lsgen.latent import HypersphericalUniform, Prior, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.quality import PerceptualDistance
from lsgen.models.gan import GAN, NonSaturating

SHAPE = (1, 8, 8)


class Squares(PerceptualDistance):
    """The squared distance of pixels."""

    def __init__(self) -> None:
        super().__init__("squares", 2)

    def maps(self, x: Tensor) -> list[Tensor]:
        return [x]

    def heads(self) -> list[Tensor]:
        return [torch.ones(1)]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).flatten(1).square().sum(1)


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


def _gan(prior: Prior) -> GAN:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(prior.dim, 64), nn.Unflatten(1, SHAPE))
    critic = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))
    return GAN(generator, critic, FixedGaussian(SHAPE), prior, NonSaturating(), max_steps=2)


def _trainer(logger: Rows, callback: PerceptualQuality) -> Trainer:
    return Trainer(
        accelerator="cpu", max_epochs=1, logger=logger, callbacks=[callback], enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=1, num_sanity_val_steps=0,
        log_every_n_steps=1,
    )  # fmt: skip


def test_both_are_those_of_a_linear_generator() -> None:
    """With W z, normal codes and squared distances both are 2 |W|^2: of paths by |W(b - a)|^2, of samples directly."""
    rows, model = Rows(), _gan(StandardNormal(3))
    callback = PerceptualQuality(Squares(), every_n_steps=1, n=4000, paths=Paths(4000, eps=1e-2, discard=0.0))
    _trainer(rows, callback).fit(model, Digits(batch_size=500))
    found = [row for row in rows.rows if "sample/perceptual/path_length_squares" in row]
    assert len(found) == 2, "one a step"
    linear = next(part for part in model.modules() if isinstance(part, nn.Linear) and part.in_features == 3)
    expected = 2 * linear.weight.detach().square().sum().item()
    last = found[-1]
    error = last["sample/perceptual/path_length_squares_std"] / 4000**0.5
    assert last["sample/perceptual/path_length_squares"] == pytest.approx(expected, abs=4 * error)
    error = last["sample/perceptual/diversity_squares_error"]
    assert last["sample/perceptual/diversity_squares"] == pytest.approx(expected, abs=4 * error)


def test_what_cannot_be_measured_is_refused_before_training() -> None:
    with pytest.raises(ValueError, match="expected n >= 4 and chunk_size >= 1, got 3 and 100"):
        PerceptualQuality(Squares(), n=3)
    model = _gan(HypersphericalUniform(3))
    with pytest.raises(TypeError, match='expected path "geodesic", got "slerp"'):
        _trainer(Rows(), PerceptualQuality(Squares(), paths=Paths(kind="slerp"))).fit(model, Digits())
    assert model.generator_steps == 0
    with pytest.raises(ValueError, match=r"Squares expected images of shape \(1 or 3, H, W\), .* got \(2,\)"):
        _trainer(Rows(), PerceptualQuality(Squares())).fit(model, Toy())
