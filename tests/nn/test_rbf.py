import copy

import numpy
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from lsgen.nn import RBFDecoder, RBFPrecision


def _codes(n: int = 60, d: int = 2) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64)


def test_bandwidths_follow_the_rule_of_the_paper() -> None:
    codes = torch.tensor([[0.0, 0.0], [0.0, 2.0], [10.0, 0.0], [16.0, 0.0], [-30.0, 0.0]]).double()
    net = RBFPrecision(2, (1,), centres=3, bandwidth=1.5).double()
    net.place(codes)
    by_place = {
        tuple(c.tolist()): rate.item() for c, rate in zip(net.centres.round(decimals=9), net.rates, strict=True)
    }
    assert by_place[(0.0, 1.0)] == pytest.approx(0.5 * (1.5 * 1.0) ** -2)
    assert by_place[(13.0, 0.0)] == pytest.approx(0.5 * (1.5 * 3.0) ** -2)
    assert by_place[(-30.0, 0.0)] == pytest.approx(0.5 * (1.5 * 1.0) ** -2)


def test_fit_reaches_the_convex_optimum() -> None:
    z = _codes()
    errors = (0.1 + z.square().sum(1, keepdim=True)) * torch.randn(60, 1, dtype=torch.float64).square()
    net = RBFPrecision(2, (1,), centres=4).double()
    history = net.fit(z, errors, steps=3000)
    assert bool((history.diff() <= 1e-12 * history.abs().max()).all())
    v, zeta = net.basis(z).numpy(), net.zeta.item()

    def loss(w):
        beta = v @ w + zeta
        value = 0.5 * (beta * errors[:, 0].numpy() - numpy.log(beta)).mean()
        return value, 0.5 * v.T @ (errors[:, 0].numpy() - 1 / beta) / len(z)

    best = minimize(loss, [1.0] * 4, jac=True, bounds=[(0, None)] * 4, method="L-BFGS-B", tol=1e-14)
    assert history[-1].item() == pytest.approx(best.fun, abs=1e-6)


def test_fit_is_as_likely_as_the_truth_within_the_law_of_the_likelihood_ratio() -> None:
    n = 20_000
    z = _codes(n, 1)
    truth = RBFPrecision(1, (2,), centres=3, largest=10.0).double()
    truth.place(z)
    with torch.no_grad():
        truth.log_weight.copy_(torch.randn(2, 3))
        beta = truth(z)
        errors = torch.randn(n, 2, dtype=torch.float64).square() / beta
        at_truth = (beta * errors - beta.log()).sum() / 2
    largest = (truth.zeta * errors.mean()).rsqrt().item()
    history = RBFPrecision(1, (2,), centres=3, largest=largest).double().fit(z, errors, steps=500)
    chi_squared_of_6 = 2 * (at_truth - n * history[-1]).item()
    assert 0 < chi_squared_of_6 < 40  # exceeded once in two million


def test_deviation_is_largest_away_from_the_codes() -> None:
    z = _codes()
    errors = torch.rand(60, 3, 2, 2, dtype=torch.float64)
    net = RBFPrecision(2, (3, 2, 2), centres=5, largest=50.0).double()
    net.fit(z, errors)
    far = net(torch.full((1, 2), 1e3, dtype=torch.float64)) ** -0.5
    assert net(z).shape == (60, 3, 2, 2)
    torch.testing.assert_close(far, torch.full_like(far, 50 * errors.mean().sqrt()))
    assert bool((net(z) ** -0.5 < far).all())


def test_gradients_are_exact() -> None:
    net = RBFPrecision(2, (3,), centres=5).double()
    net.place(_codes())
    assert torch.autograd.gradcheck(lambda z, _: net(z), (_codes(4).requires_grad_(), net.log_weight))


def test_decoder_gives_mean_and_log_deviation_and_freezes_the_mean() -> None:
    net = RBFPrecision(2, (3, 2, 2), centres=5)
    net.place(_codes().float())
    mean = nn.Sequential(nn.Linear(2, 12), nn.Unflatten(1, (3, 2, 2)))
    decoder, z = RBFDecoder(mean, net), torch.randn(4, 2)
    mu, log_sigma = decoder(z).split(3, 1)
    torch.testing.assert_close(mu, mean(z))
    torch.testing.assert_close(log_sigma.exp() ** -2, net(z))
    assert {name for name, p in decoder.named_parameters() if p.requires_grad} == {"precision.log_weight"}
    assert all(p.requires_grad for p in RBFDecoder(nn.Linear(2, 2), net, frozen=False).parameters())


def test_state_survives_a_checkpoint_and_a_copy() -> None:
    net = RBFPrecision(2, (3,), centres=5)
    net.place(_codes().float())
    other, z = RBFPrecision(2, (3,), centres=5), torch.randn(4, 2)
    nn.ModuleDict({"a": other}).load_state_dict(nn.ModuleDict({"a": net}).state_dict())
    torch.testing.assert_close(other(z), net(z))
    torch.testing.assert_close(copy.deepcopy(net)(z), net(z))


def test_bad_input_is_refused() -> None:
    net = RBFPrecision(2, (3,), centres=5)
    with pytest.raises(RuntimeError, match=r"expected centres placed by place\(codes\), got none"):
        net(torch.zeros(1, 2))
    net.load_state_dict(net.state_dict())
    assert not net.placed
    for codes, sentence in (
        (torch.zeros(9, 3), r"expected codes of shape \(N, 2\), got \(9, 3\)"),
        (torch.zeros(4, 2), r"expected at least as many codes as centres, 5, got 4"),
        (torch.full((9, 2), torch.nan), "expected finite codes"),
        (
            torch.arange(5.0).repeat(2)[:, None].expand(10, 2),
            "expected more different codes than centres, got at most 5",
        ),
    ):
        with pytest.raises(ValueError, match=sentence):
            net.place(codes)
    z = torch.randn(9, 2)
    with pytest.raises(ValueError, match=r"expected squared errors of shape \(9, 3\), got \(9, 2\)"):
        net.fit(z, torch.ones(9, 2))
    with pytest.raises(ValueError, match="at least 0 and not all 0"):
        net.fit(z, torch.zeros(9, 3))
    with pytest.raises(ValueError, match="expected bandwidth > 0, got 0"):
        RBFPrecision(2, (3,), bandwidth=0)
