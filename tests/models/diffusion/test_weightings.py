"""Noise levels and weightings: densities, importance weights, and the losses of the papers in their own words."""

import pytest
import torch

from lsgen.models.diffusion import (
    Cosine,
    Karras,
    LinearLogSNR,
    NormalLevels,
    RectifiedFlow,
    UniformLevels,
    UniformTimes,
)
from lsgen.models.diffusion.levels import evenly_spread
from lsgen.models.diffusion.weightings import (
    EDMWeighting,
    EvidenceWeighting,
    MinSNRWeighting,
    SigmoidWeighting,
    SimpleWeighting,
    VelocityWeighting,
)

f64 = torch.float64
PATHS = [LinearLogSNR(), Cosine(), RectifiedFlow(log_snr_max=10, log_snr_min=-10), Karras()]
LEVELS = [UniformTimes(), UniformLevels(), NormalLevels(-0.5, 1.5)]
WEIGHTINGS = [
    EvidenceWeighting(),
    EDMWeighting(sigma_data=0.7),
    MinSNRWeighting(gamma=3.0),
    SigmoidWeighting(bias=1.0),
    SimpleWeighting(),
    VelocityWeighting(),
]
U = (torch.arange(50_000, dtype=f64) + 0.5) / 50_000
named = {"ids": lambda one: type(one).__name__}


def _bump(l: torch.Tensor) -> torch.Tensor:
    """Any error as a function of the level, which vanishes at the ends."""
    return torch.exp(-(l.square()) / 6) * (2 + l.sin())


@pytest.mark.parametrize("levels", LEVELS, **named)
@pytest.mark.parametrize("path", PATHS, **named)
def test_densities_are_those_of_the_levels(path, levels):
    l = levels.at(path, U)
    found = (U[2:] - U[:-2]) / (l[2:] - l[:-2]).abs()
    inner = slice(500, -500)  # differences tell little of thin tails
    torch.testing.assert_close(found[inner], levels.density(path, l[1:-1][inner]), rtol=1e-3, atol=0)
    ends = levels.at(path, torch.tensor([0.0, 1.0], dtype=f64)).sort().values
    torch.testing.assert_close(ends, torch.tensor([path.log_snr_min, path.log_snr_max], dtype=f64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("weighting", WEIGHTINGS, **named)
@pytest.mark.parametrize("path", PATHS, **named)
def test_the_loss_does_not_depend_on_the_levels_that_are_drawn(path, weighting):
    grid = torch.linspace(path.log_snr_min, path.log_snr_max, 20_001, dtype=f64)
    expected = torch.trapezoid(weighting.weight(path, grid) * _bump(grid), grid)
    for levels in [weighting.levels, *LEVELS]:
        l = levels.at(path, U)
        found = (weighting.factor(path, l, levels) * _bump(l)).mean()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_losses_are_those_of_the_papers():
    """On errors of any denoiser: of the noise, of the observation over its variance, of the velocity."""
    torch.manual_seed(0)
    path = RectifiedFlow()
    x, eps, wrong = torch.randn(3, 7, dtype=f64).unbind(0)
    l = torch.linspace(-8, 8, 7, dtype=f64)
    (alpha, sigma), s = path.scales(l), (-l / 2).exp()
    eps_hat = (alpha * x + sigma * eps - alpha * wrong) / sigma
    half = (eps - eps_hat).square() / 2
    losses = {
        SimpleWeighting(): (eps - eps_hat).square(),
        VelocityWeighting(): ((eps - x) - (eps_hat - wrong)).square(),
        MinSNRWeighting(gamma=2.0): (1 / s**2).clamp(max=2) * (x - wrong).square(),
        EDMWeighting(sigma_data=0.4): (s**2 + 0.16) / (0.16 * s**2) * (x - wrong).square(),
    }
    for weighting, expected in losses.items():
        torch.testing.assert_close(weighting.factor(path, l) * half, expected, rtol=1e-6, atol=1e-9)
    slope = -path.slope(path.time(l))
    torch.testing.assert_close(EvidenceWeighting(UniformTimes()).factor(path, l), slope, rtol=1e-6, atol=0)


def test_levels_of_a_batch_are_evenly_spread():
    u = evenly_spread(8, torch.zeros(1, dtype=f64))
    gaps = u.sort().values.diff()
    torch.testing.assert_close(gaps, torch.full((7,), 1 / 8, dtype=f64))
    assert not torch.equal(u, evenly_spread(8, torch.zeros(1, dtype=f64)))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: NormalLevels(std=0.0), "std > 0, got 0.0"),
        (lambda: EDMWeighting(sigma_data=-1.0), "sigma_data > 0, got -1.0"),
        (lambda: MinSNRWeighting(gamma=0.0), "gamma > 0, got 0.0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
