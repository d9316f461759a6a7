"""Amortised distances against the closed form on the sphere: shape, error, coverage, and what a file remembers."""

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, MetricField, metric, reference
from lsgen.models.amortised import AmortisedDistance, DistanceFit, fit_distance, sample_pairs

f64 = torch.float64
SPHERE = reference.sphere()
METRICS = {"immersion": SPHERE.immersion, "field": MetricField(SPHERE.metric, 2)}


def codes(count=300):
    return 0.8 * torch.randn(count, 2, dtype=f64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def fitted():
    options = DistanceFit(pairs=100, points=9, steps=250, level=0.8)
    return {kind: fit_distance(im, codes(), options, torch.Generator().manual_seed(1)) for kind, im in METRICS.items()}


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.slow
def test_it_is_close_to_the_closed_form_at_pairs_it_has_not_seen(fitted, kind):
    made, z = fitted[kind], codes()
    a, b = z[sample_pairs(z, 1000, torch.Generator().manual_seed(2))].unbind(1)
    exact = SPHERE.distance(a, b)
    apart = (made(a, b) / exact - 1).abs()
    assert apart.median() < 0.03
    assert made.error.median == pytest.approx(apart.median().item(), abs=0.02)
    lower, upper = made.interval(a, b)
    assert (lower <= upper).all()
    assert ((lower <= exact * (1 + 1e-6)) & (exact <= upper * (1 + 1e-6))).double().mean() > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("kind", METRICS)
def test_it_is_symmetric_zero_on_the_diagonal_and_locally_the_metric_even_untrained(fitted, kind):
    z = codes(20)
    fresh = AmortisedDistance(METRICS[kind], z[:4], torch.stack([z.mean(0), z.std(0)]), 16)
    for made in (fresh, fitted[kind]):
        d = made.pairwise(z, z, 64)
        torch.testing.assert_close(d, d.mT, rtol=1e-12, atol=0)
        assert (d.diagonal() == 0).all()
        torch.testing.assert_close(d[3], made(z[3].expand_as(z), z))
        step = 1e-4 * torch.ones(20, 2, dtype=f64)
        local = torch.einsum("ni,nij,nj->n", step, metric(made.im, z + step / 2), step).sqrt()
        torch.testing.assert_close(made(z, z + step), local, rtol=1e-5, atol=0)


def test_a_chord_is_never_above_the_distance(fitted):
    z = codes(50)
    x = SPHERE.immersion(z)
    chord = (x[:, None] - x).norm(dim=-1)
    made = fitted["immersion"]
    assert (made.pairwise(z, z) >= chord * (1 - 1e-9)).all()
    pairs = torch.combinations(torch.arange(50))
    lower, _ = made.interval(*z[pairs].unbind(1))
    assert (lower >= chord[pairs[:, 0], pairs[:, 1]] * (1 - 1e-9)).all()


def test_intervals_cover_at_their_level_over_calibrations_even_of_an_untrained_network():
    """The mean coverage over draws of n = 40 pairs is k / (n + 1), k = ceil(0.8 41) = 33, for exchangeable pairs."""
    torch.manual_seed(0)
    z = codes()
    made = AmortisedDistance(METRICS["field"], z[:4], torch.stack([z.mean(0), z.std(0)]), 16)
    a, b = z[sample_pairs(z, 4000, torch.Generator().manual_seed(3))].unbind(1)
    exact, made.error = SPHERE.distance(a, b), False
    covered = []
    for draw in torch.arange(4000).split(80)[:50]:
        first, rest = draw[:40], draw[40:]
        made.calibrate(a[first], b[first], exact[first], 0.8)
        lower, upper = made.interval(a[rest], b[rest])
        covered.append(((lower <= exact[rest]) & (exact[rest] <= upper)).double().mean())
    covered = torch.stack(covered)
    error = covered.std() / 50**0.5
    assert (covered.mean() - 33 / 41).abs() < 4 * error
    assert error < 0.02


def test_a_file_gives_the_same_distances_and_refuses_another_metric(fitted, tmp_path):
    made, z = fitted["immersion"], codes(30)
    file = tmp_path / "distance.pt"
    made.save(file)
    again = AmortisedDistance.load(file, SPHERE.immersion)
    torch.testing.assert_close(again.pairwise(z, z), made.pairwise(z, z), rtol=0, atol=0)
    assert again.error == made.error
    torch.testing.assert_close(again.interval(z, z.flip(0)), made.interval(z, z.flip(0)), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"got one that differs from it by 0.002 at one of 16 codes: fit the dist"):
        AmortisedDistance.load(file, reference.sphere(1.001).immersion)
    with pytest.raises(ValueError, match="expected the metric of dimension 2 that the distance was fitted to, got 3"):
        AmortisedDistance.load(file, reference.sphere(n=3).immersion)


def test_it_is_differentiable_in_the_codes_and_finite_on_the_diagonal(fitted):
    z = codes(10).requires_grad_()
    for made in fitted.values():
        (slope,) = torch.autograd.grad(made.pairwise(z, z).sum(), z)
        assert slope.isfinite().all()
        assert slope.abs().sum() > 0


def test_pairs_are_of_all_scales_and_never_a_code_with_itself():
    z = codes(200)
    pairs = sample_pairs(z, 2000, torch.Generator().manual_seed(0))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    apart = torch.cdist(z, z)
    rank = (apart[pairs[:, 0]] < apart[pairs[:, 0], pairs[:, 1], None]).sum(-1)
    assert 0.05 < (rank <= 2).double().mean() < 0.2
    assert 0.2 < (rank > 100).double().mean() < 0.5


def test_refusals():
    im, z = Immersion(nn.Identity(), 2), codes(30)
    with pytest.raises(ValueError, match="expected at least 45 converged geodesics for intervals of level"):
        fit_distance(im, z, DistanceFit(pairs=20, points=3, steps=1))
    with pytest.raises(ValueError, match="expected a level between 0 and 1, got 1"):
        DistanceFit(level=1)
    with pytest.raises(ValueError, match="expected at least 2 codes, got 1"):
        sample_pairs(z[:1], 3)
    made = AmortisedDistance(im, z[:4], torch.stack([z.mean(0), z.std(0)]), 8)
    with pytest.raises(RuntimeError, match="expected a fitted distance, got one that has no intervals"):
        made.interval(z, z)
    with pytest.raises(ValueError, match=r"expected codes of one shape \(B, 2\) and dtype torch.float64, got"):
        made(z.float(), z.float())
