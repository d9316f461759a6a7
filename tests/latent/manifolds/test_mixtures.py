"""Mixtures on the simplex: the Fisher-Rao geometry against that of categorical distributions and a sphere."""

import torch
from torch import Tensor

from lsgen.latent import Simplex
from lsgen.latent.manifolds.description import describe, manifold_from
from lsgen.likelihoods import Multinomial

MIXTURES = Simplex(4, mixtures=True)


def _codes(n: int = 20, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(n, 4, dtype=torch.float64, generator=generator), -1)


def test_distances_are_those_of_the_distributions() -> None:
    z, other = _codes(), _codes(seed=1)
    expected = Multinomial((4,)).distance(z.log(), other.log())
    torch.testing.assert_close(MIXTURES.distance(z, other), expected)


def test_the_exponential_map_undoes_the_logarithm_at_the_length_of_the_distance() -> None:
    z, other = _codes(), _codes(seed=1)
    v = MIXTURES.log(z, other)
    torch.testing.assert_close(MIXTURES.exp(z, v), other)
    torch.testing.assert_close(v.sum(-1), torch.zeros(20, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close((v * MIXTURES.conformal_factor(z)).norm(dim=-1), MIXTURES.distance(z, other))


def test_geodesics_have_equal_steps_and_reach_corners() -> None:
    z, corner = _codes(5), torch.eye(4, dtype=torch.float64)[[0, 1, 2, 3, 0]]
    for start, end in ((z, corner), (corner, z), (corner, corner.roll(1, 0))):
        path = MIXTURES.geodesic(start, end, 9)
        torch.testing.assert_close(path[:, 0], start)
        torch.testing.assert_close(path[:, -1], end)
        assert bool(MIXTURES.contains(path).all())
        steps = MIXTURES.distance(path[:, :-1], path[:, 1:])
        torch.testing.assert_close(steps, (MIXTURES.distance(start, end) / 8)[:, None].expand(-1, 8))


def test_flow_is_reflected_at_the_walls_keeps_its_speed_and_is_undone() -> None:
    z = _codes()
    v = 3 * MIXTURES.tangent(
        z, torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(2)) * z.sqrt()
    )
    there, velocity = MIXTURES.flow(z, v)
    assert bool(MIXTURES.contains(there).all())
    speeds = [(w * MIXTURES.conformal_factor(at)).norm(dim=-1) for at, w in ((z, v), (there, velocity))]
    torch.testing.assert_close(*speeds)
    torch.testing.assert_close(MIXTURES.flow(there, -velocity)[0], z)


def test_directions_point_at_corners_and_traversals_move_towards_them() -> None:
    z, axis = _codes(3), torch.eye(4, dtype=torch.float64)[2]
    u = MIXTURES.direction(z, axis.expand_as(z))
    torch.testing.assert_close((u * MIXTURES.conformal_factor(z)).norm(dim=-1), torch.ones(3, dtype=torch.float64))
    closer = MIXTURES.intervene(z, 2, torch.tensor(0.1, dtype=torch.float64))
    torch.testing.assert_close(MIXTURES.distance(closer, z), torch.full((3,), 0.1, dtype=torch.float64))
    assert bool((closer[:, 2] > z[:, 2]).all())
    moved = MIXTURES.traversal(z, torch.tensor([2]), torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(moved[:, 0, :, 2], torch.tensor([[0.0, 0.5, 1.0]]).double().expand(3, -1))
    torch.testing.assert_close(moved[:, 0, 1, 0] / moved[:, 0, 1, 1], z[:, 0] / z[:, 1])
    assert not MIXTURES.direction(axis[None], axis[None]).any()


def test_mixtures_are_continuous_and_classes_are_not() -> None:
    assert MIXTURES.continuous
    assert not MIXTURES.choices
    assert Simplex(4) != MIXTURES
    assert manifold_from(describe(MIXTURES)) == MIXTURES
    assert manifold_from(describe(Simplex(4))) == Simplex(4)
    z = torch.tensor([[2.0, -1.0, 2.0, 0.0], [0.0, -1.0, 0.0, 0.0]])
    assert MIXTURES.onto(z).tolist() == [[0.5, 0.0, 0.5, 0.0], [0.25] * 4]
    torch.testing.assert_close(MIXTURES.retraction(3 * _codes()), _codes())
    torch.testing.assert_close(MIXTURES.normal_coordinates(_codes()), torch.zeros(20, 1).double(), rtol=0, atol=1e-12)
