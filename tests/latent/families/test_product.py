"""Priors of independent parts."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsgen.latent import StandardNormal
from lsgen.latent.families.product import OneHot, Product, Uniform

PRIOR = Product([StandardNormal(3), Uniform(2, -2.0, 1.0), OneHot(4)])


def test_codes_are_joined_in_order() -> None:
    torch.manual_seed(0)
    z = PRIOR().sample((20_000,))
    assert z.shape == (20_000, 9)
    noise, uniform, label = z.split([3, 2, 4], 1)
    assert ((uniform >= -2) & (uniform <= 1)).all()
    assert (label.sum(1) == 1).all()
    assert ((label == 0) | (label == 1)).all()
    error = 5 * PRIOR().variance.sqrt() / math.sqrt(20_000)
    assert ((z.mean(0) - PRIOR().mean).abs() < error).all()
    assert noise.std().item() == pytest.approx(1, abs=0.03)


def test_draws_and_densities_wait_for_no_device() -> None:
    """On a device without numbers, whatever would read one fails."""
    with FakeTensorMode(), torch.device("cuda"):
        prior = Product([StandardNormal(3), Uniform(2, -2.0, 1.0), OneHot(4)])
        assert prior().log_prob(prior.draw(5)).shape == (5,)
    assert OneHot(4)().expand((3,)).sample((2,)).shape == (2, 3, 4)


def test_log_densities_add_up() -> None:
    z = PRIOR().sample((5,))
    normal = -z[:, :3].square().sum(1) / 2 - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(PRIOR().log_prob(z), normal - 2 * math.log(3) - math.log(4))


def test_classes_are_those_of_a_last_one_hot_part() -> None:
    assert (PRIOR.dim, PRIOR.classes) == (9, 4)
    assert Product([OneHot(4), Uniform(1)]).classes == 0
    with pytest.raises(ValueError, match="expected low below high, got 1 and 1"):
        Uniform(2, 1, 1)
    with pytest.raises(ValueError, match=r"expected dim = 4 \+ 1 = 5, got 6"):
        Product([OneHot(4), Uniform(1)], dim=6)
