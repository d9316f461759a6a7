"""Toy sets: densities integrate to one, and points are distributed by them."""

from math import exp, log, pi

import numpy as np
import pytest
import torch
from scipy import integrate, special

from lsgen.data import Loading, Toy
from lsgen.data.draws import stream
from lsgen.data.toys.distributions import TOY_SETS, KnownDensity, toy_set

KNOWN = [name for name in TOY_SETS if isinstance(toy_set(name), KnownDensity)]
# Wide enough for a grid to resolve them.
STEP = 0.1
NOISE = {name: None if name == "checkerboard" else 2 * STEP for name in KNOWN}


def grid():
    ticks = torch.arange(-70, 70, dtype=torch.float64) * STEP + STEP / 2
    return torch.cartesian_prod(ticks, ticks)


@pytest.mark.parametrize("name", KNOWN)
def test_density_integrates_to_one(name):
    total = toy_set(name, NOISE[name]).log_density(grid()).exp().sum() * STEP**2
    assert abs(total - 1) < 1e-9


@pytest.mark.parametrize("name", KNOWN)
def test_samples_have_the_moments_of_the_density(name):
    known = toy_set(name, NOISE[name])
    points, _ = known.sample(40_000, stream(0))
    cells = grid()
    weights = known.log_density(cells).exp() * STEP**2
    for power in ((1, 0), (0, 1), (2, 0), (0, 2), (1, 1), (2, 1), (1, 2), (2, 2)):
        f = lambda x, power=power: x[:, 0] ** power[0] * x[:, 1] ** power[1]
        mean = (weights * f(cells)).sum()
        deviation = ((weights * f(cells) ** 2).sum() - mean**2).sqrt()
        assert abs(f(points).mean() - mean) < 4.5 * deviation / 40_000**0.5


def test_noisy_circle_has_the_density_of_rice():
    # p(x) = exp(-(r^2 + 1)/2s^2) I0(r/s^2) / (2 pi s^2)
    s = 0.05
    x = torch.tensor([[1.0, 0.0], [0.0, 1.1], [0.7, -0.7], [0.8, 0.3]], dtype=torch.float64)
    r = torch.linalg.vector_norm(x, dim=1)
    expected = -((r - 1) ** 2) / (2 * s**2) + torch.log(torch.special.i0e(r / s**2)) - log(2 * pi * s**2)
    torch.testing.assert_close(toy_set("circle").log_density(x), expected, atol=1e-9, rtol=1e-9)
    assert special.i0e(1 / s**2) > 0


def test_two_moons_have_the_integral_along_their_arcs():
    s, (a, b) = 0.1, (0.4, 0.7)

    def arc(t, sign, shift):
        dx, dy = a - shift[0] - sign * np.cos(pi * t), b - shift[1] - sign * np.sin(pi * t)
        return exp(-(dx**2 + dy**2) / (2 * s**2)) / (2 * pi * s**2)

    parts = [integrate.quad(arc, 0, 1, args=args, epsabs=1e-13)[0] for args in ((1, (0, 0)), (-1, (1, 0.5)))]
    density = toy_set("two_moons").log_density(torch.tensor([[a, b]], dtype=torch.float64)).exp()
    assert abs(density.item() - sum(parts) / 2) < 1e-8


def test_customary_parameters():
    # Ring of radius 2 with 0.02; grid of 25 with 0.05: log density at a centre is -log(2 pi s^2 K).
    centre = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(toy_set("eight_gaussians").log_density(centre).item(), -log(2 * pi * 0.02**2 * 8))
    torch.testing.assert_close(toy_set("twenty_five_gaussians").log_density(centre).item(), -log(2 * pi * 0.05**2 * 25))


def test_pinwheel_has_five_arms_that_are_one_arm_turned():
    points, arm = toy_set("pinwheel").sample(50_000, stream(0))
    plane = torch.view_as_complex(points)
    means = torch.stack([plane[arm == number].mean() for number in range(5)])
    turned = means * torch.exp(-2j * pi * torch.arange(5, dtype=torch.float64) / 5)
    assert (turned - turned.mean()).abs().max() < 5 * 0.35 / 10_000**0.5


def test_splits_are_different_samples_that_only_split_seed_changes():
    data = Toy(name="two_moons", val_size=1000, test_size=1000, train_size=1000)
    parts = [data.dataset(split)[torch.arange(1000)]["x"] for split in ("train", "val", "test")]
    assert len(torch.cat(parts).unique(dim=0)) == 3000
    again, other = (
        Toy(name="two_moons", seed=5, test_size=1000),
        Toy(name="two_moons", loading=Loading(split_seed=1), test_size=1000),
    )
    assert torch.equal(again.dataset("test")[torch.arange(1000)]["x"], parts[2])
    assert not torch.equal(other.dataset("test")[torch.arange(1000)]["x"], parts[2])


def test_bad_names_noise_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"name to be one of eight_gaussians, .* got 'banana'"):
        Toy(name="banana")
    with pytest.raises(ValueError, match=r"expected no noise for checkerboard, got noise = 0.1"):
        Toy(name="checkerboard", noise=0.1)
    with pytest.raises(ValueError, match=r"expected a positive noise for circle, got noise = 0"):
        Toy(name="circle", noise=0)
    with pytest.raises(ValueError, match=r"train_size of at least 1 point, got 0"):
        Toy(train_size=0)
