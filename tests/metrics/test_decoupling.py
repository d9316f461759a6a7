"""Sparsity indices at their extremes, and the decoupling of generators built to have it or not."""

import pytest
import torch
from torch import Tensor, nn

from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.decoupling import gini, hoyer, intervention_sensitivity, optimised_sensitivity

ONE = torch.ones((), dtype=torch.float64)


@pytest.mark.parametrize("index", [hoyer, gini])
def test_extremes_scale_and_order(index: type) -> None:
    d = 6
    torch.testing.assert_close(index(torch.eye(d).double()), ONE.expand(d))
    torch.testing.assert_close(index(torch.full((d,), 0.3).double()), 0 * ONE, atol=1e-12, rtol=0)
    s = torch.rand(4, d, dtype=torch.float64)
    torch.testing.assert_close(index(7 * s.flip(1)), index(s))
    nested = torch.stack([torch.arange(d) < k for k in range(1, d + 1)]).double()
    assert (index(nested).diff() < 0).all()


def test_indices_of_half_a_vector() -> None:
    s = torch.tensor([1.0, 1, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(hoyer(s), 2 - torch.tensor(2.0).double().sqrt())
    torch.testing.assert_close(gini(s), ONE * 2 / 3)


def _space(mixing: Tensor) -> LatentSpace:
    decoder = nn.Linear(4, 4, bias=False).double()
    decoder.weight.data.copy_(mixing)
    return LatentSpace(decoder, FixedGaussian((4,)), StandardNormal(4)).double().eval()


def _sensitivity(mixing: Tensor) -> Tensor:
    space = _space(mixing)
    return intervention_sensitivity(
        space, lambda x: x, torch.randn(50, 4, dtype=torch.float64), step=0.5, batch_size=16
    )


def test_sensitivity_of_a_linear_generator_is_its_matrix() -> None:
    mixing = torch.randn(4, 4, dtype=torch.float64)
    torch.testing.assert_close(_sensitivity(mixing), 0.5 * mixing.abs())


def test_decoupled_and_entangled_generators() -> None:
    hadamard = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float64) / 2
    for index in (hoyer, gini):
        torch.testing.assert_close(index(_sensitivity(torch.eye(4).double())), ONE.expand(4))
        torch.testing.assert_close(index(_sensitivity(hadamard)), 0 * ONE.expand(4), atol=1e-12, rtol=0)


@pytest.mark.slow
def test_optimised_weights_find_the_dimensions_of_a_concept() -> None:
    z = torch.randn(200, 4, dtype=torch.float64)
    space = _space(torch.eye(4).double())
    single = optimised_sensitivity(space, lambda x: x[:, 2], z)
    assert single.argmax() == 2
    assert min(hoyer(single), gini(single)) > 0.9
    spread = optimised_sensitivity(space, lambda x: x.square().sum(1) / 4, z)
    assert max(hoyer(spread), gini(spread)) < 0.1
    assert (optimised_sensitivity(space, lambda x: x[:, 2], z, penalty=10.0) < 0.05).all()


def test_what_has_no_sparsity_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 2 non-negative components, got 3 with a minimum of -1"):
        hoyer(torch.tensor([1.0, -1.0, 0.0]))
    assert gini(torch.zeros(3)).isnan()
