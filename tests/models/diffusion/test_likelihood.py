"""Exact likelihoods by the probability-flow ODE against densities of mixtures."""

import pytest
import torch

from lsgen.models.diffusion import LinearLogSNR, MixtureDenoiser, RectifiedFlow, VarianceExploding, log_likelihood
from lsgen.models.diffusion.integration import integrate

f64 = torch.float64


def line(path):
    """Three Gaussians on a line."""
    means = torch.tensor([[-2.5], [0.5], [2.5]], dtype=f64)
    return MixtureDenoiser(path, means, 0.75, torch.tensor([0.275, 0.45, 0.275], dtype=f64))


@pytest.mark.slow
def test_a_mixture_on_the_line_to_six_digits():
    path = LinearLogSNR()
    denoise, x = line(path), torch.linspace(-4, 4, 17, dtype=f64)[:, None]
    low, high = torch.tensor(-10.0, dtype=f64), torch.tensor(10.0, dtype=f64)
    exact = denoise.log_density(x, high)
    tight = {"rtol": 1e-9, "atol": 1e-9}
    found = log_likelihood(denoise, path, x, **tight, terminal=lambda last: denoise.log_density(last, low))
    assert (found.value - exact).abs().max() < 1e-6
    assert (found.error == 0).all()
    model = log_likelihood(denoise, path, x, **tight)
    gap = (model.value - exact).abs().max()
    assert 3e-3 < gap < 6e-3
    torch.testing.assert_close(model.value - model.prior, found.value - found.prior, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("path", [VarianceExploding(), RectifiedFlow()], ids=["VE", "flow"])
def test_other_paths(path):
    denoise, x = line(path), torch.linspace(-3, 3, 7, dtype=f64)[:, None]
    low, high = (torch.tensor(l, dtype=f64) for l in (path.log_snr_min, path.log_snr_max))
    x = path.scales(high)[0] * x
    found = log_likelihood(denoise, path, x, 1e-9, 1e-9, terminal=lambda last: denoise.log_density(last, low))
    torch.testing.assert_close(found.value, denoise.log_density(x, high), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_traces_by_chunks_and_by_probes():
    """Images: chunks do not matter, and Hutchinson's estimate lies within its stated error of the exact one."""
    torch.manual_seed(0)
    path = LinearLogSNR(log_snr_max=6.0, log_snr_min=-6.0)
    means = torch.randn(3, 1, 3, 3, dtype=f64)
    denoise, x = MixtureDenoiser(path, means, 0.5), torch.randn(12, 1, 3, 3, dtype=f64)
    exact = log_likelihood(denoise, path, x, 1e-7, 1e-7)
    chunked = log_likelihood(denoise, path, x, 1e-7, 1e-7, chunk_size=2)
    torch.testing.assert_close(chunked.value, exact.value, rtol=0, atol=1e-9)
    guess = log_likelihood(denoise, path, x, 1e-5, 1e-5, probes=64, generator=torch.Generator().manual_seed(0))
    scaled = (guess.value - exact.value) / guess.error
    assert (guess.error > 0).all()
    assert scaled.abs().max() < 4
    assert scaled.square().mean() > 0.1
    assert exact.noise.shape == x.shape


def test_the_pair_of_dormand_and_prince():
    """x' = x cos t, whose solution is e^(sin t); forwards, back, and with a gradient in the start."""
    x = torch.tensor([[1.0], [2.0]], dtype=f64, requires_grad=True)
    start, end = torch.tensor(0.0, dtype=f64), torch.tensor(3.0, dtype=f64)
    calls = []

    def field(t, state):
        calls.append(float(t))
        return state * t.cos()

    there = integrate(field, x, start, end, 1e-10, 1e-10)
    torch.testing.assert_close(there, x * end.sin().exp(), rtol=1e-8, atol=0)
    torch.testing.assert_close(integrate(field, there, end, start, 1e-10, 1e-10), x, rtol=1e-8, atol=0)
    (slope,) = torch.autograd.grad(there.sum(), x)
    torch.testing.assert_close(slope, end.sin().exp().expand(2, 1), rtol=1e-8, atol=0)
    few = len(calls)
    integrate(field, x, start, end, 1e-4, 1e-4)
    assert len(calls) - few < few / 4
    with pytest.raises(RuntimeError, match="could not be solved"):
        integrate(lambda t, state: state.square(), x.detach(), start, end)


def test_few_probes_and_empty_chunks_are_refused():
    path = LinearLogSNR()
    for wrong in ({"probes": 1}, {"chunk_size": 0}):
        with pytest.raises(ValueError, match="chunk_size >= 1 and 2 probes or more"):
            log_likelihood(line(path), path, torch.zeros(1, 1, dtype=f64), **wrong)
