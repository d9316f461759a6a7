"""Directions and inversions of generators that are linear, or nearly so."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lsgen.geometry import immersion
from lsgen.latent import Deterministic, EncodableLatentSpace, LatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan.directions.diagonal_hessian import hessian
from lsgen.models.gan.directions.linear import Directions, ganspace, pullback, reading_layers, sefa
from lsgen.models.gan.inversion import invert

BASIS, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
GAINS = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.5], dtype=torch.float64)


def _space(decoder: nn.Module, shape: tuple[int, ...] = (7,)) -> LatentSpace:
    return LatentSpace(decoder, FixedGaussian(shape), StandardNormal(5)).double().eval()


class Bend(nn.Module):
    """An injective activation, so that a code is determined by what it generates."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tanh(x) / 2


def _linear() -> nn.Linear:
    """A linear generator with singular values GAINS and right singular vectors BASIS."""
    left, _ = torch.linalg.qr(torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    layer = nn.Linear(5, 7).double()
    layer.weight.data.copy_(left * GAINS @ BASIS.T)
    return layer


def _aligned(found: Directions, k: int) -> Tensor:
    return (found.vectors @ BASIS[:, :k]).diagonal().abs()


def test_three_methods_agree_on_a_linear_generator() -> None:
    layer = _linear()
    space, ones = _space(layer), torch.ones(3, dtype=torch.float64)
    torch.manual_seed(0)
    by_weight = sefa(space, [layer.weight], 3)
    by_metric = pullback(space, immersion(space), torch.randn(4, 5, dtype=torch.float64), 3)
    by_samples = ganspace(space, layer, 3, n=200_000)
    for found, tolerance in ((by_weight, 1e-10), (by_metric, 1e-10), (by_samples, 1e-3)):
        torch.testing.assert_close(_aligned(found, 3), ones, atol=tolerance, rtol=0)
        torch.testing.assert_close(found.vectors.norm(dim=1), ones, atol=1e-10, rtol=0)
    torch.testing.assert_close(by_weight.scales, GAINS[:3])
    torch.testing.assert_close(by_metric.scales, GAINS[:3])
    torch.testing.assert_close(by_samples.scales, ones, atol=2e-2, rtol=0)


def test_layers_that_read_the_code_together_are_stacked() -> None:
    layer = _linear()
    found = sefa(_space(layer), [layer.weight[:3], layer.weight[3:]], 5)
    torch.testing.assert_close(found.scales, GAINS)


def test_the_pulled_back_metric_sees_what_the_first_layer_does_not() -> None:
    narrow = nn.Linear(7, 7, bias=False).double()
    narrow.weight.data.copy_(torch.diag(torch.tensor([0.0, 0, 0, 0, 0, 0, 1])))
    layer = _linear()
    found = pullback(space := _space(nn.Sequential(layer, narrow)), immersion(space), torch.zeros(1, 5).double(), 1)
    row = layer.weight[6].detach()
    torch.testing.assert_close((found.vectors[0] @ row).abs(), row.norm())
    torch.testing.assert_close(found.scales[0], row.norm())


def test_directions_are_saved_with_everything(tmp_path: Path) -> None:
    saved = Directions(("a", "b"), BASIS[:2], GAINS[:2], layers=(1, 3))
    saved.save(tmp_path / "d.npz")
    loaded = Directions.load(tmp_path / "d.npz")
    assert (loaded.names, loaded.layers) == (saved.names, saved.layers)
    assert torch.equal(loaded.vectors, saved.vectors)
    assert torch.equal(loaded.scales, saved.scales)


def test_traversals_move_along_one_direction_each() -> None:
    z = torch.randn(4, 5, dtype=torch.float64)
    codes = Directions(("a", "b"), BASIS[:2], GAINS[:2]).traverse(z, [-1.0, 0.0, 2.0])
    assert codes.shape == (4, 2, 3, 5)
    torch.testing.assert_close(codes[:, 1, 2], z + 2 * BASIS[1])
    torch.testing.assert_close(codes[:, :, 1], z[:, None].expand(4, 2, 5))


@pytest.mark.slow
def test_inversion_recovers_codes() -> None:
    torch.manual_seed(0)
    space = _space(nn.Sequential(_linear(), Bend()))
    z = torch.randn(6, 5, dtype=torch.float64)
    found = invert(space, space.decode(z).mean, steps=1000, restarts=3)
    torch.testing.assert_close(found.z, z, atol=1e-3, rtol=0)
    assert found.error.max() < 1e-8
    torch.testing.assert_close(found.x, space.decode(found.z).mean)


@pytest.mark.slow
def test_the_prior_shrinks_codes_as_ridge_regression_does() -> None:
    layer = _linear()
    x = torch.randn(3, 7, dtype=torch.float64)
    weight = 0.3
    found = invert(_space(layer), x, steps=1500, restarts=2, prior_weight=weight)
    A = layer.weight.detach()
    ridge = torch.linalg.solve(A.T @ A / 7 + weight * torch.eye(5).double(), A.T @ (x - layer.bias.detach()).T / 7).T
    torch.testing.assert_close(found.z, ridge, atol=1e-4, rtol=0)


def test_an_encoder_gives_a_start_and_wins_where_it_is_exact() -> None:
    layer = _linear()
    encoder = nn.Linear(7, 5).double()
    encoder.weight.data.copy_(torch.linalg.pinv(layer.weight))
    encoder.bias.data.copy_(-encoder.weight @ layer.bias)
    space = EncodableLatentSpace(encoder, layer, FixedGaussian((7,)), StandardNormal(5), Deterministic()).double()
    z = torch.randn(4, 5, dtype=torch.float64)
    found = invert(space.eval(), layer(z).detach(), steps=0, restarts=3)
    assert found.start.tolist() == [3] * 4
    torch.testing.assert_close(found.z, z)


def test_impossible_requests_are_refused() -> None:
    space = _space(_linear())
    with pytest.raises(ValueError, match="expected between 1 and 5 directions, got 6"):
        sefa(space, [_linear().weight], 6)
    with pytest.raises(ValueError, match=r"expected weights of shape \(m, 5\), got \(5, 7\)"):
        sefa(space, [_linear().weight.T], 1)
    with pytest.raises(ValueError, match="expected at least one restart, as the space has no encoder"):
        invert(space, torch.zeros(1, 7).double(), restarts=0)
    with pytest.raises(ValueError, match="expected a latent space in eval mode, got one in train mode"):
        invert(space.train(), torch.zeros(1, 7).double())


def test_the_layers_that_read_the_code_are_found() -> None:
    layer, second = _linear(), nn.Linear(7, 7).double()
    space = _space(nn.Sequential(layer, Bend(), second))
    assert reading_layers(space) == [layer]
    torch.testing.assert_close(sefa(space, k=3).vectors, sefa(space, [layer.weight], 3).vectors)
    torch.manual_seed(0)
    found = ganspace(space, k=3, n=200_000)
    torch.testing.assert_close(_aligned(found, 3), torch.ones(3).double(), atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="expected a decoder with linear layers that read the code, got none"):
        sefa(_space(nn.Sequential(Bend(), layer)))


class Quadratics(nn.Module):
    """x_i = z^T Q D_i Q^T z / 2, with the rotation Q = BASIS and diagonal D_i."""

    def __init__(self) -> None:
        super().__init__()
        diagonals = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
        self.H = nn.Parameter(BASIS @ torch.diag_embed(diagonals * GAINS) @ BASIS.T)

    def forward(self, z: Tensor) -> Tensor:
        return torch.einsum("na,iab,nb->ni", z, self.H, z) / 2


@pytest.mark.slow
def test_hessian_directions_diagonalise_all_hessians_together() -> None:
    torch.manual_seed(0)
    space = _space(generator := Quadratics())
    found = hessian(space, k=5, steps=200, batch_size=2, samples=8)
    turned = found.vectors @ generator.H.detach() @ found.vectors.T
    off = turned - torch.diag_embed(turned.diagonal(dim1=1, dim2=2))
    assert off.norm() < 0.02 * turned.norm()
    torch.testing.assert_close((found.vectors @ BASIS).abs().amax(1), torch.ones(5).double(), atol=1e-2, rtol=0)
    speeds = torch.linalg.vector_norm(turned.diagonal(dim1=1, dim2=2), dim=0)  # E z_i^2 = 1
    assert (found.scales / speeds - 1).abs().max() < 0.5
    assert (found.scales.diff() <= 0).all()
    assert all(p.requires_grad and p.grad is None for p in generator.parameters())


def test_directions_of_a_range_of_layers_move_those_styles_only() -> None:
    d = Directions(("a", "b"), BASIS[:2], GAINS[:2], layers=(1, 2)).in_layers(4)
    blocks = d.vectors.unflatten(1, (4, 5))
    assert torch.equal(blocks[:, 0], torch.zeros(2, 5).double())
    assert torch.equal(blocks[:, 3], torch.zeros(2, 5).double())
    assert torch.equal(blocks[:, 1], BASIS[:2])
    assert torch.equal(blocks[:, 2], BASIS[:2])
    with pytest.raises(ValueError, match="expected a range within layers 0 to 2, got 1 to 3"):
        Directions(("a",), BASIS[:1], GAINS[:1], layers=(1, 3)).in_layers(3)
    with pytest.raises(ValueError, match="expected layers from a first to a last one"):
        Directions(("a",), BASIS[:1], GAINS[:1], layers=(2, 1))
    with pytest.raises(ValueError, match="got 1 names, 2 scales and vectors"):
        Directions(("a",), BASIS[:2], GAINS[:2])
