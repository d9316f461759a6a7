"""Sectional curvature of one plane in a latent of dimension 512."""

import pytest
import torch

from lsgen.geometry import Immersion, reference, sectional_curvature

f64 = torch.float64


def test_it_builds_no_tensor_larger_than_the_jacobian(largest):
    """Neither the d(d+1)/2 second derivatives nor the d^4 numbers of the Riemann tensor: d + 3 derivatives are held."""
    d = 512
    sphere = reference.sphere(2.0, d)
    z, u, v = torch.randn(3, 1, d, dtype=f64) * torch.tensor([0.02, 1, 1], dtype=f64)[:, None, None]
    with largest() as seen:
        k = sectional_curvature(sphere.immersion, z, u, v)
    torch.testing.assert_close(k, torch.full((1,), 0.25, dtype=f64), rtol=1e-8, atol=0)
    assert seen.elements <= 2 * (d + 3) * (d + 1)


@pytest.mark.parametrize("d", [8, 32])
def test_its_largest_tensor_grows_with_the_square_of_the_dimension(d, largest):
    im = Immersion(lambda z: torch.cat([z, z.square().sum(-1, keepdim=True)], -1), d)
    z, u, v = torch.randn(3, 1, d, dtype=f64)
    with largest() as seen:
        sectional_curvature(im, z, u, v)
    assert seen.elements <= 2 * (d + 3) * (d + 1)
