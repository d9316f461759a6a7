"""Standing statistics of batch normalisation against averages of the moments of batches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lsgen.callbacks import GeneratorEMA, Standing
from lsgen.latent import StandardNormal
from lsgen.latent.sampling.samplers import FromTruncatedPrior
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, Hinge, standing_statistics
from lsgen.nn.adversarial.critics import MLPCritic


def _gan() -> GAN:
    torch.manual_seed(0)
    generator = nn.Sequential(
        nn.Linear(2, 5),
        nn.BatchNorm1d(5),
        nn.SiLU(),
        nn.Linear(5, 4),
        nn.BatchNorm1d(4),
        nn.Dropout(0.5),
        nn.Linear(4, 3),
    )
    return GAN(generator, MLPCritic((3,), [4]), FixedGaussian((3,)), StandardNormal(2), Hinge())


def _moments(net: nn.Module, batches: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return average means and unbiased variances of both layers, each seeing what its own batch normalises."""
    means, variances = [], []
    for z in batches:
        h, parts = z, []
        for layer in net:
            if isinstance(layer, nn.BatchNorm1d):
                parts.append((h.mean(0), h.var(0)))
                h = (h - h.mean(0)) / (h.var(0, correction=0) + layer.eps).sqrt() * layer.weight + layer.bias
            elif not isinstance(layer, nn.Dropout):
                h = layer(h)
        means.append(torch.cat([mean for mean, _ in parts]))
        variances.append(torch.cat([variance for _, variance in parts]))
    return torch.stack(means).mean(0), torch.stack(variances).mean(0)


def _statistics(net: nn.Module) -> tuple[Tensor, Tensor]:
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm1d)]
    return torch.cat([n.running_mean for n in norms]), torch.cat([n.running_var for n in norms])


@pytest.mark.parametrize("truncated", [False, True])
def test_they_are_the_averages_of_the_moments_of_batches(truncated: bool) -> None:
    gan = _gan()
    sampler = FromTruncatedPrior(0.4) if truncated else None
    modes, state = [part.training for part in gan.modules()], torch.get_rng_state()
    standing_statistics(gan.latent_space, batches=5, batch_size=8, seed=3, sampler=sampler)
    assert [part.training for part in gan.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert [n.momentum for n in gan.modules() if isinstance(n, nn.BatchNorm1d)] == [0.1, 0.1]
    torch.manual_seed(3)
    draw = gan.latent_space.prior().sample if sampler is None else lambda shape: sampler.sample(*shape)
    with torch.no_grad():
        expected = _moments(gan.generator, [draw((8,)) for _ in range(5)])
    for found, wanted in zip(_statistics(gan.generator), expected, strict=True):
        torch.testing.assert_close(found, wanted)


class _SeededSteps(Callback):
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(1000 * trainer.current_epoch + batch_idx)


def _fit(path: Path, gan: GAN, epochs: int, standing: Standing | None, resume: Path | None = None) -> Trainer:
    trainer = Trainer(
        default_root_dir=path, accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False,
        callbacks=[_SeededSteps(), GeneratorEMA(10, ramp_up=None, standing=standing)],
    )  # fmt: skip
    x = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(1))
    trainer.fit(gan, DataLoader([{"x": part} for part in x], batch_size=None), ckpt_path=resume, weights_only=False)  # type: ignore[arg-type]
    return trainer


def test_the_averaged_generator_has_them_and_training_and_resuming_are_as_without(tmp_path: Path) -> None:
    plain, whole, cut, resumed = (_gan() for _ in range(4))
    standing = Standing(every_n_steps=2, batches=3, batch_size=8)
    _fit(tmp_path, plain, 2, None)
    _fit(tmp_path, whole, 2, standing)
    _fit(tmp_path, cut, 1, standing).save_checkpoint(tmp_path / "cut.ckpt")
    _fit(tmp_path, resumed, 2, standing, tmp_path / "cut.ckpt")
    averaged = whole.decoder.generator
    torch.manual_seed(0)
    with torch.no_grad():
        expected = _moments(averaged, [whole.latent_space.prior().sample((8,)) for _ in range(3)])
    for found, wanted in zip(_statistics(averaged), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key
        if not key.endswith(("running_mean", "running_var", "num_batches_tracked")) or key.startswith("generator."):
            assert torch.equal(plain.state_dict()[key], value), key
    saved = torch.load(tmp_path / "cut.ckpt", weights_only=False)["state_dict"]
    assert torch.equal(saved["latent_space.decoder.generator.1.running_mean"], cut.decoder.generator[1].running_mean)
    assert not torch.equal(saved["generator.1.running_mean"], cut.decoder.generator[1].running_mean)


def test_refusals() -> None:
    gan = _gan()
    with pytest.raises(ValueError, match="expected at least 1 batch of at least 2 codes, got 2 of 1"):
        standing_statistics(gan.latent_space, batches=2, batch_size=1)
    gan.decoder.generator = nn.Linear(2, 3)
    with pytest.raises(ValueError, match="expected a generator with batch normalisation, got RescaledGenerator"):
        standing_statistics(gan.latent_space)
    with pytest.raises(ValueError, match=r"expected standing.batch_size of at least 2, got 1"):
        Standing(batch_size=1)
