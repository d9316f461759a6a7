"""Principal geodesics against principal components where space is flat, and against great circles on the sphere."""

import pytest
import torch

from lsgen.geometry import Immersion, exp_map, metric, reference
from lsgen.geometry.statistics import frechet_mean, principal_geodesics

f64 = torch.float64


def test_in_flat_space_they_are_the_principal_components_of_the_image():
    matrix = torch.randn(3, 5, dtype=f64)
    im = Immersion(lambda z: z @ matrix, 3)
    codes = torch.randn(12, 3, dtype=f64) * torch.tensor([3.0, 1.0, 0.3], dtype=f64)
    found = principal_geodesics(im, codes, 2, points=3, tol=1e-8)
    image = codes @ matrix
    centred = image - image.mean(0)
    _, singular, axes = torch.linalg.svd(centred, full_matrices=False)
    assert found.converged
    torch.testing.assert_close(found.variances, singular[:2] ** 2 / 12)
    torch.testing.assert_close(found.explained, (singular**2 / (singular**2).sum())[:2])
    aligned = ((found.directions @ matrix) * axes[:2]).sum(-1).abs()
    torch.testing.assert_close(aligned, torch.ones(2, dtype=f64))
    torch.testing.assert_close(found.scores.abs(), (centred @ axes[:2].T).abs(), rtol=1e-5, atol=1e-7)


def test_codes_of_a_great_circle_have_one():
    """Angles on the meridian: their variance is all there is, and exp of the scores gives the codes back."""
    sphere = reference.sphere()
    angles = torch.tensor([-0.6, -0.2, 0.1, 0.9], dtype=f64)
    way = torch.tensor([0.6, 0.8], dtype=f64)
    codes = torch.tan(angles / 2)[:, None] * way
    found = principal_geodesics(sphere.immersion, codes, tol=1e-5)
    torch.testing.assert_close(found.mean, torch.tan(angles.mean() / 2) * way, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.variances[0], angles.var(unbiased=False), rtol=1e-5, atol=0)
    assert found.variances[1] < 1e-8
    g = metric(sphere.immersion, found.mean)
    torch.testing.assert_close(found.directions @ g @ found.directions.T, torch.eye(2, dtype=f64))
    back = exp_map(sphere.immersion, found.mean.expand(4, 2), found.scores @ found.directions)
    torch.testing.assert_close(back.point, codes, rtol=0, atol=1e-3)


def test_variances_add_up_to_the_frechet_variance():
    im, codes = reference.sphere(1.0, 3).immersion, 0.3 * torch.randn(5, 3, dtype=f64)
    found = principal_geodesics(im, codes, points=17)
    torch.testing.assert_close(found.variances.sum(), frechet_mean(im, codes, points=17).variance)
    torch.testing.assert_close(found.explained.sum(), torch.ones((), dtype=f64))


@pytest.mark.slow
def test_failure_and_refusals():
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    apart = principal_geodesics(torn, torch.tensor([[1.0, 0.0], [-2.0, 0.3]], dtype=f64), max_iterations=2, points=9)
    assert not apart.converged
    assert apart.variances.isnan().all()
    with pytest.raises(ValueError, match="expected a number of geodesics from 1 to 2, got 3"):
        principal_geodesics(torn, torch.ones(4, 2), 3)
    with pytest.raises(ValueError, match=r"expected codes \(n, 2\), got \(4, 3, 2\)"):
        principal_geodesics(torn, torch.ones(4, 3, 2))
