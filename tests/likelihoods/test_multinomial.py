"""The multinomial against scipy, against sums over all outcomes, and against the categorical family."""

from itertools import product

import pytest
import torch
from scipy import stats
from torch import Tensor

from lsgen.likelihoods import Categorical, Multinomial, mixed_likelihood


def _logits(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_probabilities_of_counts_are_those_of_scipy() -> None:
    h, x = _logits(3, 4), torch.tensor([[1.0, 0, 2, 3], [0, 0, 0, 0], [7, 1, 0, 0]], dtype=torch.float64)
    found = Multinomial((4,))(h).log_prob(x)
    p = h.softmax(-1).numpy()
    expected = [float(stats.multinomial.logpmf(row, int(row.sum()), q)) for row, q in zip(x.numpy(), p, strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    without = Multinomial((4,), coefficient=False)(h).log_prob(x)
    torch.testing.assert_close(without, (x * h.log_softmax(-1)).sum(-1))
    assert without[1] == 0


def test_information_of_several_trials_is_the_covariance_of_the_score_over_all_outcomes() -> None:
    n, h = 3, _logits(1, 3).requires_grad_()
    likelihood = Multinomial((3,), trials=n)
    every = [x for x in product(range(n + 1), repeat=3) if sum(x) == n]
    x = torch.tensor(every, dtype=torch.float64)
    log_p = likelihood(h).log_prob(x)
    s = torch.stack([torch.autograd.grad(one, h, retain_graph=True)[0][0] for one in log_p])
    p = log_p.detach().exp()
    torch.testing.assert_close(p.sum(), torch.ones((), dtype=torch.float64))
    torch.testing.assert_close(likelihood.fisher(h)[0, 0], torch.einsum("k,ki,kj->ij", p, s, s))
    cubes = torch.einsum("k,ka,kb,kc->abc", p, s, s, s)
    found = likelihood.amari_chentsov(h, torch.eye(3, dtype=torch.float64)[None])[0]
    torch.testing.assert_close(found, cubes)
    torch.testing.assert_close(likelihood(h).mean[0], p @ x)
    torch.testing.assert_close(likelihood(h).variance[0], p @ (x - p @ x) ** 2)


def test_the_geometry_is_that_of_a_categorical_variable_times_the_root_of_the_trials() -> None:
    h, other = _logits(2, 5).split(1)
    one, nine, single = Multinomial((5,)), Multinomial((5,), trials=9), Categorical((1,), levels=5)
    torch.testing.assert_close(one.distance(h, other), single.distance(h, other))
    torch.testing.assert_close(nine.distance(h, other), 3 * one.distance(h, other))
    torch.testing.assert_close(nine.embed(h), 3 * one.embed(h))
    torch.testing.assert_close(nine.embed(h).norm(), torch.tensor(6.0, dtype=torch.float64))


def test_samples_have_as_many_trials_and_their_covariance() -> None:
    torch.manual_seed(0)
    h = _logits(1, 2, 2)
    likelihood = Multinomial((2, 2), trials=7)
    x = likelihood(h).sample((20_000,))[:, 0].flatten(1)
    assert bool((x.sum(1) == 7).all())
    torch.testing.assert_close(x.T.cov(), likelihood.fisher(h)[0, 0], rtol=0.1, atol=0.03)


def test_what_is_no_multinomial_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1 trial, got 0"):
        Multinomial((3,), trials=0)
    with pytest.raises(ValueError, match="expected observations that are whole numbers of at least 0, got values"):
        Multinomial((2,)).validate(torch.tensor([[0.5, 1.0]]))
    with pytest.raises(ValueError, match="got values between -1 and 1"):
        Multinomial((2,)).validate(torch.tensor([[-1.0, 1.0]]))
    with pytest.raises(TypeError, match="expected parts with independent data dimensions, got Multinomial for words"):
        mixed_likelihood({"words": Multinomial((3,)), "more": Multinomial((1,))})
    with pytest.raises(NotImplementedError, match="expected one trial to list what comes out of it, got 2"):
        Multinomial((3,), trials=2)(_logits(1, 3)).enumerate_support()


def test_an_outcome_that_is_impossible_has_no_part_in_what_did_not_have_it() -> None:
    h = torch.tensor([[0.0, 1.0, -torch.inf]])
    x = torch.tensor([[1.0, 1, 0], [0, 0, 0], [1, 0, 1]])
    found = Multinomial((3,))(h).log_prob(x)
    p = h[:, :2].log_softmax(-1)
    torch.testing.assert_close(found[0], torch.tensor(2.0).log() + p.sum())
    assert found[1:].tolist() == [0, -torch.inf]
