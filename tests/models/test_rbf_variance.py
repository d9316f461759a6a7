"""The two stages of the RBF-variance VAE: who learns when, what is fitted, and that uncertainty grows off the data."""

from math import log, pi

import pytest
import torch
from torch import Tensor, nn

from lsgen.geometry import immersion, metric
from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian, Gaussian
from lsgen.models.vae import ELBO, RBFVariance
from lsgen.nn import MLPDecoder, MLPEncoder, MLPPrecision, RBFPrecision, StagedRBFDecoder

D, d, B = 3, 2, 20


def _space(sigma: float = 0.3) -> EncodableLatentSpace:
    torch.manual_seed(0)
    mean = MLPDecoder(d, (D,), hidden=[8], activation=nn.Tanh)
    decoder = StagedRBFDecoder(mean, RBFPrecision(d, (D,), centres=4, largest=10.0), sigma)
    encoder = MLPEncoder((D,), d, hidden=[8], activation=nn.Tanh)
    return EncodableLatentSpace(encoder, decoder, Gaussian((D,)), StandardNormal(d)).double()


def _x(n: int = B) -> Tensor:
    return torch.randn(n, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _fitted(steps: int = 3) -> tuple[EncodableLatentSpace, RBFVariance]:
    space, objective = _space(), RBFVariance(fit_at=steps, observations=40)
    for step in range(steps + 1):
        objective(space, {"x": _x()}, step)
    return space, objective


def test_before_the_fit_it_is_the_bound_of_one_deviation() -> None:
    space = _space(0.3)
    plain = EncodableLatentSpace(space.encoder, space.decoder.mean, FixedGaussian((D,), 0.3), StandardNormal(d))
    losses = []
    for objective, one in ((RBFVariance(), space), (ELBO(), plain.double())):
        torch.manual_seed(0)
        losses.append(objective(one, {"x": _x()}, 0).loss)
    torch.testing.assert_close(*losses)


def test_the_fit_takes_place_at_its_step_and_is_evaluated_without_moving() -> None:
    space, objective = _space(), RBFVariance(fit_at=2, observations=30)
    for step in range(2):
        objective(space, {"x": _x()}, step)
        assert not space.decoder.fitted
    with torch.no_grad():
        objective(space, {"x": _x()}, 5)  # a validation batch neither gathers nor fits
    assert not space.decoder.fitted
    assert sum(map(len, objective._codes)) == 40  # the last batches that hold at least 30
    objective(space, {"x": _x()}, 2)
    assert bool(space.decoder.fitted)
    assert objective.get_extra_state() == {"codes": [], "errors": []}


def test_after_the_fit_the_weights_alone_learn() -> None:
    space, objective = _fitted()
    objective(space, {"x": _x()}, 4).loss.backward()
    learning = {name for name, p in space.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert learning == {"decoder.both.precision.log_weight"}


def test_deviations_follow_the_errors_near_the_codes_and_grow_away_from_them() -> None:
    space, _ = _fitted()
    with torch.no_grad():
        z = space.encode(_x()).mean
        near, far = (space.decode(at).stddev for at in (z, torch.full((1, d), 40.0, dtype=torch.float64)))
        errors = (space.decoder.mean(z) - _x()).square().mean().sqrt()
    assert 0.3 * errors < near.median() < 3 * errors
    torch.testing.assert_close(far, torch.full_like(far, far[0, 0]))
    assert bool((far > near.max()).all())


def test_state_of_either_stage_is_restored() -> None:
    for space, objective in ((_space(), RBFVariance(5, 30)), _fitted()):
        objective(space, {"x": _x()}, 4)
        again, other = _space(), RBFVariance(5, 30)
        again.load_state_dict(space.state_dict())
        other.load_state_dict(objective.state_dict())
        values = []
        for one, part in ((space, objective), (again, other)):
            torch.manual_seed(3)
            values.append(part(one, {"x": _x()}, 5).loss)
        torch.testing.assert_close(*values, rtol=0, atol=0)
        assert bool(space.decoder.fitted)
        assert bool(again.decoder.fitted)


def test_expected_metric_is_large_where_uncertainty_changes() -> None:
    """E[J^T J] = J_mu^T J_mu + J_sigma^T J_sigma, by autograd."""
    space, _ = _fitted()
    space.eval()
    z = space.encode(_x(3)).mean.detach()
    found = metric(immersion(space, kind="expected"), z)

    def heads(one: Tensor) -> Tensor:
        mean, log_sigma = space.raw(one).chunk(2)
        return torch.cat([mean, log_sigma.exp()])

    for code, g in zip(z, found, strict=True):
        jacobian = torch.func.jacrev(heads)(code)
        torch.testing.assert_close(g, jacobian.T @ jacobian)


def test_wrong_parts_are_refused() -> None:
    plain = EncodableLatentSpace(MLPEncoder((D,), d), MLPDecoder(d, (D,)), FixedGaussian((D,)), StandardNormal(d))
    with pytest.raises(TypeError, match="RBFVariance expected a StagedRBFDecoder, got MLPDecoder"):
        RBFVariance()(plain, {"x": torch.zeros(1, D)}, 0)
    with pytest.raises(ValueError, match="expected fit_at and observations of at least 1, got 0 and 5"):
        RBFVariance(0, 5)
    with pytest.raises(ValueError, match="expected heads = 2, mean and log standard deviation, got 1"):
        StagedRBFDecoder(MLPDecoder(d, (D,)), RBFPrecision(d, (D,)), heads=1)
    with pytest.raises(ValueError, match="expected a standard deviation sigma > 0, got 0"):
        StagedRBFDecoder(MLPDecoder(d, (D,)), RBFPrecision(d, (D,)), sigma=0.0)


def test_the_precision_waits_for_more_codes_than_centres() -> None:
    space, objective = _space(), RBFVariance(fit_at=1, observations=30)
    centres = len(space.decoder.both.precision.centres)
    assert centres > 2
    for step in range(centres + 1):
        assert not space.decoder.fitted
        objective(space, {"x": torch.rand(1, D, dtype=torch.float64)}, step)
    objective(space, {"x": torch.rand(1, D, dtype=torch.float64)}, centres + 1)
    assert space.decoder.fitted
    with pytest.raises(ValueError, match=f"expected more observations than {centres}, one a centre, got {centres}"):
        RBFVariance(fit_at=1, observations=centres).check(_space())


def test_a_perceptron_starts_from_the_best_constant_and_alone_learns() -> None:
    torch.manual_seed(0)
    mean, precision = MLPDecoder(d, (D,), hidden=[8]), MLPPrecision(d, (D,), hidden=[6])
    space = EncodableLatentSpace(
        MLPEncoder((D,), d, hidden=[8]), StagedRBFDecoder(mean, precision), Gaussian((D,)), StandardNormal(d)
    ).double()
    objective = RBFVariance(fit_at=2, observations=40)
    for step in range(2):
        objective(space, {"x": _x()}, step)
    codes, errors = torch.cat(objective._codes), torch.cat(objective._errors)
    normal = torch.distributions.Normal(0.0, precision(codes).rsqrt())
    before = -normal.log_prob(errors.sqrt()).sum(-1).mean() - D / 2 * log(2 * pi)
    objective(space, {"x": _x()}, 2).loss.backward()
    torch.testing.assert_close(space.decode(torch.randn(5, d).double()).variance, errors.mean().expand(5, D))
    learning = {name for name, p in space.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert learning == {f"decoder.both.precision.log_precision.layers.2.{name}" for name in ("weight", "bias")}
    history = MLPPrecision(d, (D,), hidden=[6]).double().fit(codes, errors)
    constant = torch.distributions.Normal(0.0, errors.mean().sqrt())
    torch.testing.assert_close(history[1], -constant.log_prob(errors.sqrt()).sum(-1).mean() - D / 2 * log(2 * pi))
    assert history[1] < before
