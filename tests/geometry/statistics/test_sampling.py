"""Markov chains against integrals over the torus and the sphere, with respect to their volume."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest

from lsgen.geometry import Immersion, MetricField, reference
from lsgen.geometry.statistics import Box, hmc, langevin

f64 = torch.float64
TORUS = reference.torus(2.0, 1.0)
FIELD = MetricField(TORUS.metric, 2)


def tilted(z):
    """log p = -cos v with respect to the volume of the torus."""
    return -z[:, 1].cos()


def expected(weight):
    """E cos v under a density over v."""
    return quad(lambda v: math.cos(v) * weight(v), 0, 2 * math.pi)[0] / quad(weight, 0, 2 * math.pi)[0]


SAMPLERS = {
    "langevin": lambda im, p, z: langevin(im, p, z, 1, step_size=1.5, thinning=25),
    "hmc": lambda im, p, z: hmc(im, p, z, 4, step_size=1.0, leapfrogs=2),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_expectations_on_the_torus_are_over_its_volume(name):
    """Independent chains from one place; over the coordinates alone the mean would be another, many errors away."""
    chains = {"langevin": 2000, "hmc": 250}[name]
    start = torch.tensor([0.0, 2.0], dtype=f64).expand(chains, 2)
    found = SAMPLERS[name](FIELD, tilted, start)
    assert ((found.acceptance > 0.2) & (found.acceptance <= 1)).float().mean() > 0.9
    last = found.points[:, -1, 1].cos()
    error = last.std() / chains**0.5
    exact = expected(lambda v: math.exp(-math.cos(v)) * (2 + math.cos(v)))
    flat = expected(lambda v: math.exp(-math.cos(v)))
    assert abs(last.mean() - exact) < 4 * error
    assert abs(exact - flat) > 4 * error


@pytest.mark.parametrize("name", SAMPLERS)
def test_without_a_density_they_are_uniform_by_volume(name):
    chains = {"langevin": 1000, "hmc": 200}[name]
    im = TORUS.immersion if name == "langevin" else FIELD
    found = SAMPLERS[name](im, None, torch.zeros(chains, 2, dtype=f64))
    v = (found.points[:, -1, 1] % (2 * math.pi)).numpy()
    assert kstest(v, lambda v: (2 * v + torch.sin(torch.as_tensor(v)).numpy()) / (4 * math.pi)).pvalue > 1e-3


def test_hmc_accepts_all_along_a_flat_density():
    """Geodesics keep |v|_g: under the uniform density only the error of their steps is rejected."""
    found = hmc(FIELD, None, torch.zeros(50, 2, dtype=f64), 1, step_size=1.0, leapfrogs=1, geodesic_steps=8)
    assert found.acceptance.mean() > 0.99


@pytest.mark.parametrize("route", ["immersion", "field"])
def test_hmc_is_uniform_on_the_sphere_at_a_large_step_size(route):
    """The coordinates x in R^3 have means 0 and mean squares 1/3, within four of their standard errors of about 0.015.

    Steps that do not lead back, which happen near the end of the chart at infinity, would change them.
    """
    sphere = reference.sphere()
    im = sphere.immersion if route == "immersion" else MetricField(sphere.metric, 2)
    found = hmc(im, None, torch.full((300, 2), 0.3, dtype=f64), 8, step_size=0.8, leapfrogs=2)
    x = sphere.immersion(found.points[:, 4:])
    moments = torch.cat([x, x.square()], -1).mean(1)
    error = moments.std(0) / len(moments) ** 0.5
    assert ((moments.mean(0) - torch.tensor([0, 0, 0, *[1 / 3] * 3], dtype=f64)).abs() < 4 * error).all()
    assert error.max() < 0.03
    assert kstest(x[:, -1, 2].numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3


def test_chains_stay_in_their_domain():
    """The hemisphere |z| < 1 of the sphere, whose height is uniform."""
    corner = torch.ones(2, dtype=f64)
    disc = Box(-corner, corner, lambda z: z.norm(dim=-1) < 1)
    sphere = reference.sphere()
    found = langevin(sphere.immersion, None, torch.zeros(2000, 2, dtype=f64), 30, step_size=0.5, domain=disc)
    assert disc.contains(found.points.flatten(0, 1)).all()
    assert kstest(sphere.immersion(found.points[:, -1])[:, 2].numpy(), "uniform").pvalue > 1e-3


REFUSALS = {
    "numbers": (
        lambda z: langevin(FIELD, None, z, 0),
        "expected positive numbers of samples and steps and a positive step size, got 0, 1 and 0.1",
    ),
    "geodesic steps": (
        lambda z: hmc(FIELD, None, z, 1, geodesic_steps=0),
        "expected at least 1 step of each geodesic, got 0",
    ),
    "shape": (
        lambda z: hmc(FIELD, lambda z: z.sum(), z, 1),
        r"expected a log-density \(3, 2\) -> \(3,\), got \(\)",
    ),
    "start": (
        lambda z: langevin(Immersion(lambda z: z[:, :1], 2), None, z, 1),
        "expected starts where the density is positive and the metric has full rank, got 3 of 3 elsewhere",
    ),
    "start of geodesics": (
        lambda z: hmc(Immersion(lambda z: z[:, :1], 2), None, z, 1),
        "expected starts where the density is positive and the metric has full rank, got 3 of 3 elsewhere",
    ),
    "outside": (
        lambda z: hmc(FIELD, None, z, 1, domain=Box(torch.ones(2), 2 * torch.ones(2))),
        "got 3 of 3 elsewhere",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, sentence = REFUSALS[name]
    with pytest.raises(ValueError, match=sentence):
        call(torch.zeros(3, 2, dtype=f64))
