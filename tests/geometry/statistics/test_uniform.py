"""Uniform samples against the exact density of the torus, and logarithms that no number could hold."""

import math

import pytest
import torch
from scipy.stats import kstest

from lsgen.geometry import Immersion, MetricField, reference
from lsgen.geometry.statistics import Box, sample_uniform

f64 = torch.float64
TURN = 2 * math.pi
AROUND = Box(torch.zeros(2, dtype=f64), torch.full((2,), TURN, dtype=f64))


@pytest.mark.parametrize("bound", [None, math.log(3.0)])
def test_on_the_torus_the_density_is_proportional_to_its_radius(bound):
    """dvol = r (R + r cos v) du dv, with R = 2 and r = 1, of volume 4 pi^2 R r."""
    surface = reference.torus(2.0, 1.0)
    for im in (surface.immersion, MetricField(surface.metric, 2)):
        found = sample_uniform(im, 4000, AROUND, log_bound=bound)
        u, v = found.points.unbind(-1)
        assert kstest(v.numpy(), lambda v: (2 * v + torch.sin(torch.as_tensor(v)).numpy()) / (2 * TURN)).pvalue > 1e-3
        assert kstest(u.numpy(), "uniform", args=(0, TURN)).pvalue > 1e-3
        assert found.acceptance == pytest.approx(2 / 3, abs=0.05)
        assert found.log_bound == pytest.approx(math.log(3.0), abs=1e-3)
        assert abs(found.log_domain_volume - math.log(8 * math.pi**2)) < 4 * found.error
        assert found.error < 0.02


def test_part_of_a_box():
    """The disc |z| < 1 of the stereographic sphere is a hemisphere of area 2 pi, its height uniform in (0, 1)."""
    corner = torch.ones(2, dtype=f64)
    disc = Box(-corner, corner, lambda z: z.norm(dim=-1) < 1)
    surface = reference.sphere()
    found = sample_uniform(surface.immersion, 2000, disc)
    assert disc.contains(found.points).all()
    assert kstest(surface.immersion(found.points)[:, 2].numpy(), "uniform").pvalue > 1e-3
    assert abs(found.log_domain_volume - math.log(2 * math.pi)) < 4 * found.error


@pytest.mark.slow
@pytest.mark.parametrize("scale", [-60.0, 60.0])
def test_volume_elements_beyond_the_range_of_numbers(scale):
    """g_ii = exp(scale) (1 + z_1)^(2/d) in d = 40, sqrt(det g) about e^(20 scale); z_1 has density 2 (1 + z_1) / 3."""
    d = 40
    im = MetricField(lambda z: torch.eye(d).to(z) * math.exp(scale) * (1 + z[:, :1, None]) ** (2 / d), d)
    found = sample_uniform(im, 2000, Box(torch.zeros(d, dtype=f64), torch.ones(d, dtype=f64)))
    assert kstest(found.points[:, 0].numpy(), lambda z: ((1 + z) ** 2 - 1) / 3).pvalue > 1e-3
    assert abs(found.log_domain_volume - (d * scale / 2 + math.log(1.5))) < 4 * found.error


REFUSALS = {
    "number": (lambda im: sample_uniform(im, 0, AROUND), ValueError, "expected at least 1 code to draw, got 0"),
    "domain": (lambda im: sample_uniform(im, 5, 3), ValueError, "expected a Box of dimension 2 to draw from, got int"),
    "dimension": (
        lambda im: sample_uniform(im, 5, Box(torch.zeros(1), torch.ones(1))),
        ValueError,
        "expected a Box of dimension 2 to draw from, got one of dimension 1",
    ),
    "bound": (
        lambda im: sample_uniform(im, 500, AROUND, log_bound=0.0),
        ValueError,
        r"expected log_bound to bound log sqrt\(det g\) on the domain, got 0 below 1\.",
    ),
    "proposals": (
        lambda im: sample_uniform(im, 500, AROUND, max_proposals=100),
        RuntimeError,
        r"expected 500 codes from 100 proposals, got \d+: the volume is concentrated",
    ),
    "corners": (
        lambda im: Box(torch.ones(2), torch.zeros(2)),
        ValueError,
        r"expected low < high, both finite, got \[1.0, 1.0\] and \[0.0, 0.0\]",
    ),
    "shapes": (
        lambda im: Box(torch.ones(2), torch.zeros(3)),
        ValueError,
        r"expected two corners \(d,\), got \(2,\) and \(3,\)",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, kind, sentence = REFUSALS[name]
    with pytest.raises(kind, match=sentence):
        call(reference.torus(2.0, 1.0).immersion)


def test_a_domain_without_volume_yields_nothing():
    line = Immersion(lambda z: z[:, :1], 2)
    with pytest.raises(RuntimeError, match="expected 10 codes from 600 proposals, got 0"):
        sample_uniform(line, 10, AROUND, max_proposals=600)
