"""Acceleration, turn and curvature across a velocity against the Christoffel symbols and the whole Riemann tensor."""

import math

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, MetricField, christoffel, immersion, metric_field, reference, riemann
from lsgen.geometry.geodesics import jacobi_fields
from lsgen.geometry.geodesics.initial_value.jacobi import jacobi_operator
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, Gaussian

f64 = torch.float64
SURFACES = {name: getattr(reference, name)() for name in ("sphere", "torus", "hyperbolic", "swiss_roll")}


def decoder(d, likelihood, norm=nn.LayerNorm):
    net = nn.Sequential(nn.Linear(d, 16), nn.Tanh(), norm(16), nn.Linear(16, 12)).double()
    return LatentSpace(net.requires_grad_(False), likelihood, StandardNormal(d)).eval()


MAPS = {
    "bernoulli": lambda: immersion(decoder(4, Bernoulli((12,)))),
    "negative signs": lambda: immersion(decoder(4, Gaussian((6,)))),
    "a plane": lambda: immersion(decoder(4, Gaussian((6,)))).restrict(torch.ones(4), torch.randn(3, 4)),
    "field": lambda: metric_field(decoder(3, Bernoulli((12,)), nn.Identity)),
    "flat": lambda: Immersion(nn.Linear(3, 5).double().requires_grad_(False), 3),
    "constant metric": lambda: MetricField(lambda z: torch.eye(3, dtype=f64).expand(len(z), 3, 3), 3),
    **{name: lambda s=s: s.immersion for name, s in SURFACES.items()},
    **{f"{name}, metric": lambda s=s: MetricField(s.metric, 2) for name, s in SURFACES.items()},
}


@pytest.mark.parametrize("name", MAPS)
def test_both_routes_are_contractions_of_the_whole_tensors(name, monkeypatch):
    im = MAPS[name]()
    d = im.dim
    z, v = torch.randn(2, 3, d, dtype=f64) + (3 if "swiss" in name else 0)
    frame = torch.eye(d, dtype=f64) + 0.2 * torch.randn(3, d, d, dtype=f64)
    turn = torch.einsum("nkij,ni->nkj", christoffel(im, z), v)
    across = torch.einsum("nijkl,nia,nj,nkb,nl->nab", riemann(im, z), frame, v, frame, v)
    close = {"rtol": 1e-8, "atol": 1e-10 * (1 + across.abs().max().item())}
    for many in (1, 99) if isinstance(im, Immersion) else (1,):
        monkeypatch.setattr("lsgen.geometry.embedded.MANY", many)
        found = jacobi_operator(im, z, v, frame)
        torch.testing.assert_close(found.along, (turn @ v[..., None])[..., 0], **close)
        torch.testing.assert_close(found.turn, turn @ frame, **close)
        torch.testing.assert_close(found.across, across, **close)


def test_64_dimensions_hold_directions_and_no_pairs_of_them(largest):
    """On the unit sphere of dimension 64 fields are sines; d m numbers a direction, far below d^2 m and d^4."""
    d = 64
    im = reference.sphere(1.0, d).immersion
    z, v = 0.02 * torch.randn(1, d, dtype=f64), torch.randn(1, d, dtype=f64)
    v = 0.5 * v / v.norm()
    with largest() as seen:
        found = jacobi_fields(im, z, v, 4)
    assert seen.elements <= 6 * d * (d + 1)
    speed = torch.einsum("ni,nij,nj->n", v, reference.sphere(1.0, d).metric(z), v).sqrt().item()
    exact = (d - 1) * math.log(math.sin(speed) / speed)
    assert found.log_volume[0, -1].item() == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("many", [1, 99])
def test_it_works_where_gradients_are_off(many, monkeypatch):
    monkeypatch.setattr("lsgen.geometry.embedded.MANY", many)
    im = MAPS["bernoulli"]()
    with torch.inference_mode():
        z, v = torch.randn(2, 3, 4, dtype=f64)
        frame = torch.eye(4, dtype=f64).expand(3, 4, 4)
        off = jacobi_operator(im, z, v, frame)
    on = jacobi_operator(im, z.clone(), v.clone(), frame.clone())
    torch.testing.assert_close(off.across.clone(), on.across)


def test_a_frame_that_is_not_finite_spoils_its_own_code():
    im = SURFACES["torus"].immersion
    z, v = torch.randn(2, 3, 2, dtype=f64)
    frame = torch.eye(2, dtype=f64).repeat(3, 1, 1)
    frame[1] = torch.nan
    found = jacobi_operator(im, z, v, frame)
    assert found.across.isnan().flatten(1).any(-1).tolist() == [False, True, False]
