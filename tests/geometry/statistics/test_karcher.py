"""The last rounds of Karcher's iteration: geodesics that starts of their own would make shorter."""

import math

import torch

from lsgen.geometry import Immersion, geodesic, reference
from lsgen.geometry.statistics import karcher

f64 = torch.float64
HILL = Immersion(lambda z: torch.cat([z, 3 * torch.exp(-2 * (z * z).sum(-1, keepdim=True))], -1), 2)


def state_with(im, mean, codes, curves):
    sets = karcher._Sets(codes[None], torch.full((1, len(codes)), 1 / len(codes), dtype=f64))
    options = {"points": curves.shape[1], "tol": 1e-5}
    return karcher._measured(im, sets, mean[None], curves[None], options), sets, options


def shorter(im, state, sets, options):
    return karcher._with_shorter(im, sets, state, {**options, "tol": 2e-2, "discrete": True}, options)


def test_a_geodesic_the_long_way_round_a_hill_is_replaced_and_the_others_are_kept():
    mean, codes = torch.tensor([-2.0, -0.2], dtype=f64), torch.tensor([[2.0, -0.2], [-2.0, -1.0]], dtype=f64)
    angle, t = torch.linspace(0, math.pi, 17, dtype=f64), torch.linspace(0, 1, 17, dtype=f64)[:, None]
    around = torch.stack([-2 * angle.cos(), 1.5 * angle.sin() - 0.2], -1)
    state, *rest = state_with(HILL, mean, codes, torch.stack([around, torch.lerp(mean, codes[1], t)]))
    found = shorter(HILL, state, *rest)
    direct = geodesic(HILL, mean, codes[0], 17, tol=1e-5).length
    assert state.square[0, 0].sqrt() > direct + 0.1
    torch.testing.assert_close(found.square[0, 0].sqrt(), direct)
    torch.testing.assert_close(found.square[0, 1], state.square[0, 1])
    torch.testing.assert_close(found.force, found.v.mean(1))
    assert shorter(HILL, found, *rest) is None


def test_where_no_discrete_geodesic_is_shorter_none_is_solved_again(monkeypatch):
    mean, codes = torch.zeros(2, dtype=f64), 0.5 * torch.randn(4, 2, dtype=f64)
    t = torch.linspace(0, 1, 9, dtype=f64)[:, None]
    state, *rest = state_with(reference.sphere().immersion, mean, codes, torch.lerp(mean, codes[:, None], t))
    calls, solve = [], karcher.logarithms
    monkeypatch.setattr(karcher, "logarithms", lambda *args, **given: calls.append(given) or solve(*args, **given))
    assert shorter(reference.sphere().immersion, state, *rest) is None
    assert len(calls) == 2
    assert all(given["discrete"] for given in calls)
