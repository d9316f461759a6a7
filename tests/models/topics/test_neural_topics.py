"""Neural topic models: densities against integrals, the Laplace approximation against a Hessian, bounds by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Dirichlet, Independent, MultivariateNormal, Normal, kl_divergence
from torch.nn.functional import softplus

from lsgen.latent import Codes
from lsgen.likelihoods import Multinomial
from lsgen.models import VAE
from lsgen.models.topics import (
    DirichletPrior,
    EmbeddedTopics,
    ExpertTopics,
    LogisticNormalPosterior,
    LogisticNormalPrior,
    SoftmaxTopics,
    TopicEncoder,
)
from lsgen.models.topics.mixtures import LogisticNormal
from lsgen.models.vae import ELBO

MU = torch.tensor([0.3, -0.5, 0.9], dtype=torch.float64)
LOG_VARIANCE = torch.tensor([-0.4, 0.5, 0.1], dtype=torch.float64)


def _model(decoder: type = ExpertTopics, dim: int = 3, words: int = 6, **options: float) -> VAE:
    torch.manual_seed(0)
    return VAE(
        TopicEncoder((words,), dim, (5,), dropout=options.get("dropout", 0.0)),
        decoder(dim, (words,), **options),
        Multinomial((words,), coefficient=False),
        LogisticNormalPrior(dim),
        ELBO(),
        LogisticNormalPosterior(dim),
    )


def _counts(n: int, words: int = 6) -> Tensor:
    return torch.poisson(torch.full((n, words), 1.5), generator=torch.Generator().manual_seed(1))


def test_the_density_is_that_of_differences_of_logits_and_integrates_to_one() -> None:
    q = LogisticNormal(MU, LOG_VARIANCE)
    theta = q.rsample((50,))
    variance = LOG_VARIANCE.exp()
    differences = MultivariateNormal(MU[:2] - MU[2], torch.diag(variance[:2]) + variance[2])
    expected = differences.log_prob(theta[:, :2].log() - theta[:, 2:].log()) - theta.log().sum(-1)
    torch.testing.assert_close(q.log_prob(theta), expected)
    t = torch.linspace(0, 1, 801, dtype=torch.float64)[:-1] + 1 / 1600
    first, second = torch.meshgrid(t, t, indexing="ij")
    grid = torch.stack([first, (1 - first) * second, (1 - first) * (1 - second)], -1)
    total = (q.log_prob(grid).exp() * (1 - first)).mean()
    assert total.item() == pytest.approx(1, abs=1e-4)


def test_draws_have_the_density_and_their_spread_to_first_order() -> None:
    torch.manual_seed(0)
    narrow = LogisticNormal(MU, LOG_VARIANCE - 6)
    theta = narrow.rsample((20_000,))
    torch.testing.assert_close(theta.mean(0), narrow.mean, rtol=0.01, atol=0)
    torch.testing.assert_close(theta.var(0), narrow.variance, rtol=0.05, atol=0)
    torch.testing.assert_close(theta.sum(-1), torch.ones(20_000, dtype=torch.float64))


def test_the_divergence_is_that_of_the_logits_and_not_below_that_of_the_mixtures() -> None:
    q, p = LogisticNormal(MU, LOG_VARIANCE), LogisticNormal(-MU, 0.5 * LOG_VARIANCE)
    normals = [Independent(Normal(part.mu, (part.log_variance / 2).exp()), 1) for part in (q, p)]
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(*normals))
    theta = q.rsample((20_000,))
    log_ratio = q.log_prob(theta) - p.log_prob(theta)
    assert log_ratio.mean() - 5 * log_ratio.std() / 20_000**0.5 < kl_divergence(q, p)


@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_the_prior_is_the_laplace_approximation_of_the_dirichlet(alpha: float) -> None:
    dim = 4
    prior, truth = LogisticNormalPrior(dim, alpha)(), Dirichlet(torch.full((dim,), alpha, dtype=torch.float64))

    def log_density(y: Tensor) -> Tensor:  # of the logits: the density of mixtures times prod theta
        theta = torch.softmax(y, -1)
        return truth.log_prob(theta) + theta.log().sum()

    mode = torch.zeros(dim, dtype=torch.float64)
    curvature = -torch.autograd.functional.hessian(log_density, mode)
    variance = torch.linalg.pinv(curvature).diagonal()
    torch.testing.assert_close(prior.log_variance.exp().double(), variance, rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.func.grad(log_density)(mode), mode)


def test_the_bound_of_prod_lda_is_that_of_the_paper() -> None:
    model, x = _model().eval(), _counts(4)
    encoder, decoder = model.latent_space.encoder, model.latent_space.decoder
    hidden = softplus(encoder.layers[0](x))
    mu, log_variance = (part[1](part[0](hidden)) for part in (encoder.mean, encoder.log_variance))
    torch.manual_seed(3)
    losses = model.loss({"x": x})
    torch.manual_seed(3)
    theta = torch.softmax(mu + (log_variance / 2).exp() * torch.randn(4, 3), -1)
    words = torch.log_softmax(decoder.normalisation(theta @ decoder.weights), -1)
    torch.testing.assert_close(losses.reconstruction, -(x * words).sum(-1))
    prior = 1 - 1 / 3
    kl = 0.5 * (log_variance.exp() / prior + mu.square() / prior - 1 + np.log(prior) - log_variance).sum(-1)
    torch.testing.assert_close(losses.kl[:, 0], kl)


def test_topics_are_mixed_as_probabilities_or_as_experts() -> None:
    theta = torch.tensor([[0.2, 0.5, 0.3]])
    for decoder in (SoftmaxTopics(3, (6,)), EmbeddedTopics(3, (6,), size=2)):
        topics = decoder.topics()
        torch.testing.assert_close(topics.sum(-1), torch.ones(3))
        torch.testing.assert_close(decoder(theta).softmax(-1), theta @ topics)
        torch.testing.assert_close(decoder(torch.eye(3)).exp(), topics)
    experts = ExpertTopics(3, (2, 3)).eval()
    product = (theta @ experts.topics().log()).softmax(-1)  # prod_k p_k^theta_k
    assert experts(theta).shape == (1, 2, 3)
    torch.testing.assert_close(experts(theta).flatten(1).softmax(-1), product, rtol=1e-3, atol=1e-4)


def test_the_same_seed_gives_the_same_topics() -> None:
    found = []
    for seed in (1, 1, 2):
        model, x = _model(dropout=0.4), _counts(30)
        torch.manual_seed(seed)
        optimizer = torch.optim.Adam(model.parameters(), 0.01, (0.99, 0.999))
        for _ in range(5):
            optimizer.zero_grad()
            model.loss({"x": x}).loss.backward()
            optimizer.step()
        found.append(model.latent_space.decoder.topics())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_vectors_of_words_are_looked_up_by_name(tmp_path: object) -> None:
    codes = Codes(np.arange(8, dtype=np.float32).reshape(4, 2), ids=["cat", "dog", "owl", "pig"])
    codes.save(f"{tmp_path}/vectors.npz")
    decoder = EmbeddedTopics(2, (2,), vectors=f"{tmp_path}/vectors.npz", words=["pig", "cat"])
    assert decoder.vectors.tolist() == [[6.0, 7.0], [0.0, 1.0]]
    assert not decoder.vectors.requires_grad
    assert EmbeddedTopics(2, (4,), vectors=codes).centres.shape == (2, 2)
    with pytest.raises(ValueError, match="expected a vector of each word, got none of 1 out of 2, such as 'cow'"):
        EmbeddedTopics(2, (2,), vectors=codes, words=["cow", "cat"])
    with pytest.raises(ValueError, match="expected vectors of 3 words, got 4"):
        EmbeddedTopics(2, (3,), vectors=codes)


def test_options_that_make_no_model_are_refused() -> None:
    for build, sentence in (
        (lambda: LogisticNormalPrior(1), "expected at least 2 topics for logistic-normal mixtures, got 1"),
        (lambda: LogisticNormalPrior(3, alpha=0.0), "expected alpha and variance above 0, got 0.0 and None"),
        (lambda: LogisticNormalPrior(3, variance=-1.0), "expected alpha and variance above 0, got 1.0 and -1.0"),
        (lambda: DirichletPrior(3, 0.0), "expected a concentration alpha above 0, got 0.0"),
        (lambda: SoftmaxTopics(0, (3,)), "expected at least 1 topic, got 0"),
        (lambda: ExpertTopics(2, (3,), 1.0), r"expected dropout in \[0, 1\), got 1.0"),
        (lambda: TopicEncoder((3,), 2, ()), r"expected hidden layers and dropout in \[0, 1\), got \[\] and 0.0"),
        (lambda: EmbeddedTopics(2, (3,), 0), "expected word vectors of length 1 or more, got 0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            build()
