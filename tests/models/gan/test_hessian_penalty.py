"""The Hessian penalty of quadratic generators, whose Hessians are constant and whose second differences are exact."""

from math import sqrt

import pytest
import torch
from torch import Tensor, nn

from lsgen.latent import HypersphericalUniform, OneHot, Product, Uniform
from lsgen.models.gan.regularisers.hessian_penalty import HessianPenalty, hessian_variances


class Quadratic(nn.Module):
    """x_i = z^T H_i z / 2 + <b_i, z>."""

    def __init__(self, H: Tensor) -> None:
        super().__init__()
        self.H = nn.Parameter(H)
        self.b = torch.randn(len(H), H.shape[1], dtype=H.dtype)

    def forward(self, z: Tensor) -> Tensor:
        return torch.einsum("na,iab,nb->ni", z, self.H, z) / 2 + z @ self.b.T


def _hessians() -> Tensor:
    raw = torch.randn(3, 4, 4, dtype=torch.float64)
    return raw + raw.mT


def test_variances_are_twice_the_squared_off_diagonal_on_average() -> None:
    H = _hessians()
    generator, z = Quadratic(H), torch.randn(20_000, 4, dtype=torch.float64)
    values = hessian_variances(generator, z, generator(z), samples=2, eps=0.1).detach()
    expected = 2 * (H.square().sum((1, 2)) - H.diagonal(dim1=1, dim2=2).square().sum(1))
    assert ((values.mean(0) - expected).abs() < 5 * values.std(0) / sqrt(20_000)).all()


def test_coordinates_that_act_one_by_one_cost_nothing() -> None:
    generator = Quadratic(torch.diag_embed(torch.randn(3, 4, dtype=torch.float64)))
    z = torch.randn(8, 4, dtype=torch.float64)
    assert HessianPenalty()(generator, z, generator(z)) < 1e-20


@pytest.mark.slow
def test_descent_makes_hessians_diagonal() -> None:
    torch.manual_seed(0)
    generator = Quadratic(_hessians())
    off = lambda: (generator.H - torch.diag_embed(generator.H.diagonal(dim1=1, dim2=2))).detach().norm().item()
    before, optimizer = off(), torch.optim.SGD(generator.parameters(), lr=0.02)
    for _ in range(300):
        z = torch.randn(32, 4, dtype=torch.float64)
        optimizer.zero_grad()
        HessianPenalty(samples=4)(generator, z, generator(z)).backward()
        optimizer.step()
    assert off() < 0.1 * before


def test_a_single_draw_has_no_variance() -> None:
    with pytest.raises(ValueError, match="expected at least 2 samples and eps above 0, got 1 and"):
        HessianPenalty(samples=1)


def test_differences_stay_where_codes_live() -> None:
    prior = Product([Uniform(2), OneHot(3), HypersphericalUniform(3)])
    seen: list[Tensor] = []

    class Linear(nn.Linear):
        def forward(self, z: Tensor) -> Tensor:
            seen.append(z.detach())
            return super().forward(z)

    penalty, generator, z = HessianPenalty(), Linear(8, 4), prior().sample((50,))
    penalty.bind(prior.manifold)
    value = penalty(generator, z, generator(z))
    assert bool(prior.manifold.contains(torch.cat(seen)).all())
    assert bool((torch.cat(seen)[:, 2:5] == z[:, 2:5].repeat(5, 1)).all())
    flat = HessianPenalty()
    flat.bind(Uniform(2).manifold)
    generator, codes = Linear(2, 4).double(), Uniform(2).double()().sample((50,))
    assert flat(generator, codes, generator(codes)) < 1e-20
    assert value > 0
    with pytest.raises(TypeError, match=r"expected codes that can move continuously, got those of Simplex\(3\)"):
        penalty.bind(OneHot(3).manifold)
