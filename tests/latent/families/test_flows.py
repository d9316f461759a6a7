"""Flows: the density of what they draw."""

import pytest
import torch

from lsgen.latent import EncodableLatentSpace, FlowPosterior, FlowPrior
from lsgen.likelihoods import Bernoulli
from lsgen.models.vae import ELBO, IWAE
from lsgen.nn import MLPDecoder, MLPEncoder

zuko = pytest.importorskip("zuko")


def _rough(flow: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return flow.double()


@pytest.mark.slow
def test_density_of_the_prior_integrates_to_one() -> None:
    p = _rough(FlowPrior(2))()
    side = torch.linspace(-8, 8, 401, dtype=torch.float64)
    z = torch.stack(torch.meshgrid(side, side, indexing="ij"), -1).flatten(0, 1)
    assert (p.log_prob(z).exp().sum() * (side[1] - side[0]) ** 2).item() == pytest.approx(1, abs=1e-3)


def test_density_is_the_change_of_variables_of_the_samples() -> None:
    raw = torch.randn(3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q = _rough(FlowPosterior(4))(raw)
    noise = torch.randn(3, 4, dtype=torch.float64)
    forward = q.flow.transform.inv
    jacobian = torch.autograd.functional.jacobian(forward, noise)
    log_det = torch.stack([jacobian[i, :, i].slogdet()[1] for i in range(3)])
    expected = torch.distributions.Normal(0, 1).log_prob(noise).sum(-1) - log_det
    torch.testing.assert_close(q.log_prob(forward(noise)), expected)
    torch.testing.assert_close(q.mean, forward(torch.zeros_like(noise)))


def test_both_ends_of_a_model_may_be_flows() -> None:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder((5,), 2, hidden=[7]), MLPDecoder(2, (5,), hidden=[7])
    space = EncodableLatentSpace(encoder, decoder, Bernoulli((5,)), FlowPrior(2), FlowPosterior(2))
    batch = {"x": torch.rand(8, 5).round()}
    losses = ELBO()(space, batch, 0)
    assert losses.kl.shape == (8, 1)
    losses.loss.backward()
    assert all(parameter.grad is not None for parameter in space.parameters())
    assert IWAE(3)(space, batch, 0).loss.isfinite()


def test_coupling_needs_two_dimensions() -> None:
    with pytest.raises(ValueError, match="expected at least 2 latent dimensions for a flow of coupling layers, got 1"):
        FlowPrior(1)


def test_mixed_precision_changes_neither_densities_nor_draws() -> None:
    torch.manual_seed(0)
    z, q = torch.randn(4, 3), FlowPosterior(3)(torch.randn(4, 6))
    found = []
    for half in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found.append(torch.cat([q.log_prob(z)[:, None], q.rsample(), q.mean], 1))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
