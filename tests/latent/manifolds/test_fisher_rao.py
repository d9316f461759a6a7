"""The Fisher-Rao geometry of probability vectors, by its definition and by integrals along curves."""

import math

import pytest
import torch
from torch import Tensor

from lsgen.geometry import MetricField, christoffel
from lsgen.latent import Simplex
from lsgen.latent.manifolds import fisher_rao

K = 4
SPACE = Simplex(K, mixtures=True)


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.distributions.Dirichlet(torch.ones(K, dtype=torch.float64)).sample((2, 30)).unbind(0)


def _tangent(p: Tensor) -> Tensor:
    v = torch.randn_like(p)
    return v - p * v.sum(-1, keepdim=True)


def _length(p: Tensor, v: Tensor) -> Tensor:
    return (v.square() / p).sum(-1).sqrt()


def test_distance_is_bhattacharyyas_angle_and_the_length_of_the_geodesic(pair: tuple[Tensor, Tensor]) -> None:
    p, q = pair
    torch.testing.assert_close(SPACE.distance(p, q), 2 * (p * q).sqrt().sum(-1).acos(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(_length(p, SPACE.log(p, q)), SPACE.distance(p, q))
    curve = SPACE.geodesic(p, q, 401)
    middle, steps = (curve[:, 1:] + curve[:, :-1]) / 2, curve.diff(dim=1)
    torch.testing.assert_close(_length(middle, steps).sum(-1), SPACE.distance(p, q), rtol=1e-4, atol=1e-4)
    corners = torch.eye(K, dtype=torch.float64)
    assert SPACE.distance(corners[0], corners[1]).item() == pytest.approx(math.pi)


def test_geodesics_solve_the_equation_of_the_metric(pair: tuple[Tensor, Tensor]) -> None:
    """In the first K - 1 coordinates, g = diag(1/p) + 1/p_K, and c'' = -Gamma(c', c')."""

    def metric(x: Tensor) -> Tensor:
        return torch.diag_embed(1 / x) + 1 / (1 - x.sum(-1))[:, None, None]

    p, q = pair
    h = 1e-4
    t = torch.tensor([0.4 - h, 0.4, 0.4 + h], dtype=torch.float64)
    curve = SPACE.exp(p[:, None].expand(-1, 3, -1), t[:, None] * SPACE.log(p, q)[:, None])[..., : K - 1]
    velocity, acceleration = (curve[:, 2] - curve[:, 0]) / (2 * h), (curve[:, 2] - 2 * curve[:, 1] + curve[:, 0]) / h**2
    gamma = christoffel(MetricField(metric, K - 1), curve[:, 1])
    expected = -torch.einsum("nkij,ni,nj->nk", gamma, velocity, velocity)
    torch.testing.assert_close(acceleration, expected, rtol=1e-4, atol=1e-4)


def test_exp_and_log_are_inverse_and_flows_run_back(pair: tuple[Tensor, Tensor]) -> None:
    p, q = pair
    torch.testing.assert_close(SPACE.exp(p, SPACE.log(p, q)), q)
    torch.testing.assert_close(SPACE.geodesic(p, q, 3)[:, 1], SPACE.exp(p, SPACE.log(p, q) / 2))
    v = _tangent(p) / 10
    there, velocity = SPACE.flow(p, v)
    torch.testing.assert_close(there, SPACE.exp(p, v))
    torch.testing.assert_close(_length(there, velocity), _length(p, v))
    back, again = SPACE.flow(there, -velocity)
    torch.testing.assert_close((back, again), (p, -v))


def test_transport_keeps_angles_and_takes_the_velocity_of_a_geodesic_along(pair: tuple[Tensor, Tensor]) -> None:
    p, q = pair
    v, w = _tangent(p), _tangent(p)
    there = [fisher_rao.transport(p, q, x) for x in (v, w)]
    torch.testing.assert_close((there[0] * there[1] / q).sum(-1), (v * w / p).sum(-1))
    torch.testing.assert_close(sum(x.sum(-1).abs().sum() for x in there), torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(fisher_rao.transport(p, q, SPACE.log(p, q)), -SPACE.log(q, p))


def test_a_traversal_stays_on_the_simplex_at_corners_and_of_one_class() -> None:
    values = torch.tensor([-1.0, 0.0, 0.3, 1.0])
    for classes in (1, 2, K):
        moved = Simplex(classes, mixtures=True).traversal(torch.eye(classes), torch.arange(classes), values)
        assert bool(Simplex(classes, mixtures=True).contains(moved).all())
