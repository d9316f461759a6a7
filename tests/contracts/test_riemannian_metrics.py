"""One metric is one metric, whichever type it is given by: types agree, are frozen, and nobody asks for one of them.

Every type of metric in lsgen.geometry gives the Fisher metric of a categorical family of three outcomes, in MEMBERS.
"""

import inspect
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import members
import pytest
import torch

import lsgen.geometry
from lsgen.geometry import (
    HessianMetric,
    Immersion,
    MetricField,
    RiemannianMetric,
    christoffel,
    curve_length,
    distance,
    exp_map,
    frechet_mean,
    geodesic,
    log_map,
    log_volume,
    metric,
    parallel_transport,
    ricci,
    riemann,
    scalar_curvature,
    sectional_curvature,
    spectrum,
)
from lsgen.geometry.geodesics.initial_value.jacobi import jacobi_fields
from lsgen.geometry.large import MetricOperator, large_geodesic, log_volume_estimate, top_spectrum

f64 = torch.float64


def potential(theta):
    return torch.cat([torch.zeros_like(theta[:, :1]), theta], -1).logsumexp(-1)


def roots(theta):
    return 2 * torch.cat([torch.zeros_like(theta[:, :1]), theta], -1).softmax(-1).sqrt()


def fisher(theta):
    p = torch.cat([torch.zeros_like(theta[:, :1]), theta], -1).softmax(-1)[:, 1:]
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


MEMBERS = {
    "immersion": Immersion(roots, 2),
    "field": MetricField(fisher, 2),
    "hessian": HessianMetric(potential, 2),
}
QUANTITIES = {
    "metric": lambda im, z, u, v: metric(im, z),
    "spectrum": lambda im, z, u, v: spectrum(im, z).eigenvalues,
    "log_volume": lambda im, z, u, v: log_volume(im, z),
    "christoffel": lambda im, z, u, v: christoffel(im, z),
    "riemann": lambda im, z, u, v: riemann(im, z),
    "ricci": lambda im, z, u, v: ricci(im, z),
    "scalar_curvature": lambda im, z, u, v: scalar_curvature(im, z),
    "sectional_curvature": lambda im, z, u, v: sectional_curvature(im, z, u, v),
    "geodesic": lambda im, z, u, v: geodesic(im, z, z + u, tol=1e-7).length,
    "distance": lambda im, z, u, v: distance(im, z, z + 1e-9 * u) * 1e9,
    "exp_map": lambda im, z, u, v: exp_map(im, z, u).point,
    "symplectic": lambda im, z, u, v: exp_map(im, z, u, method="symplectic").velocity,
    "log_map": lambda im, z, u, v: log_map(im, z, z + u, 65, tol=1e-8),
    "curve_length": lambda im, z, u, v: curve_length(im, z[:, None] + torch.linspace(0, 1, 65)[:, None] * u[:, None]),
    "transport": lambda im, z, u, v: parallel_transport(im, torch.stack([z, z + u / 4, z + v / 4], 1), v),
    "jacobi_fields": lambda im, z, u, v: jacobi_fields(im, z, u).log_volume,
    "frechet_mean": lambda im, z, u, v: frechet_mean(im, z, tol=1e-7).mean,
    "product": lambda im, z, u, v: MetricOperator(im, z)(v),
    "large_geodesic": lambda im, z, u, v: large_geodesic(im, z, z + u, 65).length,
    "log_volume_estimate": lambda im, z, u, v: (
        log_volume_estimate(im, z, probes=4, generator=torch.Generator().manual_seed(0)).value
    ),
}


def test_every_type_of_metric_is_a_member():
    types = members.concrete(RiemannianMetric, "lsgen.geometry")
    assert {type(im) for im in MEMBERS.values()} == set(types), "give the categorical family by each of these types"


@pytest.mark.parametrize("name", QUANTITIES)
def test_every_quantity_is_that_of_the_metric_and_not_of_the_member(name):
    z, u, v = torch.randn(3, 4, 2, dtype=f64).unbind(0)
    z, u = z / 2, u / 2
    found = {kind: QUANTITIES[name](im, z, u, v) for kind, im in MEMBERS.items()}
    for kind in MEMBERS.keys() - {"immersion"}:
        assert found[kind].isfinite().all()
        torch.testing.assert_close(found[kind], found["immersion"], rtol=1e-4, atol=1e-5, msg=kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MEMBERS)
def test_no_codes_have_no_quantities(kind):
    z, im = torch.zeros(0, 2, dtype=f64), MEMBERS[kind]
    assert im(z).shape[0] == 0
    for name in QUANTITIES.keys() - {"frechet_mean"}:
        assert QUANTITIES[name](im, z, z, z).shape[0] == 0, name
    assert top_spectrum(im, z, 1).eigenvalues.shape == (0, 1)


@pytest.mark.parametrize("kind", MEMBERS)
def test_members_are_frozen_and_final(kind):
    im = MEMBERS[kind]
    assert isinstance(im, RiemannianMetric)
    assert type(im).__final__
    for name in ("dim", "fn", "definite", "local"):
        with pytest.raises(FrozenInstanceError):
            setattr(im, name, 3)
    with pytest.raises(TypeError, match="abstract"):
        RiemannianMetric()


def test_nobody_asks_which_member_a_metric_is():
    room = Path(inspect.getfile(lsgen.geometry)).parent
    own = {"riemannian.py", "immersion.py", "metric_field.py", "hessian_metric.py"}
    asked = re.compile(r"isinstance\([^)]*\b(Immersion|MetricField|HessianMetric)\b|Immersion \| MetricField")
    assert asked.search("if isinstance(im, Immersion):")
    files = [p for p in room.parent.rglob("*.py") if p.name not in own]
    assert len(files) > 100
    assert not [p for p in files if asked.search(p.read_text())]
