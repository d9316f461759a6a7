"""Ranks are judged by the precision in which a map computes, and by whether its metric is made of derivatives."""

import pytest
import torch

from lsgen.geometry import (
    HessianMetric,
    Immersion,
    MetricField,
    christoffel,
    exp_map,
    log_volume,
    metric,
    scalar_curvature,
    spectrum,
)
from lsgen.geometry.jets import coarsest_dtype
from lsgen.geometry.large import top_spectrum
from lsgen.geometry.metric_tensor import orthonormal_frames

f32, f64 = torch.float32, torch.float64
W = torch.tensor([[1.0, 0.3, -0.7, 0.2], [0.1, -1.1, 0.5, 0.9], [0.4, 0.2, 0.8, -0.3]], dtype=f64)


def flat(z):
    """A map of three coordinates, of which the values depend on two."""
    a = torch.stack([z[:, 0] + z[:, 2], z[:, 1] - z[:, 2]], -1)
    return torch.tanh(a @ W[:2].to(z))


def narrow(fn):
    return lambda z: fn(z.float()).to(z.dtype)


def gram(fn):
    def g(z):
        j = torch.vmap(torch.func.jacrev(lambda x: fn(x[None])[0]))(z)
        return j.mT @ j

    return g


ROUTES = {
    "immersion": lambda fn: Immersion(fn, 3),
    "field": lambda fn: MetricField(gram(fn), 3),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("inside", ["same", "float32"])
@pytest.mark.parametrize("dtype", [f32, f64])
def test_collapsed_directions_are_found_in_every_precision(route, inside, dtype):
    """Rank 2 of 3, and no curvature, frame or geodesic, whatever rounding makes of the smallest eigenvalue."""
    im = ROUTES[route](flat if inside == "same" else narrow(flat))
    if route == "field":
        im = MetricField(im.fn, 3, definite=True)  # rounding may make the smallest eigenvalue negative
    z = torch.randn(8, 3, dtype=dtype)
    assert (spectrum(im, z).rank == 2).all()
    assert log_volume(im, z).isneginf().all()
    assert orthonormal_frames(im, z).isnan().all()
    assert christoffel(im, z).isnan().all()
    assert scalar_curvature(im, z).isnan().all()
    assert not exp_map(im, z, torch.ones_like(z)).converged.any()


@pytest.mark.parametrize("ratio", [1e-2, 1e-3, 1e-6])
@pytest.mark.parametrize("inside", ["same", "float32"])
def test_ratios_that_a_precision_resolves_are_ranks(ratio, inside):
    """Eigenvalues 1 and ratio^2: derivatives in float32 tell a ratio of 20 eps, given matrices one of its root."""
    scale, z = torch.tensor([1.0, ratio], dtype=f64), torch.randn(6, 2, dtype=f64)
    cast = narrow if inside == "float32" else lambda fn: fn
    stretched = Immersion(cast(lambda z: z * scale.to(z) + 0.01 * (z * scale.to(z)).sin()), 2)
    given = MetricField(cast(lambda z: torch.diag_embed(scale.to(z) ** 2 * (1 + 0.1 * z.sin()))), 2)
    assert (spectrum(stretched, z).rank == 2).all() == (inside == "same" or ratio > 1e-5)
    assert (spectrum(given, z).rank == 2).all() == (inside == "same" or ratio > 5e-3)


def test_hessians_are_known_to_the_precision_of_their_entries():
    """The potential (z_0 + z_1)^2 / 2 + cosh z_2 has a Hessian of rank 2."""
    potential = HessianMetric(lambda z: (z[:, 0] + z[:, 1]).square() / 2 * 1.1 + z[:, 2].cosh(), 3, definite=True)
    for dtype in (f32, f64):
        assert (spectrum(potential, torch.randn(9, 3, dtype=dtype)).rank == 2).all()


def test_the_coarsest_dtype_of_a_map():
    z = torch.randn(4, 3, dtype=f64)
    assert coarsest_dtype(flat, z) == f64
    assert coarsest_dtype(flat, z.float()) == f32
    assert coarsest_dtype(narrow(flat), z) == f32
    assert coarsest_dtype(lambda z: flat(z.bfloat16().float()), z.float()) == torch.bfloat16
    assert coarsest_dtype(lambda z: flat(z) if z.sum() > 1e9 else flat(z.float()), z) == f32


def test_asymmetric_matrices_are_refused():
    """A rounding asymmetry is taken away, in the precision that the map computes in; a larger one is told."""
    base = torch.eye(2, dtype=f64)
    tilt = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=f64)
    z = torch.zeros(3, 2, dtype=f64)

    def field(size, cast=lambda fn: fn):
        return MetricField(
            cast(lambda z: (base + size * tilt).to(z).expand(len(z), 2, 2) * z.sum(-1).exp()[:, None, None]), 2
        )

    assert metric(field(1e-12), z).equal(metric(field(1e-12), z).mT)
    assert metric(field(1e-6, narrow), z).isfinite().all()
    for size in (1e-6, 0.3):
        for quantity in (metric, christoffel, lambda im, z: im(z), lambda im, z: exp_map(im, z, z + 1)):
            with pytest.raises(ValueError, match="expected a metric of symmetric matrices, got entries g_ij and g_ji"):
                quantity(field(size), z)


def test_metrics_that_are_not_positive_definite_are_refused_where_curves_start():
    """By the exponential map, and by the largest eigenvalues, which would be 0 of a negative definite metric."""
    z = torch.zeros(3, 2, dtype=f64)
    for signs in ([-1.0, 1.0], [-1.0, -1.0]):
        made = Immersion(lambda z: z + 0.1 * z.sin(), 2, signature=signs)
        given = MetricField(
            lambda z, s=signs: torch.diag(torch.tensor(s, dtype=f64)) * z.cos().sum(-1)[:, None, None], 2
        )
        for im in (made, given):
            for method in ("adaptive", "symplectic"):
                with pytest.raises(ValueError, match=f"expected {im.requirement}, got a smallest eigenvalue of -"):
                    exp_map(im, z, z + 1, method=method)
            with pytest.raises(ValueError, match=f"expected {im.requirement}, got one with an eigenvalue of -"):
                top_spectrum(im, z, 1)
