"""The factor callback, against data whose codes and factors are related by construction."""

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from lsgen.callbacks import FactorMetrics
from lsgen.data import Digits, Sprites
from lsgen.latent import StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.models.vae import ELBO, VAE
from lsgen.nn import Conv64Decoder, MLPDecoder, MLPEncoder


class Centroid(nn.Module):
    """Codes are the centre of mass of an image; a third latent is silent."""

    dim, heads = 3, 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = x[:, 0] / x.sum((1, 2, 3))[:, None, None]
        at = torch.linspace(-1, 1, 64)
        mean = torch.stack([(weight.sum(1) * at).sum(1), (weight.sum(2) * at).sum(1), torch.zeros(len(x))], 1)
        return torch.cat([mean, torch.zeros_like(mean)], 1)


def _measure(model: VAE, data) -> dict[str, float]:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_test_batches=1,
        callbacks=[FactorMetrics(n=600)],
    )
    (values,) = trainer.test(model, data, verbose=False)
    return values


def test_positions_are_linear_in_the_centre_of_mass() -> None:
    shape = (1, 64, 64)
    model = VAE(Centroid(), Conv64Decoder(3, shape), Bernoulli(shape), StandardNormal(3), ELBO())
    values = _measure(model, Sprites())
    for name in ("posX", "posY"):
        assert values[f"test/factor/{name}/r2"] > 0.98
        assert values[f"test/factor/{name}/r2_single"] == pytest.approx(values[f"test/factor/{name}/r2"], abs=0.02)
    assert values["test/factor/shape/r2"] < 0.2


def test_data_without_factors_are_left_alone() -> None:
    shape = (1, 8, 8)
    model = VAE(MLPEncoder(shape, 2), MLPDecoder(2, shape), Bernoulli(shape), StandardNormal(2), ELBO())
    assert not [key for key in _measure(model, Digits()) if key.startswith("test/factor")]


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected n and chunk_size of at least 1, got 0 and 500"):
        FactorMetrics(n=0)
