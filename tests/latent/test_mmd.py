"""Maximum mean discrepancy against its population value between Gaussians.

E exp(-|x - y|^2 / 2 l^2) = prod_k (1 + v/l^2)^{-1/2} exp(-m_k^2 / 2 (l^2 + v)),    x - y ~ N(m, v I) .
"""

import numpy
import pytest
import torch
from sklearn.gaussian_process import kernels
from torch import Tensor

from lsgen.latent import RBF, InverseMultiquadric, Kernel, mmd_squared

SHIFT = torch.tensor([0.6, -0.3, 0.2], dtype=torch.float64)
SCALE2 = 0.64


def _codes(n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, n, 3, dtype=torch.float64, generator=generator)
    return SHIFT + SCALE2**0.5 * x, y


def _population(scale: float) -> float:
    def expectation(m: Tensor, v: float) -> float:
        power = (-(m**2) / (2 * (scale**2 + v))).sum().exp()
        return (power * (1 + v / scale**2) ** (-1.5)).item()

    zero = torch.zeros(3, dtype=torch.float64)
    return expectation(zero, 2 * SCALE2) + expectation(zero, 2.0) - 2 * expectation(SHIFT, 1 + SCALE2)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_unbiased_estimate_has_the_population_value(scale: float) -> None:
    values = torch.stack([mmd_squared(*_codes(40, seed), RBF([scale]), unbiased=True) for seed in range(800)])
    assert values.mean().item() == pytest.approx(_population(scale), abs=5 * values.std().item() / 800**0.5)


def test_bias_of_the_v_statistic_is_that_of_its_diagonal() -> None:
    x, y = _codes(40, 0)
    kernel = RBF([0.7])
    n, within = 40, 0.0
    for codes in (x, y):
        within += (1 - (kernel(codes, codes).sum() - n) / (n * (n - 1))).item() / n
    difference = mmd_squared(x, y, kernel) - mmd_squared(x, y, kernel, unbiased=True)
    assert difference.item() == pytest.approx(within)
    assert mmd_squared(x, y, kernel) >= 0


@pytest.mark.parametrize(
    ("kernel", "other"),
    [
        (RBF([0.8]), kernels.RBF(0.8)),
        (InverseMultiquadric([0.8]), kernels.RationalQuadratic(length_scale=0.8 / 2**0.5, alpha=1.0)),
    ],
    ids=lambda kernel: type(kernel).__name__,
)
def test_kernels_agree_with_another_library(kernel: Kernel, other: kernels.Kernel) -> None:
    x, y = _codes(7, 0)
    numpy.testing.assert_allclose(kernel(x, y).numpy(), other(x.numpy(), y.numpy()), rtol=1e-10)
    numpy.testing.assert_allclose(kernel(x, x).diagonal().numpy(), 1.0, rtol=1e-12)


@pytest.mark.parametrize("kernel", [RBF(), InverseMultiquadric()], ids=lambda kernel: type(kernel).__name__)
def test_gradients_are_exact_and_finite_where_codes_coincide(kernel: Kernel) -> None:
    x, y = _codes(4, 0)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda a: mmd_squared(a, y, kernel), x)
    (gradient,) = torch.autograd.grad(mmd_squared(x, x, kernel), x)
    assert bool((gradient.abs() < 1e-12).all())


def test_several_scales_add_up_and_the_papers_are_those_of_the_dimension() -> None:
    x, y = _codes(5, 0)
    torch.testing.assert_close(RBF([0.3, 2.0])(x, y), RBF([0.3])(x, y) + RBF([2.0])(x, y))
    kernel = InverseMultiquadric.for_dimension(3, factors=[0.5])
    torch.testing.assert_close(kernel(x, y), 3 / (3 + torch.cdist(x, y) ** 2))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected length scales > 0, got \[0\.0\]"):
        RBF([0.0])
    with pytest.raises(ValueError, match="expected at least 2 codes on either side for the unbiased MMD, got 1 and 4"):
        mmd_squared(torch.zeros(1, 2), torch.zeros(4, 2), RBF(), unbiased=True)
