"""Likelihoods of sentences against the sum over all sentences of a tiny language."""

from itertools import product

import pytest
import torch
from torch import Tensor

from lsgen.geometry import immersion, metric, metric_field, scalar_curvature
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import AutoregressiveTokens, IndependentTokens
from lsgen.likelihoods.text.base import TextLikelihood
from lsgen.nn import GRUDecoder, MLPDecoder, TransformerDecoder

L, V, H = 3, 4, 2  # words of a sentence, words, size of a condition


def all_sentences(length: int, size: int) -> Tensor:
    """Return every sentence (K, length) of words 1, ..., size - 1."""
    spoken = [words for n in range(1, length + 1) for words in product(range(1, size), repeat=n)]
    return torch.tensor([[*words, *[0] * (length - len(words))] for words in spoken], dtype=torch.float64)


def probabilities(likelihood: TextLikelihood, h: Tensor) -> Tensor:
    """Return p(x|h) of every sentence (K, N) at raw outputs h (N, ...)."""
    return likelihood(h).log_prob(all_sentences(likelihood.length, likelihood.size)[:, None]).exp()


def information(likelihood: TextLikelihood, h: Tensor) -> Tensor:
    """Return the Fisher information E[s s^T] of raw outputs h (K,), a sum over every sentence."""
    x = all_sentences(likelihood.length, likelihood.size)
    p = likelihood(h[None]).log_prob(x).exp()
    scores = torch.func.jacrev(lambda one: likelihood(one[None]).log_prob(x))(h)
    return torch.einsum("x,xi,xj->ij", p, scores, scores)


@pytest.fixture
def likelihood() -> IndependentTokens:
    return IndependentTokens((L,), V)


def _outputs(n: int, seed: int, size: float = 1.0) -> Tensor:
    return size * torch.randn(n, V * L, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_all_sentences_together_have_probability_one(likelihood: IndependentTokens) -> None:
    for size in (0.5, 3.0, 20.0):
        torch.testing.assert_close(probabilities(likelihood, _outputs(4, 0, size)).sum(0), torch.ones(4).double())


def test_the_length_follows_from_the_probabilities_of_ends(likelihood: IndependentTokens) -> None:
    h = _outputs(1, 1)
    p = probabilities(likelihood, h)[:, 0]
    lengths = (all_sentences(L, V) != 0).sum(1)
    end = likelihood.split(h)[0].softmax(-1)[:, 0]
    expected = torch.stack([end[1], (1 - end[1]) * end[2], (1 - end[1]) * (1 - end[2])])
    torch.testing.assert_close(torch.stack([p[lengths == n].sum() for n in (1, 2, 3)]), expected)


def test_what_comes_after_the_end_has_no_probability_of_its_own(likelihood: IndependentTokens) -> None:
    x = torch.tensor([[1.0, 0, 0], [1.0, 0, 3]])
    log_p = likelihood(_outputs(1, 2)).log_prob(x)
    torch.testing.assert_close(log_p[0], log_p[1])


def test_information_is_the_covariance_of_the_score(likelihood: IndependentTokens) -> None:
    h = _outputs(3, 3)
    for one in h:
        split = likelihood.split(torch.arange(V * L)[None])[0]
        blocks = likelihood.fisher(one[None])[0]
        dense = torch.zeros(V * L, V * L, dtype=torch.float64)
        dense[split[:, :, None], split[:, None, :]] = blocks
        torch.testing.assert_close(dense, information(likelihood, one))


def test_the_embedding_is_isometric(likelihood: IndependentTokens) -> None:
    signs = likelihood.signature.double()
    assert signs.tolist() == [1.0] * (L * V) + [-1.0] * (L - 1)
    for one in _outputs(3, 4):
        jacobian = torch.func.jacrev(lambda a: likelihood.embed(a[None])[0])(one)
        assert jacobian.shape == (len(signs), V * L)
        torch.testing.assert_close(jacobian.mT @ (signs[:, None] * jacobian), information(likelihood, one))


@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_the_embedding_is_accurate_in_single_precision(likelihood: IndependentTokens, size: float) -> None:
    h = _outputs(4, 5).sign() * size
    for one in h:
        jacobian = torch.func.jacrev(lambda a: likelihood.embed(a[None])[0])(one.float())
        single = jacobian.mT @ (likelihood.signature[:, None] * jacobian)
        exact = information(likelihood, one)
        torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=1e-6 * exact.abs().max().item())


def test_metric_and_curvature_are_those_of_the_intrinsic_route() -> None:
    torch.manual_seed(0)
    decoder = MLPDecoder(2, (L,), [8], torch.nn.Tanh, heads=V)
    space = LatentSpace(decoder, IndependentTokens((L,), V), StandardNormal(2)).double().eval()
    z = torch.randn(3, 2, dtype=torch.float64)
    flat, intrinsic = immersion(space), metric_field(space)
    torch.testing.assert_close(metric(flat, z), metric(intrinsic, z))
    torch.testing.assert_close(scalar_curvature(flat, z), scalar_curvature(intrinsic, z), rtol=1e-6, atol=1e-8)


def test_the_mean_is_the_most_probable_sentence(likelihood: IndependentTokens) -> None:
    h = _outputs(50, 6, 2.0)
    best = all_sentences(L, V)[probabilities(likelihood, h).argmax(0)]
    assert torch.equal(likelihood(h).mean, best)
    assert len({tuple((row != 0).tolist()) for row in best}) == L


def test_samples_follow_the_probabilities(likelihood: IndependentTokens) -> None:
    h = _outputs(1, 7)
    torch.manual_seed(0)
    x = likelihood(h).sample((40_000,))[:, 0]
    likelihood.validate(x)
    _check_frequencies(x, probabilities(likelihood, h)[:, 0])


def _check_frequencies(x: Tensor, p: Tensor) -> None:
    matches = (x[:, None] == all_sentences(L, V)).all(-1).double()
    assert bool((matches.sum(1) == 1).all())
    error = (matches.mean(0) - p).abs() / (p * (1 - p) / len(x)).sqrt()
    assert error.max().item() < 5


def test_batches_have_any_shape(likelihood: IndependentTokens) -> None:
    h = _outputs(6, 8).unflatten(0, (2, 3))
    p = likelihood(h)
    assert (p.batch_shape, p.event_shape) == ((2, 3), (L,))
    assert p.sample((5,)).shape == (5, 2, 3, L)
    assert likelihood.fisher(h).shape == (2, 3, L, V, V)
    assert likelihood.embed(h).shape == (2, 3, L * V + L - 1)
    assert torch.equal(likelihood.join(likelihood.split(h)), h)
    x = p.sample()
    torch.testing.assert_close(p.log_prob(x)[1, 2], likelihood(h[1, 2]).log_prob(x[1, 2]))
    torch.testing.assert_close(p.expand((4, 2, 3)).log_prob(x)[3], p.log_prob(x))


def _made(kind: str = "gru", seed: int = 0, **options: float) -> AutoregressiveTokens:
    torch.manual_seed(seed)
    network = {
        "gru": lambda: GRUDecoder((L,), V, H, embedding=4, width=6),
        "transformer": lambda: TransformerDecoder((L,), V, H, width=8, attention=2, depth=1),
    }[kind]()
    for parameter in network.parameters():
        parameter.data.mul_(1.7)
    return AutoregressiveTokens(network, (L,), V, **options).double().eval()


def _conditions(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, H, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_all_sentences_together_have_probability_one_if_written(kind: str) -> None:
    torch.testing.assert_close(probabilities(_made(kind), _conditions(5)).sum(0), torch.ones(5).double())


def test_samples_follow_the_probabilities_if_written() -> None:
    likelihood, h = _made(), _conditions(1)
    torch.manual_seed(0)
    x = likelihood(h).sample((40_000,))[:, 0]
    likelihood.validate(x)
    _check_frequencies(x, probabilities(likelihood, h)[:, 0])


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_a_wide_beam_finds_the_most_probable_sentence(kind: str) -> None:
    likelihood, h = _made(kind, 1), _conditions(40)
    p = probabilities(likelihood, h)
    exact = all_sentences(L, V)[p.argmax(0)]
    assert torch.equal(likelihood(h).beam(V**L), exact)
    greedy = likelihood(h).mean
    assert torch.equal(likelihood(h).beam(1), greedy)
    found = [likelihood(h).log_prob(likelihood(h).beam(width)) for width in (1, 2, 4, V**L)]
    torch.testing.assert_close(found[-1], p.amax(0).log())
    assert bool((found[0] <= found[-1] + 1e-12).all())
    assert kind != "gru" or bool((found[0] < found[-1] - 1e-9).any())


def test_greedy_sentences_take_the_most_probable_word_each_time() -> None:
    likelihood, h = _made(seed=2), _conditions(20)
    x, p = all_sentences(L, V), probabilities(likelihood, h).T
    for row, mine in zip(likelihood(h).mean, p, strict=True):
        prefix = torch.ones(len(x), dtype=torch.bool)
        for t in range(L):
            mass = torch.stack([mine[prefix & (x[:, t] == v)].sum() for v in range(V)])
            assert int(mass.argmax()) == int(row[t])
            prefix &= x[:, t] == row[t]
            if row[t] == 0:
                break


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_information_is_that_of_all_sentences(kind: str) -> None:
    likelihood = _made(kind, prefixes=4000)
    h = _conditions(2)
    exact = torch.stack([information(likelihood, one) for one in h])
    found = likelihood.fisher(h)[:, 0]
    assert bool(((found - exact).abs() < 0.02 * exact.diagonal(dim1=1, dim2=2).amax(1)[:, None, None]).all())
    torch.testing.assert_close(found, likelihood.fisher(h)[:, 0], rtol=0, atol=0)
    torch.testing.assert_close(found[:1], likelihood.fisher(h[:1])[:, 0])


def test_the_error_of_the_information_falls_with_the_square_root_of_the_number_of_sentences() -> None:
    h, errors = _conditions(8), []
    for prefixes in (16, 64, 256, 1024):
        likelihood = _made(prefixes=prefixes)
        exact = torch.stack([information(likelihood, one) for one in h])
        errors.append(torch.linalg.matrix_norm(likelihood.fisher(h)[:, 0] - exact).square().mean().sqrt())
    slope = (errors[0] / errors[-1]).log2() / 6
    assert 0.3 < slope.item() < 1.2  # stratified: at least as fast
    assert errors[1] < 0.2 * torch.linalg.matrix_norm(exact).square().mean().sqrt()


def test_derivatives_of_the_information_are_those_of_all_sentences() -> None:
    likelihood = _made(prefixes=6000)
    h = _conditions(1)[0]
    exact = torch.func.jacrev(lambda one: information(likelihood, one))(h)
    found = torch.autograd.functional.jacobian(lambda one: likelihood.fisher(one[None])[0, 0], h)
    assert bool(((found - exact).abs() < 0.05 * exact.abs().max()).all())


@pytest.mark.slow
def test_forward_and_reverse_derivatives_of_the_metric_agree() -> None:
    torch.manual_seed(0)
    space = LatentSpace(MLPDecoder(2, (H,), [4], torch.nn.Tanh), _made(prefixes=16), StandardNormal(2)).double().eval()
    field, z = metric_field(space), _conditions(1, 3)
    jacobian = torch.func.jacrev(lambda one: space.raw(one[None])[0])(z[0])
    expected = jacobian.mT @ space.likelihood.fisher(space.raw(z))[0, 0] @ jacobian
    torch.testing.assert_close(metric(field, z)[0], expected)
    by_jet = field.jet(z, 1).first[0]
    by_reverse = torch.autograd.functional.jacobian(lambda one: field(one), z[0]).permute(2, 0, 1)
    torch.testing.assert_close(by_jet, by_reverse)


def test_words_before_are_left_out_in_training_alone_and_anew_each_time() -> None:
    likelihood, h = _made(word_dropout=0.5), _conditions(1)
    x = all_sentences(L, V)[-1:]
    plain = likelihood(h).log_prob(x)
    torch.testing.assert_close(likelihood(h).log_prob(x), plain, rtol=0, atol=0)
    likelihood.train()
    torch.manual_seed(0)
    found = {round(likelihood(h).log_prob(x).item(), 9) for _ in range(60)}
    assert len(found) == 2 ** (L - 1)  # each of the words before is there or not
    assert round(plain.item(), 9) in found


def test_a_network_that_sees_no_words_is_a_product() -> None:
    likelihood = _made(word_dropout=1.0).train()
    h, x = _conditions(1), torch.tensor([[1.0, 2, 3]])
    network = likelihood.network
    logits = network(torch.zeros(1, L, dtype=torch.int64), h)
    logits[:, 0, 0] = -torch.inf
    expected = logits.log_softmax(-1)[0, torch.arange(L), x[0].long()].sum()
    torch.testing.assert_close(likelihood(h).log_prob(x)[0], expected)


def test_log_probability_has_exact_gradients_if_written() -> None:
    likelihood, h = _made(), _conditions(3).requires_grad_()
    x = likelihood(h.detach()).sample()
    assert torch.autograd.gradcheck(lambda a: likelihood(a).log_prob(x), h)


def test_batches_have_any_shape_if_written() -> None:
    likelihood, h = _made(), _conditions(6).unflatten(0, (2, 3))
    p = likelihood(h)
    assert (p.batch_shape, p.event_shape) == ((2, 3), (L,))
    assert p.sample((5,)).shape == (5, 2, 3, L)
    assert p.beam(2).shape == p.mean.shape == (2, 3, L)
    assert likelihood.fisher(h).shape == (2, 3, 1, H, H)
    assert torch.equal(likelihood.join(likelihood.split(h)), h)
    x = p.sample()
    torch.testing.assert_close(p.log_prob(x)[1, 2], likelihood(h[1, 2]).log_prob(x[1, 2]))
    torch.testing.assert_close(p.expand((4, 2, 3)).log_prob(x)[3], p.log_prob(x))


def test_what_does_not_fit_is_refused() -> None:
    network = GRUDecoder((L,), V, H)
    with pytest.raises(ValueError, match=r"expected raw outputs of shape \(B, 2\), got \(1, 3\)"):
        AutoregressiveTokens(network, (L,), V)(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="expected a network of 5 words, got 4"):
        AutoregressiveTokens(network, (L,), 5)
    with pytest.raises(ValueError, match=r"expected a word_dropout from 0 to 1, got 1\.5"):
        AutoregressiveTokens(network, (L,), V, word_dropout=1.5)
    with pytest.raises(ValueError, match="expected at least 1 of prefixes, got 0"):
        AutoregressiveTokens(network, (L,), V, prefixes=0)
    with pytest.raises(ValueError, match="expected a beam of width 1 or more, got 0"):
        _made()(torch.zeros(1, H).double()).beam(0)
