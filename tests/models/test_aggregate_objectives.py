"""Objectives with a term on the aggregate posterior: beta-TCVAE, DIP-VAE, InfoVAE, WAE-MMD."""

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from lsgen.latent import RBF, Deterministic, EncodableLatentSpace, StandardNormal
from lsgen.latent.aggregate import Sampling
from lsgen.likelihoods import FixedGaussian
from lsgen.models import Losses
from lsgen.models.vae import DIPVAE, ELBO, WAEMMD, BetaTCVAE, InfoVAE, Objective


def _run(objective: Objective, space: EncodableLatentSpace) -> Losses:
    torch.manual_seed(0)
    return objective(space, {"x": torch.randn(12, 6, dtype=torch.float64)}, 0)


@pytest.mark.parametrize(
    "objective",
    [BetaTCVAE(1.0, observations=100), InfoVAE(0.0, 1.0), DIPVAE(0.0, 0.0, "i")],
    ids=lambda o: type(o).__name__,
)
def test_neutral_weights_give_the_evidence_lower_bound(linear_gaussian, objective: Objective) -> None:
    space = linear_gaussian(0.3).space
    torch.testing.assert_close(_run(objective, space).loss, _run(ELBO(), space).loss)


@pytest.mark.parametrize(("sampling", "label"), [("weighted", "mws"), ("stratified", "mss")])
def test_total_correlation_alone_is_weighted(linear_gaussian, sampling: Sampling, label: str) -> None:
    space = linear_gaussian(0.3).space
    neutral, heavy = (_run(BetaTCVAE(beta, sampling=sampling, observations=100), space) for beta in (1.0, 6.0))
    torch.testing.assert_close(heavy.loss - neutral.loss, 5 * heavy.scalars[f"total_correlation_{label}"])
    information = _run(BetaTCVAE(1.0, alpha=0.0, gamma=3.0, sampling=sampling, observations=100), space)
    difference = 2 * neutral.scalars[f"dimension_wise_kl_{label}"] - neutral.scalars[f"mutual_information_{label}"]
    torch.testing.assert_close(information.loss - neutral.loss, difference)


def test_the_estimator_is_that_of_the_paper_and_its_values_are_labelled(linear_gaussian) -> None:
    # Equation 4 with weights 1/(N M), term by term, at the codes that the objective draws.
    space, x = linear_gaussian(0.3).space, torch.randn(12, 6, dtype=torch.float64)
    torch.manual_seed(0)
    losses = BetaTCVAE(6.0, observations=100)(space, {"x": x}, 0)
    torch.manual_seed(0)
    q = space.encode(x)
    z = q.rsample()
    pairs = q.base_dist.log_prob(z[:, None])
    joint = pairs.sum(2).logsumexp(1) - numpy.log(100 * 12)
    marginals = (pairs.logsumexp(1) - numpy.log(100 * 12)).sum(1)
    assert set(losses.scalars) == {"mutual_information_mws", "total_correlation_mws", "dimension_wise_kl_mws"}
    torch.testing.assert_close(losses.scalars["total_correlation_mws"], (joint - marginals).mean())
    torch.testing.assert_close(losses.scalars["mutual_information_mws"], (q.log_prob(z) - joint).mean())


def test_size_of_the_training_set_is_asked_for_and_kept() -> None:
    objective = BetaTCVAE()
    with pytest.raises(RuntimeError, match="BetaTCVAE expected to know the size of the training set: give it observ"):
        _ = objective.observations
    objective.prepare(737_280)
    restored = BetaTCVAE()
    restored.load_state_dict(objective.state_dict())
    assert restored.observations == 737_280
    given = BetaTCVAE(observations=50)
    given.prepare(60)
    assert given.observations == 50


def _with_covariance(target: Tensor, n: int = 50) -> Tensor:
    """Return means (n, d) whose covariance, divided by n, is exactly the target."""
    raw = torch.randn(n, len(target), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    centred = raw - raw.mean(0)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(centred.T @ centred / n), centred.T, upper=False)
    return (torch.linalg.cholesky(target) @ whitened).T + 3.0


def test_covariance_penalties_of_a_given_covariance() -> None:
    target = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, -0.2], [0.0, -0.2, 0.3]], dtype=torch.float64)
    variance = torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    q = Independent(Normal(_with_covariance(target), variance.sqrt()), 1)
    off, on = DIPVAE(1.0, 1.0, "i").penalties(q)
    assert off.item() == pytest.approx(2 * (0.5**2 + 0.2**2))
    assert on.item() == pytest.approx(1.0 + 0.0 + 0.7**2)
    off_ii, on_ii = DIPVAE(1.0, 1.0, "ii").penalties(q)
    assert off_ii.item() == pytest.approx(off.item())
    diagonal = target.diagonal() + variance.mean(0)
    assert on_ii.item() == pytest.approx((diagonal - 1).square().sum().item())


def test_second_kind_is_the_covariance_of_the_aggregate_posterior() -> None:
    generator = torch.Generator().manual_seed(2)
    q = Independent(Normal(*torch.rand(2, 8, 2, dtype=torch.float64, generator=generator)), 1)
    torch.manual_seed(0)
    z = q.sample((100_000,)).flatten(0, 1).numpy()
    covariance = numpy.cov(z.T, bias=True)
    off, on = DIPVAE(1.0, 1.0, "ii").penalties(q)
    assert off.item() == pytest.approx(2 * covariance[0, 1] ** 2, rel=0.05)
    assert on.item() == pytest.approx(((covariance.diagonal() - 1) ** 2).sum(), rel=0.02)


def test_penalties_enter_the_loss_with_their_weights(linear_gaussian) -> None:
    losses = _run(DIPVAE(3.0, 7.0, "ii"), linear_gaussian(0.3).space)
    penalty = 3 * losses.scalars["dip_off_diagonal"] + 7 * losses.scalars["dip_diagonal"]
    torch.testing.assert_close(losses.loss, -losses.elbo.mean() + penalty)


def test_information_is_not_penalised_where_alpha_is_one(linear_gaussian) -> None:
    space = linear_gaussian(0.3).space
    losses = _run(InfoVAE(1.0, 30.0, RBF([0.9])), space)
    torch.testing.assert_close(losses.loss, losses.reconstruction.mean() + 30 * losses.scalars["mmd_squared"])
    torch.manual_seed(0)
    assert _run(WAEMMD(30.0, RBF([0.9]), unbiased=False), space).loss.item() == pytest.approx(losses.loss.item())


def test_default_kernels_are_those_of_the_papers(linear_gaussian) -> None:
    space = linear_gaussian(0.3).space
    d = space.dim
    squared = _run(InfoVAE(), space).scalars["mmd_squared"]
    torch.testing.assert_close(squared, _run(InfoVAE(kernel=RBF([d / 2**0.5])), space).scalars["mmd_squared"])


def test_deterministic_encoders_have_no_divergence_and_no_bound() -> None:
    decoder, encoder = nn.Linear(2, 6).double(), nn.Linear(6, 2).double()
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((6,)), StandardNormal(2), Deterministic()).double()
    losses = _run(WAEMMD(), space)
    assert losses.kl.shape == (12, 0)
    assert bool(losses.elbo.isnan().all())
    assert bool(torch.isfinite(losses.loss))
    with pytest.raises(NotImplementedError, match="a deterministic code has no density"):
        space.encode(torch.zeros(1, 6, dtype=torch.float64)).log_prob(torch.zeros(1, 2, dtype=torch.float64))


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(ValueError, match='expected kind "i" or "ii", got \'iii\''):
        DIPVAE(1.0, 1.0, "iii")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='expected sampling "stratified" or "weighted", got \'mss\''):
        BetaTCVAE(sampling="mss")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected at least 1 training observation, got 0"):
        BetaTCVAE(observations=0)
