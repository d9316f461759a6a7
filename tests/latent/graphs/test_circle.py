"""The S1 model: averages over angles are integrals, and the hyperbolic plane has the same links as the circle."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from lsgen.latent import PoincareBall
from lsgen.latent.graphs import S1Coordinates
from lsgen.latent.graphs.circle import (
    degree_factor,
    disk_angle,
    disk_log_degree,
    disk_points,
    mean_connection,
    mean_separation,
    separation,
)


def _drawn(nodes: int, beta: float, seed: int = 0) -> S1Coordinates:
    rng = np.random.default_rng(seed)
    theta, log_out, log_in = (
        torch.from_numpy(x) for x in (rng.uniform(0, 2 * math.pi, nodes), *rng.normal(1.5, 0.5, (2, nodes)))
    )
    at = torch.tensor(beta, dtype=torch.float64)
    return S1Coordinates(theta, log_out, log_in, at, degree_factor(at, 8.0))


def test_separation_is_the_angle_between_directions() -> None:
    a, b = torch.linspace(-9, 9, 41, dtype=torch.float64), torch.linspace(4, -13, 41, dtype=torch.float64)
    torch.testing.assert_close(separation(a, b), torch.polar(torch.ones_like(a), a - b).angle().abs())


@pytest.mark.parametrize("beta", [1.1, 2.0, 2.5, 3.0, 9.0])
@pytest.mark.parametrize("reach", [1e-5, 0.05, 1.0, 30.0])
def test_averages_over_a_uniform_angle_are_integrals(beta: float, reach: float) -> None:
    def p(delta: float) -> float:
        return 1 / (1 + (delta / reach) ** beta)

    edges = [0, *(x for x in (reach / 10, reach, 10 * reach, 1000 * reach) if x < math.pi), math.pi]
    mass, moment = (
        sum(quad(f, a, b, epsabs=0, epsrel=1e-11)[0] for a, b in pairwise(edges)) for f in (p, lambda x: x * p(x))
    )
    assert mean_connection(np.array(reach), beta) == pytest.approx(mass / math.pi, rel=1e-8)
    assert mean_separation(np.array(reach), beta) == pytest.approx(moment / mass, rel=1e-8)


def test_the_expected_degree_tends_to_the_hidden_one() -> None:
    beta, kappa = torch.tensor(2.5, dtype=torch.float64), 10.0
    off = []
    for nodes in (10**3, 10**4, 10**5):
        reach = float(degree_factor(beta, kappa)) * kappa**2 * 2 * math.pi / nodes
        off.append(abs(nodes * float(mean_connection(np.array(reach), 2.5)) / kappa - 1))
    assert off[2] < 1e-5
    assert off[0] > 10 * off[1] > 100 * off[2]  # by N^(1 - beta)


@pytest.mark.parametrize("beta", [1.2, 2.5, 7.0])
def test_the_hyperbolic_plane_has_the_same_links(beta: float) -> None:
    at = _drawn(40, beta)
    i, j = torch.triu_indices(40, 40, 1)
    z, w = (disk_points(at.theta, side, at.top) for side in (at.log_out, at.log_in))
    torch.testing.assert_close(disk_log_degree(z, at.top), at.log_out)
    torch.testing.assert_close(separation(disk_angle(z), at.theta), torch.zeros_like(at.theta), atol=1e-7, rtol=0)
    radius, other = (2 * torch.atanh(torch.linalg.vector_norm(point, dim=-1)) for point in (z, w))
    delta = separation(at.theta[i], at.theta[j])
    x = radius[i] + other[j] + 2 * (delta / 2).log()
    boundary = 4 * at.top - 2 * torch.log(40 / (math.pi * at.mu))
    torch.testing.assert_close(at.logits(i, j), -at.beta * (x - boundary) / 2)
    far = delta > 20 * (torch.exp(-radius[i]) + torch.exp(-other[j])).sqrt()
    exact = PoincareBall().distance(z[i], w[j]) - 2 * torch.log(torch.sin(delta / 2) / (delta / 2))
    assert int(far.sum()) > 100
    torch.testing.assert_close(exact[far], x[far], atol=0.01, rtol=0)


def test_the_least_hidden_degree_is_at_the_radius_of_the_fermi_dirac_distribution() -> None:
    at = _drawn(40, 2.5)
    least = torch.minimum(at.log_out.min(), at.log_in.min())
    boundary = 4 * at.top - 2 * torch.log(40 / (math.pi * at.mu))
    torch.testing.assert_close(2 * (at.top - least), boundary)
    hub = S1Coordinates(at.theta, at.log_out + 9 * (torch.arange(40) == 3), at.log_in, at.beta, at.mu)
    assert float(2 * (hub.top - hub.log_out[3])) == pytest.approx(1)  # which has an angle
