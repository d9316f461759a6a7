"""Encoders fitted to linear generators, whose best encoders are known."""

import pytest
import torch
from torch import Tensor, nn

from lsgen.latent import DiagonalNormal, LatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import fit_encoder, invert


def _space(weight: Tensor) -> LatentSpace:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data.copy_(weight)
    return LatentSpace(layer, FixedGaussian((len(weight),)), StandardNormal(weight.shape[1])).eval()


@pytest.mark.slow
def test_an_injective_generator_is_inverted_by_its_pseudo_inverse() -> None:
    torch.manual_seed(0)
    left, right = torch.linalg.qr(torch.randn(5, 3)).Q, torch.linalg.qr(torch.randn(3, 3)).Q
    W = left * torch.tensor([1.5, 1.0, 0.7]) @ right
    space, encoder = _space(W), nn.Linear(5, 3)
    found = fit_encoder(space, encoder, steps=800, lr=0.03)
    z = torch.randn(6, 3)
    torch.testing.assert_close(found.encode(space.decode(z).mean).mean, z, atol=1e-3, rtol=0)
    torch.testing.assert_close(encoder.weight.detach() @ W, torch.eye(3), atol=1e-3, rtol=0)
    assert found.decoder is space.decoder
    assert not found.training
    assert all(p.grad is None and p.requires_grad for p in space.parameters())


@pytest.mark.slow
def test_where_codes_are_lost_the_posterior_is_the_conditional_normal() -> None:
    torch.manual_seed(0)
    W = torch.randn(2, 3)
    found = fit_encoder(_space(W), nn.Linear(2, 6), posterior=DiagonalNormal(), steps=1200, batch_size=256, lr=0.02)
    gain = W.T @ torch.linalg.inv(W @ W.T)
    x = torch.randn(5, 2) @ W[:, :2].T
    q = found.encode(x)
    torch.testing.assert_close(q.mean, x @ gain.T, atol=0.1, rtol=0.1)
    variance = (torch.eye(3) - gain @ W).diagonal()
    torch.testing.assert_close(found.encode(torch.zeros(1, 2)).variance[0], variance, atol=0.02, rtol=0.15)


def test_observations_off_the_generated_plane_are_projected() -> None:
    torch.manual_seed(0)
    W = torch.linalg.qr(torch.randn(4, 2)).Q
    x = torch.randn(512, 4)
    found = fit_encoder(_space(W), nn.Linear(4, 2), x, steps=500, batch_size=128, lr=0.05, weight=50.0)
    torch.testing.assert_close(found.decode(found.encode(x).mean).mean, x @ W @ W.T, atol=0.05, rtol=0)


@pytest.mark.slow
def test_a_fitted_encoder_is_a_start_for_inversion() -> None:
    torch.manual_seed(0)
    W = torch.linalg.qr(torch.randn(4, 2)).Q
    found = fit_encoder(_space(W), nn.Linear(4, 2), steps=800, lr=0.02)
    x = torch.randn(5, 4)
    hybrid = invert(found, x, steps=300, restarts=0)
    torch.testing.assert_close(hybrid.z, x @ W, atol=1e-3, rtol=0)
    assert (hybrid.error <= invert(found, x, steps=0, restarts=0).error + 1e-7).all()


def test_impossible_requests_are_refused() -> None:
    space = _space(torch.eye(2))
    with pytest.raises(ValueError, match=r"expected steps and batch_size of at least 1, .* got 0, 64,"):
        fit_encoder(space, nn.Linear(2, 2), steps=0)
    with pytest.raises(ValueError, match="expected a latent space in eval mode"):
        fit_encoder(space.train(), nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"encoder.heads"):
        fit_encoder(space.eval(), _Headed())


class _Headed(nn.Linear):
    heads = 2

    def __init__(self) -> None:
        super().__init__(2, 4)
