"""The Fisher-Rao geometry of probability vectors, by its definition and by integrals along curves."""

import math

import pytest
import torch
from torch import Tensor

from lsgen.geometry import MetricField, christoffel
from lsgen.latent import Codes, ProbabilitySimplex, Simplex
from lsgen.latent.distances import FisherRaoDistance, distance_on
from lsgen.latent.manifolds.description import describe, lies_on, manifold_from
from lsgen.latent.manifolds.supports import bounded

K = 4
SPACE = ProbabilitySimplex(K)


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
    there = [SPACE.transport(p, q, x) for x in (v, w)]
    torch.testing.assert_close((there[0] * there[1] / q).sum(-1), (v * w / p).sum(-1))
    torch.testing.assert_close(sum(x.sum(-1).abs().sum() for x in there), torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(SPACE.transport(p, q, SPACE.log(p, q)), -SPACE.log(q, p))


def test_paths_start_at_walls_and_traversals_stop_at_classes() -> None:
    corner, wall = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0.0, 0.25, 0.25, 0.5])
    path = SPACE.geodesic(corner, wall, 5)
    torch.testing.assert_close(path[[0, -1]], torch.stack([corner, wall]), atol=1e-6, rtol=0)
    steps = SPACE.distance(path[1:], path[:-1])
    torch.testing.assert_close(steps, steps[:1].expand(4), rtol=1e-4, atol=1e-5)
    values = torch.tensor([-9.0, 0.0, 0.5, 9.0])
    anchor = torch.tensor([0.1, 0.2, 0.3, 0.4])
    moved = SPACE.traversal(anchor, torch.tensor([2, 0]), values)
    assert bool(lies_on(SPACE, moved.flatten(0, 1)).all())
    torch.testing.assert_close(moved[:, 1], anchor.expand(2, K))
    torch.testing.assert_close(moved[0, 3], torch.eye(K)[2], atol=1e-6, rtol=0)
    torch.testing.assert_close(moved[0, 0], torch.tensor([0.1, 0.2, 0, 0.4]) / 0.7, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(SPACE.distance(moved[:, 2], anchor.expand(2, K)), torch.full((2,), 0.5))
    torch.testing.assert_close(SPACE.intervene(anchor, 2, torch.tensor(0.5)), moved[0, 2])


def test_points_come_onto_it_by_the_shortest_way() -> None:
    torch.manual_seed(1)
    z = torch.randn(50, K, dtype=torch.float64)
    nearest = SPACE.onto(z)
    assert bool(SPACE.contains(nearest).all())
    others = torch.distributions.Dirichlet(torch.ones(K, dtype=torch.float64)).sample((500,))
    angle = torch.einsum("nk,nmk->nm", z - nearest, others - nearest[:, None])
    assert angle.max() <= 1e-12
    torch.testing.assert_close(SPACE.onto(others), others)


def test_it_is_a_simplex_whose_codes_may_be_inside(pair: tuple[Tensor, Tensor]) -> None:
    p, _ = pair
    assert SPACE.continuous
    assert not bounded(SPACE)
    assert Simplex(K) != SPACE
    assert manifold_from(describe(SPACE)) == SPACE
    assert isinstance(distance_on(SPACE), FisherRaoDistance)
    assert Codes(p, None, SPACE).manifold == SPACE
    torch.testing.assert_close(SPACE.shift(p, torch.zeros_like(p)), p)
    v = torch.randn_like(p) / 20
    u = v - p.sqrt() * (v * p.sqrt()).sum(-1, keepdim=True)
    torch.testing.assert_close(SPACE.distance(p, SPACE.shift(p, v)), u.norm(dim=-1))
    assert SPACE.inside(torch.eye(K), 0.1).min().item() == pytest.approx(0.1)
    torch.testing.assert_close(
        SPACE.direction(p, torch.eye(K, dtype=p.dtype)[1]).square().div(p).sum(-1), torch.ones_like(p[:, 0])
    )
