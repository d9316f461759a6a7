"""The moving average of a generator against its recursion, and what it is used for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsgen.callbacks import Checkpoint, Seeding, read_checkpoint
from lsgen.callbacks.engine.ema import GeneratorEMA, PowerFunctionEMA
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, Hinge, Updates
from lsgen.nn.adversarial.critics import MLPCritic


def _gan() -> GAN:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.SiLU(), nn.Linear(5, 3))
    return GAN(
        generator, MLPCritic((3,), [4]), FixedGaussian((3,)), StandardNormal(2), Hinge(), updates=Updates(n_critic=2)
    )


def _fit(path: Path, gan: GAN, *callbacks: Callback, epochs: int = 1, resume: Path | None = None) -> None:
    trainer = Trainer(
        default_root_dir=path, accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[*callbacks, Checkpoint(every_n_minutes=None)],
    )  # fmt: skip
    x = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1))
    trainer.fit(gan, DataLoader([{"x": part} for part in x], batch_size=None), ckpt_path=resume, weights_only=True)  # type: ignore[arg-type]


class Recorder(Callback):
    """Notes the trained generator after every generator step."""

    def __init__(self) -> None:
        self.history: list[tuple[int, Tensor]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start = nn.utils.parameters_to_vector(pl_module.generator.parameters()).double().detach()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.generator_steps > len(self.history):
            weights = nn.utils.parameters_to_vector(pl_module.generator.parameters()).double().detach()
            self.history.append((pl_module.images_seen, weights))


@pytest.mark.parametrize("ramp_up", [None, 0.5])
def test_the_average_follows_its_recursion(tmp_path: Path, ramp_up: float | None) -> None:
    gan, recorder = _gan(), Recorder()
    _fit(tmp_path, gan, GeneratorEMA(half_life=10, ramp_up=ramp_up), recorder)
    expected, before = recorder.start, 0
    for images, weights in recorder.history:
        half_life = 10.0 if ramp_up is None else min(10.0, ramp_up * images)
        beta = 0.5 ** ((images - before) / half_life)
        expected, before = beta * expected + (1 - beta) * weights, images
    averaged = nn.utils.parameters_to_vector(gan.decoder.generator.parameters())
    assert [images for images, _ in recorder.history] == [8, 16, 24]
    torch.testing.assert_close(averaged.double(), expected, atol=1e-7, rtol=1e-6)
    assert not torch.equal(averaged, recorder.history[-1][1].float())
    for old, new in zip(gan.decoder.generator.buffers(), gan.generator.buffers(), strict=True):
        assert torch.equal(old, new)


def test_the_half_life_is_one() -> None:
    assert GeneratorEMA(1000, ramp_up=None).beta(1000, 1) == 0.5
    assert GeneratorEMA(1000, ramp_up=0.05).beta(1000, 20_000) == 0.5
    assert GeneratorEMA(1000, ramp_up=0.05).beta(50, 1000) == 0.5


@pytest.mark.parametrize("sigma_rel", [0.05, 0.1, 0.25])
def test_the_width_of_a_power_function_is_a_share_of_the_training(sigma_rel: float) -> None:
    """The weights that the recursion gives to the history have this standard deviation, whatever the batch size is."""
    for batch, steps in ((1, 4_000), (50, 3_000)):
        average, weights = PowerFunctionEMA(sigma_rel), torch.zeros(steps, dtype=torch.float64)
        for step in range(steps):
            beta = average.beta(batch, batch * (step + 1))
            weights[: step + 1] *= beta
            weights[step] += 1 - beta
        at = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        mean = (weights * at).sum()
        assert float(weights.sum()) == pytest.approx(1)
        assert float((weights * (at - mean).square()).sum().sqrt()) == pytest.approx(sigma_rel, rel=1e-2)
        assert average.beta(batch, batch) == 0


def test_the_latent_space_samples_from_the_average_and_training_does_not(tmp_path: Path) -> None:
    gan = _gan()
    _fit(tmp_path, gan, GeneratorEMA(half_life=100, ramp_up=None))
    gan.eval()
    z = torch.randn(7, 2)
    torch.testing.assert_close(gan(z), gan.decoder.generator(z))
    assert (gan(z) - gan.generator(z)).abs().max() > 1e-4
    assert {id(p) for p in gan.players()[1]} == {id(p) for p in gan.generator.parameters()}
    assert not any(p.requires_grad for p in gan.decoder.generator.parameters())


def test_a_loaded_model_has_the_average_in_its_latent_space(tmp_path: Path) -> None:
    gan, plain, loaded = _gan(), _gan(), _gan()
    _fit(tmp_path, gan, GeneratorEMA(half_life=100, ramp_up=None))
    loaded.load_state_dict(read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["state_dict"])
    assert loaded.averaged
    for name, value in gan.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    plain.load_state_dict(plain.state_dict())
    assert not plain.averaged


def test_a_resumed_average_is_bitwise_the_uninterrupted_one(tmp_path: Path) -> None:
    whole, half, resumed = _gan(), _gan(), _gan()
    _fit(tmp_path / "whole", whole, Seeding(0), GeneratorEMA(100), epochs=2)
    _fit(tmp_path / "half", half, Seeding(0), GeneratorEMA(100), epochs=1)
    last = tmp_path / "half" / "checkpoints" / "last.ckpt"
    _fit(tmp_path / "half", resumed, Seeding(0), GeneratorEMA(100), epochs=2, resume=last)
    assert (resumed.generator_steps, resumed.images_seen) == (whole.generator_steps, whole.images_seen) == (6, 48)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_what_has_no_generator_to_average_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"GeneratorEMA expected a GAN or a diffusion model, .* got LightningModule"):
        GeneratorEMA().setup(Trainer(accelerator="cpu", logger=False), LightningModule(), "fit")
    for sigma_rel in (-0.1, 0.0, 0.3):
        with pytest.raises(ValueError, match=r"expected a sigma_rel above 0 and below 0.288, got"):
            PowerFunctionEMA(sigma_rel)
    with pytest.raises(ValueError, match="expected a half_life above 0 images, got 0"):
        GeneratorEMA(0)
