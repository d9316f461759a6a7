"""Curves of least expected energy, against geodesics of what is expected."""

import pytest
import torch

from lsgen.geometry import Immersion, geodesic, reference
from lsgen.geometry.geodesics import curve_energy, stochastic_geodesic

f64 = torch.float64


def noisy(im, noise):
    """Energy of a map with one random linear part a curve: on average that of (f, noise z)."""

    def energy(curves):
        n = curves.shape[1] - 1
        f = im.fn(curves.flatten(0, 1)).unflatten(0, curves.shape[:2])
        w = noise * torch.randn(len(curves), 2, dtype=curves.dtype)
        tilt = torch.einsum("bnd,bd->bn", curves, w)
        return n * (f.diff(dim=1).square().sum((1, 2)) + tilt.diff(dim=1).square().sum(1))

    return energy


def test_the_curve_is_the_geodesic_of_the_expected_metric():
    sphere, noise = reference.sphere().immersion, 0.3
    a, b = torch.tensor([[-0.5, 0.4], [0.6, 0.1]], dtype=f64), torch.tensor([[0.7, 0.5], [-0.2, 0.9]], dtype=f64)
    expected = Immersion(lambda z: torch.cat([sphere.fn(z), noise * z], -1), 2)
    exact = geodesic(expected, a, b)
    found = stochastic_geodesic(noisy(sphere, noise), a, b, steps=600, lr=0.02, draws=400)
    torch.testing.assert_close(found.points[:, [0, -1]], torch.stack([a, b], 1))
    assert (found.points - exact.points).norm(dim=-1).max() < 0.02
    assert (curve_energy(expected, found.points) / exact.energy - 1).max() < 1e-3
    assert ((found.energy - exact.energy).abs() < 4 * found.error + 1e-3).all()
    assert (found.energy < found.straight).all()
    assert (found.drift < 0.02).all()


def test_members_drawn_at_every_point_cost_the_square_of_the_number_of_points():
    """Two constant decoders a distance 1 apart: n sum |f_i - f_j|^2 is n^2 / 2 on average, of a curve of length 0."""

    def energy(curves):
        member = torch.randint(0, 2, curves.shape[:2]).to(curves)
        return (curves.shape[1] - 1) * member.diff(dim=1).square().sum(1) + 0 * curves.sum((1, 2))

    a, b = torch.zeros(1, 2, dtype=f64), torch.ones(1, 2, dtype=f64)
    for points in (9, 33):
        found = stochastic_geodesic(energy, a, b, points, modes=2, steps=4, draws=2000)
        assert (found.energy - (points - 1) ** 2 / 2).abs() < 4 * found.error


def test_a_start_is_kept_where_it_is_the_minimum():
    sphere = reference.sphere().immersion
    a, b = torch.tensor([[-0.5, 0.4]], dtype=f64), torch.tensor([[0.7, 0.5]], dtype=f64)
    exact = geodesic(sphere, a, b)
    found = stochastic_geodesic(noisy(sphere, 0.0), a, b, modes=16, steps=8, lr=1e-5, draws=2, initial=exact.points)
    assert (found.points - exact.points).norm(dim=-1).max() < 1e-3


z = torch.zeros(3, 2)
REFUSALS = {
    "shapes": (
        lambda: stochastic_geodesic(len, z, z[0]),
        ValueError,
        r"of one shape and dtype, got \(3, 2\) and \(2,\)",
    ),
    "integers": (lambda: stochastic_geodesic(len, z.long(), z), TypeError, "expected codes as floating-point tensors"),
    "modes": (
        lambda: stochastic_geodesic(len, z, z, 5, modes=4),
        ValueError,
        "expected at least 3 points and 1 to points - 2 modes, got 5 and 4",
    ),
    "steps": (
        lambda: stochastic_geodesic(len, z, z, steps=1),
        ValueError,
        "expected at least 4 steps, 2 draws and a positive lr, got 1, 64 and 0.03",
    ),
    "energy": (
        lambda: stochastic_geodesic(lambda c: c.sum(), z, z + 1),
        ValueError,
        r"expected finite energies \(3,\), one a curve, got \(\)",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, kind, sentence = REFUSALS[name]
    with pytest.raises(kind, match=sentence):
        call()
