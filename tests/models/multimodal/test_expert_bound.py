"""The gradient of the bound of a mixture: that of the plain estimator with less noise, none at the exact posterior.

z ~ N(0, 1), x_i | z ~ N(z, s_i^2), and experts whose parameters every row of a batch has a copy of.
"""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from lsgen.models.multimodal.expert_bound import ExpertDraws, draw_from_experts

X = torch.tensor([1.0, -0.5, 0.7], dtype=torch.float64)
S = torch.tensor([0.5, 0.8, 1.1], dtype=torch.float64)
MEANS, LOG_SCALES = [0.6, -0.3, 0.1], [-0.4, -0.2, 0.1]
ROWS = 5000


def _log_joint(z: Tensor) -> Tensor:
    return Normal(0.0, 1.0).log_prob(z[..., 0]) + Normal(z, S.expand(len(S))).log_prob(X).sum(-1)


def _experts(parameters: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_scale = parameters.chunk(2, -1)
    return mean.unsqueeze(-1), 2 * log_scale.unsqueeze(-1)


def _bound(parameters: Tensor, present: Tensor, samples: int, doubly: bool, beta: float = 1.0) -> Tensor:
    drawn = draw_from_experts(*_experts(parameters), present, samples)
    z = drawn.z.view_as(drawn.z) if doubly else drawn.z
    log_w = _log_joint(z) - beta * drawn.log_mixture(drawn.held if doubly else drawn.live, z)
    return drawn.doubly_reparameterised(log_w, z, beta) if doubly else drawn.bound(log_w)


def _gradients(present: list[bool], samples: int, doubly: bool, beta: float = 1.0) -> Tensor:
    torch.manual_seed(0)
    parameters = torch.tensor([*MEANS, *LOG_SCALES], dtype=torch.float64).repeat(ROWS, 1).requires_grad_()
    mask = torch.tensor(present).expand(ROWS, -1)
    return torch.autograd.grad(_bound(parameters, mask, samples, doubly, beta).sum(), parameters)[0]


@pytest.mark.parametrize(
    ("samples", "present", "beta"),
    [(1, [True] * 3, 1.0), (4, [True] * 3, 1.0), (4, [True, False, True], 2.5), (4, [False, True, False], 1.0)],
)
def test_gradient_is_that_of_the_plain_bound(samples: int, present: list[bool], beta: float) -> None:
    plain, doubly = (_gradients(present, samples, kind, beta) for kind in (False, True))
    error = 5 * ((plain.var(0) + doubly.var(0)) / ROWS).sqrt() + 1e-12
    assert bool(((plain.mean(0) - doubly.mean(0)).abs() < error).all())
    absent = torch.tensor([not there for there in present] * 2)
    assert bool((doubly[:, absent] == 0).all())
    if beta == 1:
        assert bool((doubly.var(0) <= plain.var(0)).all())


def test_estimator_of_the_paper_is_biased_for_more_than_one_sample() -> None:
    """W^2 d log w / dz, as if the denominator were the density of the expert that drew the code."""
    torch.manual_seed(0)
    parameters = torch.tensor([*MEANS, *LOG_SCALES], dtype=torch.float64).repeat(ROWS, 1).requires_grad_()
    drawn = draw_from_experts(*_experts(parameters), None, 8)
    z = drawn.z.detach().requires_grad_()
    log_w = _log_joint(z) - drawn.log_mixture(drawn.held, z)
    (path,) = torch.autograd.grad(log_w.sum(), z)
    share = log_w.detach().softmax(0).unsqueeze(-1)
    (paper,) = torch.autograd.grad((share.square() * path * drawn.z).sum() / 3, parameters)
    plain, ours = (_gradients([True] * 3, 8, kind) for kind in (False, True))
    error = 5 * ((plain.var(0) + paper.var(0)) / ROWS).sqrt()
    assert bool(((plain.mean(0) - paper.mean(0)).abs() > error).any())
    assert bool(((plain.mean(0) - ours.mean(0)).abs() < error).all())


def test_encoders_get_no_gradient_at_the_exact_posterior() -> None:
    precision = 1 + S.pow(-2).sum()
    mean, log_scale = (X / S.square()).sum() / precision, -precision.log() / 2
    parameters = torch.stack([mean] * 3 + [log_scale] * 3).repeat(7, 1).requires_grad_()
    bound = _bound(parameters, torch.ones(7, 3, dtype=torch.bool), 5, True)
    (gradient,) = torch.autograd.grad(bound.sum(), parameters)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-12, rtol=0)


def test_one_expert_has_the_gradient_of_dreg() -> None:
    torch.manual_seed(0)
    parameters = torch.tensor([[0.3, -0.2]], dtype=torch.float64).repeat(50, 1).requires_grad_()
    drawn = draw_from_experts(*_experts(parameters), None, 6)
    gate = drawn.z.view_as(drawn.z)
    log_w = _log_joint(gate) - drawn.log_mixture(drawn.held, gate)
    ours = torch.autograd.grad(drawn.doubly_reparameterised(log_w, gate).sum(), parameters, retain_graph=True)[0]
    z = drawn.z.detach().requires_grad_()
    again = _log_joint(z) - drawn.log_mixture(drawn.held, z)
    share = again.detach().softmax(0).unsqueeze(-1)
    (path,) = torch.autograd.grad(again.sum(), z)
    expected = torch.autograd.grad((share.square() * path * drawn.z).sum(), parameters)[0]
    torch.testing.assert_close(ours, expected)


def test_density_of_the_mixture_integrates_to_one_whichever_experts_are_present() -> None:
    parameters = torch.tensor([[*MEANS, *LOG_SCALES]], dtype=torch.float64)
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None, None, None].expand(-1, 1, 3, 1)
    for present in ([True, True, True], [False, True, True], [True, False, False]):
        drawn = ExpertDraws(*_experts(parameters), torch.tensor([present]), z)
        total = torch.trapezoid(drawn.log_mixture(drawn.live, z)[:, 0, 0].exp(), z[:, 0, 0, 0])
        torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-9, atol=0)
