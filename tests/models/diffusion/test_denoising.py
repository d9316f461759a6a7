"""Denoisers: what networks predict, guidance, and the exact denoisers of known distributions."""

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, Normal

from lsgen.models.diffusion import (
    Denoiser,
    LinearLogSNR,
    MixtureDenoiser,
    RectifiedFlow,
    VarianceExploding,
)
from lsgen.models.diffusion.denoising import score, velocity

f64 = torch.float64
PATHS = [LinearLogSNR(), VarianceExploding(), RectifiedFlow()]
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)


class Given(nn.Module):
    """A network whose output is given, and which keeps what it was shown."""

    shape, classes = (3,), 0

    def __init__(self, answer=None, classes=0):
        super().__init__()
        self.answer, self.classes, self.seen = answer, classes, None

    def forward(self, x, noise, label=None):
        self.seen = x, noise, label
        return x * 0 + (label[:, None].to(x.dtype) if self.answer is None else self.answer)


@every_path
@pytest.mark.parametrize("prediction", ["epsilon", "data", "v", "velocity"])
def test_a_network_that_predicts_rightly_denoises_exactly(path, prediction):
    """With the target of the prediction for an answer, D is the clean observation."""
    torch.manual_seed(0)
    d, x0, eps = 0.7, 0.7 * torch.randn(5, 3, dtype=f64), torch.randn(5, 3, dtype=f64)
    l = torch.linspace(-4, 4, 5, dtype=f64)
    alpha, sigma = (part[:, None] for part in path.scales(l))
    s = sigma / alpha
    target = {
        "epsilon": eps,
        "data": x0 / d,
        "v": (d * eps - s * x0 / d) / (s**2 + d**2).sqrt(),
        "velocity": eps - x0 / d,
    }[prediction]
    net = Given(target)
    denoise = Denoiser(net, path, prediction, sigma_data=d)
    torch.testing.assert_close(denoise(alpha * x0 + sigma * eps, l), x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(net.seen[0], (x0 + s * eps) / (s**2 + d**2).sqrt())
    torch.testing.assert_close(net.seen[1], s[:, 0].log() / 4)


def test_v_is_that_of_progressive_distillation_and_velocity_that_of_flows():
    """At unit variance of the data: F = v = alpha eps - sigma x_0, and F = eps - x_0."""
    x0, eps = torch.randn(4, 3, dtype=f64), torch.randn(4, 3, dtype=f64)
    path, l = LinearLogSNR(), torch.tensor(0.8, dtype=f64)
    alpha, sigma = path.scales(l)
    x = alpha * x0 + sigma * eps
    denoise = Denoiser(Given(alpha * eps - sigma * x0), path, "v", sigma_data=1.0)
    torch.testing.assert_close(denoise(x, l), x0)


@every_path
def test_the_mixture_is_exact(path):
    """Its density is that of torch.distributions, its score the gradient, its denoiser the posterior mean."""
    means, weights = torch.tensor([[-2.5], [0.5], [2.5]], dtype=f64), torch.tensor([0.275, 0.45, 0.275], dtype=f64)
    denoise = MixtureDenoiser(path, means, 0.75, weights)
    grid = torch.linspace(-8, 8, 4001, dtype=f64)
    data = MixtureSameFamily(Categorical(weights), Normal(means[:, 0], 0.75))
    for l in torch.tensor([-6.0, -1.0, 0.5, 4.0], dtype=f64):
        alpha, sigma = path.scales(l)
        x = (alpha * torch.linspace(-4, 4, 17, dtype=f64)[:, None]).requires_grad_()
        noised = MixtureSameFamily(
            Categorical(weights), Normal(alpha * means[:, 0], (alpha**2 * 0.75**2 + sigma**2).sqrt())
        )
        density = denoise.log_density(x, l)
        torch.testing.assert_close(density, noised.log_prob(x[:, 0]))
        (gradient,) = torch.autograd.grad(density.sum(), x)
        torch.testing.assert_close(score(denoise, path, x, l).detach(), gradient, rtol=1e-7, atol=1e-9)
        joint = (data.log_prob(grid) + Normal(alpha * grid, sigma).log_prob(x)).exp().detach()
        by_quadrature = (joint * grid).sum(1) / joint.sum(1)
        torch.testing.assert_close(denoise(x, l)[:, 0].detach(), by_quadrature, rtol=1e-6, atol=1e-6)


def test_far_from_the_origin_the_mixture_keeps_its_precision():
    path, means = LinearLogSNR(), torch.tensor([[-1.0, 0.0], [1.0, 0.5]]) + 1e4
    l = torch.tensor(9.0)
    x = path.scales(l)[0] * means
    single = MixtureDenoiser(path, means, 0.1)(x, l)
    double = MixtureDenoiser(path, means.double(), 0.1)(x.double(), l.double())
    torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=0)


def test_velocity_is_the_flow_of_the_density():
    """d log p(x_t)/dl along the flow is minus its divergence, by central differences in l."""
    path = LinearLogSNR()
    denoise = MixtureDenoiser(path, torch.tensor([[-1.0], [1.5]], dtype=f64), 0.4)
    x, l, h = torch.linspace(-1, 1, 9, dtype=f64)[:, None], torch.tensor(0.3, dtype=f64), 1e-4
    flow = velocity(denoise, path, x, l)
    change = (denoise.log_density(x + h * flow, l + h) - denoise.log_density(x - h * flow, l - h)) / (2 * h)
    moved = [velocity(denoise, path, x + step, l)[:, 0] for step in (h, -h)]
    torch.testing.assert_close(change, -(moved[0] - moved[1]) / (2 * h), rtol=1e-4, atol=1e-6)


def test_the_denoiser_of_a_data_set_returns_its_points_where_there_is_little_noise():
    torch.manual_seed(0)
    path, points = LinearLogSNR(), torch.randn(20, 1, 4, 4, dtype=f64)
    denoise = MixtureDenoiser(path, points)
    alpha, sigma = path.scales(torch.tensor(8.0, dtype=f64))
    noisy = alpha * points + sigma * torch.randn_like(points)
    torch.testing.assert_close(denoise(noisy, torch.tensor(8.0, dtype=f64)), points)
    nothing = denoise(torch.randn(3, 1, 4, 4, dtype=f64), torch.tensor(-30.0, dtype=f64))
    torch.testing.assert_close(nothing, points.mean(0, keepdim=True).expand(3, -1, -1, -1), rtol=0, atol=1e-5)


def test_guidance_extrapolates_from_no_class():
    """F is the class itself (2 of them; 2 stands for none), so D is linear in it."""
    path, net = LinearLogSNR(), Given(classes=2)
    denoise, x, l = Denoiser(net, path, "data", sigma_data=1.0), torch.zeros(2, 3), torch.zeros(2)
    label = torch.tensor([0, 1])
    torch.testing.assert_close(denoise(x, l, label)[:, 0], torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(denoise(x, l)[:, 0], torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(denoise(x, l, label, guidance=3.0)[:, 0], torch.tensor([-4.0, -1.0]))


def test_bad_input_is_refused():
    path, x, l = LinearLogSNR(), torch.zeros(2, 3), torch.zeros(2)
    with pytest.raises(ValueError, match="neither labels nor guidance of a denoiser without classes"):
        Denoiser(Given(), path)(x, l, guidance=2.0)
    with pytest.raises(ValueError, match=r"guidance = 2\.0 without labels"):
        Denoiser(Given(classes=2), path)(x, l, guidance=2.0)
    with pytest.raises(ValueError, match=r"expected x of shape \(B, 3\)"):
        Denoiser(Given(), path)(torch.zeros(2, 4), l)
    with pytest.raises(ValueError, match="epsilon, data, v or velocity, got 'x0'"):
        Denoiser(Given(), path, "x0")
    with pytest.raises(ValueError, match="sigma_data > 0"):
        Denoiser(Given(), path, sigma_data=0)
    with pytest.raises(ValueError, match="expected scale >= 0 and weights > 0"):
        MixtureDenoiser(path, torch.zeros(2, 3), -1.0)
    with pytest.raises(ValueError, match="expected means of shape"):
        MixtureDenoiser(path, torch.zeros(2, 3), 1.0, [1.0])
