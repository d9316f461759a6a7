"""Defaults that must follow the length of the training, or mean what their paper means."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

import lsgen
from lsgen.models import VAE
from lsgen.models.schedules import Cyclic, Linear
from lsgen.models.vae import RBFVariance

CONF = Path(lsgen.__file__).parents[1] / "conf"


def _model(*overrides: str) -> VAE:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", ["data=digits", "net=mlp", *overrides])
    model: VAE = instantiate(config.model)
    return model


@pytest.mark.parametrize("steps", [500, 20_000])
def test_the_capacity_of_an_annealed_vae_reaches_its_end_in_training(steps: int) -> None:
    capacity = _model("model=annealed_vae", f"model.max_steps={steps}").objective.capacity
    assert capacity(0) == 0
    assert 0 < capacity(steps // 2) < capacity(int(0.75 * steps)) < 25
    assert capacity(int(0.8 * steps)) == pytest.approx(25)
    assert capacity(steps) == 25


@pytest.mark.parametrize("name", ["wae_mmd", "wae_gan", "rae_l2", "rae_gp"])
def test_the_reconstruction_is_the_squared_error(name: str) -> None:
    model = _model(f"model={name}")
    x, z = torch.rand(6, 1, 8, 8), torch.randn(2, 10)
    p = model.latent_space.decode(z)
    values = p.log_prob(x[:, None])
    squares = (x[:, None] - p.mean).square().flatten(2).sum(2)
    torch.testing.assert_close(values[0] - values[1:], squares[1:] - squares[0])


@pytest.mark.parametrize("steps", [40, 20_000])
def test_the_variance_of_radial_basis_functions_is_fitted_in_training(steps: int) -> None:
    objective = _model("model=rbf_vae", "net=rbf_mlp", f"model.max_steps={steps}").objective
    assert objective.fit_at == 0.75 * steps
    with pytest.raises(ValueError, match="expected fit_at before the last of 100 generator steps, got 100"):
        RBFVariance(100, steps=100)
    with pytest.raises(ValueError, match=r"expected the steps that fit_at is a part of, got fit_at = 0\.5 and none"):
        RBFVariance(0.5)


def test_a_ramp_may_take_a_part_of_the_steps() -> None:
    whole, part = Linear(1.0, 3.0, 100), Linear(1.0, 3.0, 400, ramp=0.25)
    for step in (0, 17, 50, 99, 100, 400, 1000):
        assert part(step) == pytest.approx(whole(step))
    assert Cyclic(1.0, 3.0, 400, ramp=0.25)(400 + 17) == pytest.approx(Linear(1.0, 3.0, 100)(17))
    with pytest.raises(ValueError, match=r"expected a ramp in \(0, 1\], the rising part of steps, got 0"):
        Linear(0.0, 1.0, 10, ramp=0)
