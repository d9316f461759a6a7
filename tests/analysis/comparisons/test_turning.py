"""Spaces that were turned are turned back, on every manifold, and scipy finds the same turn."""

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from lsgen.analysis.comparisons import turn_onto
from lsgen.latent import Codes, Euclidean, Lorentz, Manifold, PoincareBall, Simplex, Sphere

NAMES = [f"place {i}" for i in range(40)]


def _raw(d: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(40, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("manifold", [Euclidean(), Sphere(), PoincareBall(0.7)])
def test_what_was_turned_is_turned_back(manifold: Manifold) -> None:
    codes = Codes(manifold.parametrised(_raw()), NAMES, manifold, {"region": np.arange(40) % 7})
    turn = ortho_group.rvs(3, random_state=1)
    other = Codes(codes.z @ turn, NAMES, manifold).select(np.random.default_rng(0).permutation(40)[:30])
    found = turn_onto(codes, other)
    np.testing.assert_allclose(found.turn, turn, atol=1e-10)
    np.testing.assert_allclose(found.moved, 0, atol=1e-6)
    assert set(found.ids) == set(other.ids)
    assert found.codes.columns.keys() == {"region"}
    assert found.left.value == pytest.approx(0, abs=1e-12)
    assert found.left.baseline is not None
    assert found.left.baseline > 0.3


def test_it_is_the_turn_of_scipy_and_what_moved_is_named() -> None:
    x = _raw()
    y = x.flip(1) + 0.1 * _raw(seed=1)
    y[7] = y[7] + 9
    found = turn_onto(Codes(x, NAMES), Codes(y, NAMES))
    turn, total = orthogonal_procrustes(x.numpy(), y.numpy())
    np.testing.assert_allclose(found.turn, turn, atol=1e-10)
    squares = float(x.square().sum() + y.square().sum())
    assert found.left.value == pytest.approx((squares - 2 * total) / squares)
    assert found.most_moved(1).tolist() == ["place 7"]
    np.testing.assert_allclose(found.moved, (x @ torch.from_numpy(turn) - y).norm(dim=1), atol=1e-12)


def test_a_hyperboloid_is_turned_as_the_ball_is() -> None:
    ball, lorentz = PoincareBall(2.0), Lorentz(2.0)
    a, b = (ball.parametrised(_raw(seed=seed)) for seed in (3, 4))
    flat = turn_onto(Codes(a, NAMES, ball), Codes(b, NAMES, ball))
    high = turn_onto(Codes(lorentz.from_ball(a), NAMES, lorentz), Codes(lorentz.from_ball(b), NAMES, lorentz))
    np.testing.assert_allclose(high.turn, flat.turn, atol=1e-8)
    np.testing.assert_allclose(high.moved, flat.moved, rtol=1e-7)
    torch.testing.assert_close(lorentz.to_ball(high.codes.tensor()), flat.codes.tensor())
    assert flat.left.interval is not None
    assert flat.left.interval[0] < flat.left.baseline < flat.left.interval[1]  # type: ignore[operator]


def test_what_cannot_be_turned_is_refused() -> None:
    codes = Codes(_raw(), NAMES)
    with pytest.raises(ValueError, match="expected two items in common and a permutation or more, got 0 and 99"):
        turn_onto(codes, Codes(_raw(), np.arange(40)))
    with pytest.raises(ValueError, match="not all at the origin"):
        turn_onto(Codes(torch.zeros(3, 2)), Codes(torch.zeros(3, 2)))
    with pytest.raises(ValueError, match="expected codes in flat or hyperbolic space or on a sphere"):
        turn_onto(*(Codes(torch.full((4, 3), 1 / 3), manifold=Simplex(3)) for _ in range(2)))
