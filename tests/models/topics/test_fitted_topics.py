"""Topic models of scikit-learn: their fold-in against it, against exact posteriors and other solvers; known topics."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, minimize_scalar, nnls
from scipy.special import gammaln
from sklearn.decomposition import LatentDirichletAllocation
from torch import Tensor

from lsgen.data import KnownTopics
from lsgen.models.topics import LDA, NMF
from lsgen.models.topics.folding import _of_all_words, _of_words_there_are

DATA = KnownTopics(words=40, topics=3, sizes=(200, 20, 20), length=50)


def _counts(split: str = "train") -> Tensor:
    part = DATA.dataset(split)
    return part[torch.arange(len(part))]["x"]


def _with_topics(model: LDA | NMF, weights: Tensor) -> LDA | NMF:
    model = model.double()
    model.latent_space.decoder.weights.copy_(weights)
    return model


def _models(dim: int, words: int) -> list[LDA | NMF]:
    return [LDA((words,), dim, iterations=5), NMF((words,), dim), NMF((words,), dim, "kullback-leibler")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [LDA((40,), 3), NMF((40,), 3), NMF((40,), 3, "kullback-leibler")], ids=["LDA", "NMF", "PLSA"]
)
def test_known_topics_and_mixtures_are_found(model: LDA | NMF) -> None:
    model.fit(_counts())
    found, truth = model.topics.double(), DATA.topics
    overlap = torch.minimum(found[:, None], truth[None]).sum(-1)  # one minus the total variation
    rows, columns = linear_sum_assignment(-overlap.numpy())
    assert overlap[rows, columns].min() > 0.85
    mixtures = model.latent_space.encode(_counts("test")).mean[:, rows[np.argsort(columns)]]
    assert (mixtures - DATA.mixtures("test")).abs().mean() < 0.06


def test_the_seed_alone_decides_on_the_topics() -> None:
    x = _counts()[:60]
    for kind, options in ((LDA, {"iterations": 3}), (LDA, {"learning": "online", "batch_size": 16, "iterations": 2}),
                          (NMF, {"iterations": 5})):  # fmt: skip
        one, same, other = (kind((40,), 3, seed=seed, **options) for seed in (1, 1, 2))
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        assert torch.equal(one.fit(x).topics, same.fit(x[order]).topics)
        assert not torch.equal(one.topics, other.fit(x).topics)


def test_inference_of_mixtures_is_that_of_scikit_learn() -> None:
    x = _counts().double()
    theirs = LatentDirichletAllocation(3, doc_topic_prior=0.3, max_iter=3, random_state=0).fit(x.numpy())
    theirs.set_params(max_doc_update_iter=2000, mean_change_tol=1e-12)
    model = _with_topics(LDA((40,), 3, alpha=0.3), torch.from_numpy(theirs.components_))
    model.latent_space.encoder.iterations, model.latent_space.encoder.tol = 2000, 1e-12
    held_out = _counts("test").double()
    expected = torch.from_numpy(theirs.transform(held_out.numpy()))
    torch.testing.assert_close(model.latent_space.encode(held_out).mean, expected, rtol=1e-5, atol=1e-7)


def test_the_bound_is_below_the_exact_evidence_and_the_mean_near_the_exact_one() -> None:
    beta = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]], dtype=torch.float64)
    alpha, words = 0.8, [0, 0, 1, 2, 0]
    weights, means = [], []
    for z in product(range(2), repeat=len(words)):  # exact: all assignments of words to topics
        n = np.bincount(z, minlength=2)
        prior = gammaln(2 * alpha) - gammaln(2 * alpha + len(z)) + (gammaln(alpha + n) - gammaln(alpha)).sum()
        weights.append(prior + sum(float(beta[k, w].log()) for k, w in zip(z, words, strict=True)))
        means.append((alpha + n) / (2 * alpha + len(z)))
    evidence = np.logaddexp.reduce(weights)
    mean = np.exp(np.array(weights) - evidence) @ np.array(means)
    model = _with_topics(LDA((3,), 2, alpha=alpha), 1e6 * beta)  # topics that are known
    x = torch.tensor([[3.0, 1.0, 1.0]], dtype=torch.float64)
    torch.manual_seed(0)
    losses = model.loss({"x": x.expand(4000, -1)})
    bound, error = losses.elbo.mean(), losses.elbo.std() / 4000**0.5
    assert bound < evidence + 4 * error
    assert bound > evidence - 0.2
    np.testing.assert_allclose(model.latent_space.encode(x).mean[0].numpy(), mean, atol=0.02)
    space, q = model.latent_space, model.latent_space.encode(x)
    theta = q.sample((20_000,))
    log_weights = space.decode(theta).log_prob(x) + space.prior().log_prob(theta) - q.log_prob(theta)
    assert (log_weights.exp().mean().log() - evidence).abs() < 0.05


def test_fold_in_of_plsa_has_the_greatest_likelihood_and_of_nmf_the_least_squares() -> None:
    beta = torch.tensor([[0.5, 0.3, 0.1, 0.1], [0.1, 0.1, 0.3, 0.5]], dtype=torch.float64)
    x = torch.tensor([[3.0, 1, 2, 1], [0, 0, 4, 1], [9, 0, 0, 0]], dtype=torch.float64)
    likely = _with_topics(NMF((4,), 2, "kullback-leibler"), 7 * beta).latent_space.encode(x).mean
    squares = _with_topics(NMF((4,), 2), 7 * beta).latent_space.encode(x).mean
    for row, theta, other in zip(x, likely, squares, strict=True):
        best = minimize_scalar(
            lambda t: -float(row @ (t * beta[0] + (1 - t) * beta[1]).log()),  # noqa: B023
            bounds=(0, 1), method="bounded", options={"xatol": 1e-9},
        )  # fmt: skip
        assert theta[0].item() == pytest.approx(best.x, abs=1e-3)
        weights = nnls(beta.T.numpy(), row.numpy())[0]
        np.testing.assert_allclose(other.numpy(), weights / weights.sum(), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_words_that_no_topic_of_plsa_has_say_nothing_of_a_mixture_however_often_they_occur(dtype: torch.dtype) -> None:
    model = NMF((4,), 2, "kullback-leibler").to(dtype)
    model.latent_space.decoder.weights.copy_(torch.tensor([[2.0, 0, 0, 1e-42], [0, 5, 0, 0]]))
    x = torch.tensor([[3.0, 1, n, 0] for n in (0, 1, 4, 1e4)] + [[0, 0, 9, 0], [0, 0, 0, 9]], dtype=dtype)
    expected = torch.tensor([[0.75, 0.25]] * 4 + [[0.5, 0.5], [1, 0]], dtype=dtype)
    torch.testing.assert_close(model.latent_space.encode(x).mean, expected)
    other = _of_all_words(x, model.topics)(expected)  # what devices other than a CPU have
    torch.testing.assert_close(_of_words_there_are(x, model.topics)(expected), other, rtol=1e-5, atol=0)


def test_documents_do_not_depend_on_one_another_and_without_words_have_equal_weights() -> None:
    x = torch.cat([_counts("test")[:5], torch.zeros(1, 40)])
    for model in _models(3, 40):
        encode = model.fit(_counts()).latent_space.encode
        torch.testing.assert_close(torch.cat([encode(row[None]).mean for row in x]), encode(x).mean)
        torch.testing.assert_close(encode(x).mean[-1], torch.full((3,), 1 / 3))
        assert model.loss({"x": x}).reconstruction[-1] == 0


def test_one_topic_a_vocabulary_of_one_word_and_more_topics_than_documents() -> None:
    x = torch.tensor([[2.0, 0, 1], [0, 1, 1]])
    for model in _models(1, 3):
        topics = model.fit(x).topics
        assert topics.shape == (1, 3)
        assert model.latent_space.encode(x).mean.tolist() == [[1.0], [1.0]]
    for model in _models(2, 1):
        assert model.fit(x[:, 2:]).topics.tolist() == [[1.0], [1.0]]
        assert model.loss({"x": x[:, 2:]}).reconstruction.tolist() == [0.0, 0.0]
    for model in _models(5, 3):
        topics = model.fit(x).topics
        torch.testing.assert_close(topics.sum(1), torch.ones(5))
        assert model(x).isfinite().all()


def test_documents_of_all_processes_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    x = _counts()[:30]
    here, there, alone = (NMF((40,), 2, iterations=5) for _ in range(3))
    here.accumulate(x[:5])
    here.accumulate(x[5:17])
    there.accumulate(x[17:])
    others = [part for part in there._together()[1:] for _ in range(2)]  # asked for its length, then for itself

    class Strategy:
        def all_gather(self, mine: Tensor) -> Tensor:
            other = others.pop(0)
            if mine.ndim == 0:
                return torch.stack([mine, torch.tensor(len(other))])
            return torch.stack([mine, torch.cat([other, mine.new_zeros(len(mine) - len(other))])])

        def reduce(self, count: Tensor, reduce_op: str) -> Tensor:
            return count + 13

    trainer = SimpleNamespace(strategy=Strategy(), world_size=2)
    monkeypatch.setattr(NMF, "trainer", trainer, raising=False)
    here._gather()
    here._finish_pass()
    assert torch.equal(here.topics, alone.fit(x).topics)


def test_options_that_make_no_model_are_refused() -> None:
    for build, sentence in (
        (lambda: LDA((3,), 0), "expected at least 1 topic, got 0"),
        (lambda: LDA((3,), 2, alpha=-1.0), "expected a concentration alpha above 0, got -1.0"),
        (lambda: LDA((3,), 2, eta=0.0), "expected eta, iterations and batch_size above 0, got 0.0, 50 and 128"),
        (lambda: LDA((3,), 2, learning="fast"), 'expected learning "batch" or "online", got \'fast\''),
        (lambda: NMF((3,), 2, "hellinger"), 'expected divergence "frobenius" or "kullback-leibler"'),
        (lambda: NMF((3,), 2, iterations=0), "expected iterations of at least 1 and tol of at least 0, got 0"),
        (lambda: NMF((3,), 2, seed=-1), "expected a seed of at least 0, got -1"),
        (lambda: LDA((3,), 2).fit(torch.tensor([[0.5, 1, 1], [1, 1, 1]])), "whole numbers of at least 0, got 0.5"),
    ):
        with pytest.raises(ValueError, match=sentence):
            build()


def test_words_that_no_topic_has_seen_count_in_single_precision_as_well() -> None:
    seen = 1000 * torch.rand(100, 3, generator=torch.Generator().manual_seed(0))
    topics = 0.01 + torch.cat([seen, torch.zeros(100, 3)], 1)  # exp of their expected logarithms is below its range
    model = LDA((6,), 100)
    model.latent_space.decoder.weights.copy_(topics)
    x = torch.tensor([[0.0, 0, 0, 1, 2, 1], [1, 0, 0, 0, 0, 3]])
    concentrations = model.latent_space.encode(x).concentration
    torch.testing.assert_close(concentrations.sum(-1), 100 * 0.01 + x.sum(-1))
    torch.testing.assert_close(
        _with_topics(model, topics).latent_space.encode(x.double()).mean.float(),
        concentrations / concentrations.sum(-1, keepdim=True),
        rtol=1e-2,
        atol=1e-4,
    )


def test_fold_in_by_products_of_matrices_is_that_by_the_words_there_are() -> None:
    """Devices other than a CPU have the former, also where the words of no topic are seen or a document has none."""
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([_counts("test")[:6], torch.zeros(1, 40)])
    b = torch.rand(3, 40, generator=generator) * (torch.rand(3, 40, generator=generator) > 0.3)
    for small in (1.0, 1e-30, 2e-44):
        theta = torch.rand(7, 3, generator=generator) * torch.tensor([1.0, small, small])
        one, other = (kind(x.double(), b.double())(theta.double()) for kind in (_of_all_words, _of_words_there_are))
        torch.testing.assert_close(one, other)
        single = _of_all_words(x, b)(theta)
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), one)
