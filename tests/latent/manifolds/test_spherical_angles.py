"""Quantiles of the von Mises-Fisher angle in both tails, against Bessel functions and quadrature of the tails alone."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import beta

from lsgen.latent import VonMisesFisher
from lsgen.latent.families.radial_quantiles import RadialTable, log_normaliser, radial_quantile, radial_table
from lsgen.latent.families.spherical_angles import SphericalAngle, largest_concentration

LARGEST = largest_concentration(torch.float32)
KAPPAS = [0.0, 1e-3, 0.5, 1.5, 5.0, 10.0, 17.6, 30.0, 100.0, 1e3, 1e5, 1e7, LARGEST]
STEPS = [*range(16), 40, 100, 1000]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
f64 = torch.float64


def _table(kappa: torch.Tensor, d: int) -> RadialTable:
    return radial_table(SphericalAngle(d - 2), kappa)


def _exact(d: int, kappa: float) -> tuple[float, float]:
    """Return log Z and E[1 - cos t] from Bessel functions in 40 digits."""
    with mpmath.workdps(40):
        order, k = mpmath.mpf(d) / 2 - 1, mpmath.mpf(kappa)
        constant = mpmath.sqrt(mpmath.pi) * mpmath.gamma(order + mpmath.mpf(1) / 2)
        if not kappa:
            return float(mpmath.log(constant / mpmath.gamma(order + 1))), 1.0
        bessel = mpmath.besseli(order, k)
        log_z = mpmath.log(constant) + order * mpmath.log(2 / k) + mpmath.log(bessel) - k
        return float(log_z), float(1 - mpmath.besseli(order + 1, k) / bessel)


def _density(t: np.ndarray, d: int, kappa: float, log_z: float) -> np.ndarray:
    return np.exp((d - 2) * np.log(np.sin(t)) - 2 * kappa * np.sin(t / 2) ** 2 - log_z)


def _integrals(start, end, d: int, kappa: float, exact: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the integrals of f and of (E[q] - q) f between angles (n,), by composite Gauss-Legendre sums."""
    edges = start[:, None] + (end - start)[:, None] * np.linspace(0, 1, 33)
    half, centre = np.diff(edges)[..., None] / 2, (edges[:, 1:] + edges[:, :-1])[..., None] / 2
    t = centre + half * NODES
    f = half * WEIGHTS * _density(t, d, kappa, exact[0])
    return f.sum((1, 2)), (f * (exact[1] - 2 * np.sin(t / 2) ** 2)).sum((1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("dimensions", [range(2, 35), range(35, 68), range(68, 101)], ids=str)
def test_the_tails_of_single_precision_uniform_numbers_have_their_quantiles_and_slopes(dimensions) -> None:
    """Every draw starts from a multiple of 2^-24 and half a step: the first and the last of them, and some further."""
    low = (np.array(STEPS) + 0.5) / 2**24
    kappa, share = torch.tensor(KAPPAS, dtype=f64), torch.tensor(np.concatenate([low, 1 - low]))
    for d in dimensions:
        k = kappa.expand(len(share), -1).clone().requires_grad_()
        t = radial_quantile(k, share[:, None].expand(-1, len(kappa)), _table(kappa, d))
        (slope,) = torch.autograd.grad(t.sum(), k)
        assert bool(torch.isfinite(t).all() & torch.isfinite(slope).all())
        for i, concentration in enumerate(KAPPAS):
            exact, angle, found = _exact(d, concentration), t[:, i].detach().numpy(), slope[:, i].numpy()
            lower, upper = angle[: len(low)], angle[len(low) :]
            decay = concentration * np.sin(upper) - (d - 2) / np.tan(upper)
            far = np.minimum(np.pi, upper + np.where(decay > 0, 40 / np.maximum(decay, 1e-9), np.pi))
            below = _integrals(0 * lower, lower, d, concentration, exact)
            above = _integrals(upper, far, d, concentration, exact)
            np.testing.assert_allclose(below[0], low, rtol=1e-7, atol=0)
            np.testing.assert_allclose(above[0], low, rtol=1e-7, atol=0)
            change = np.concatenate([-below[1], above[1]]) / _density(angle, d, concentration, exact[0])
            np.testing.assert_allclose(found, change, rtol=1e-6, atol=0)


@pytest.mark.parametrize("d", [2, 3, 4, 10, 40, 100])
def test_quantiles_and_slopes_between_the_tails(d: int) -> None:
    share = torch.linspace(0.001, 0.999, 41, dtype=f64)
    for concentration in KAPPAS[1:]:
        kappa = torch.full_like(share, concentration)[:, None].requires_grad_()
        table = _table(kappa[0], d)
        t = radial_quantile(kappa, share[:, None], table)
        (slope,) = torch.autograd.grad(t.sum(), kappa)
        exact = _exact(d, concentration)
        assert log_normaliser(kappa[0], table).item() == pytest.approx(exact[0], rel=1e-10, abs=1e-10)
        assert table.mean.item() == pytest.approx(exact[1], rel=1e-10)
        mass, _ = _integrals(np.zeros(41), t.detach().numpy()[:, 0], d, concentration, exact)
        np.testing.assert_allclose(mass, share.numpy(), rtol=1e-7)
        step = 1e-4 * concentration
        moved = [radial_quantile(k, share[:, None], _table(k[0], d)) for k in (kappa + step, kappa - step)]
        numeric = (moved[0] - moved[1]) / (2 * step)
        torch.testing.assert_close(slope, numeric.detach(), rtol=1e-5, atol=1e-8 / concentration)


@pytest.mark.parametrize("d", [2, 3, 5, 100, 1000])
def test_without_concentration_the_angle_is_that_of_a_uniform_direction(d: int) -> None:
    share = torch.tensor([2**-54, 1e-9, 0.2, 0.5, 0.8, 1 - 1e-9, 1 - 2**-53], dtype=f64)
    t = radial_quantile(torch.zeros(7, 1, dtype=f64), share[:, None], _table(torch.zeros(1), d))[:, 0]
    half = beta((d - 1) / 2, (d - 1) / 2).ppf(np.minimum(share.numpy(), 1 - share.numpy()))
    exact = 2 * np.arcsin(np.sqrt(half))
    exact[4:] = np.pi - exact[4:]
    np.testing.assert_allclose(t.numpy(), exact, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [2, 4, 10, 100])
def test_draws_are_points_of_the_sphere_whatever_the_uniform_numbers(monkeypatch, d: int, dtype: torch.dtype) -> None:
    """Zero and the greatest number below one are among those that a generator gives."""
    step = torch.finfo(dtype).eps / 2
    tails = torch.arange(600, dtype=dtype) * step
    tails = torch.cat([tails, 1 - step - tails])
    monkeypatch.setattr(torch, "rand", lambda shape, **kind: tails.to(**kind).view(shape))
    mu = torch.nn.functional.normalize(torch.linspace(-1, 2, d, dtype=dtype), dim=0)
    for concentration in (1.0, 10.0, 1e3, 1e6):
        kappa = torch.full((len(tails),), concentration, dtype=dtype, requires_grad=True)
        z = VonMisesFisher(mu.expand(len(tails), d), kappa).rsample()
        weights = torch.linspace(1, 2, d, dtype=dtype)
        (slope,) = torch.autograd.grad((z @ weights).sum(), kappa)
        torch.testing.assert_close(
            z.norm(dim=-1), torch.ones_like(kappa), rtol=0, atol={4: 5e-7, 8: 1e-12}[dtype.itemsize]
        )
        assert bool((slope.abs() < 4 * weights.norm() / concentration).all())


def test_second_derivatives_are_refused() -> None:
    kappa = torch.tensor([[2.0]], requires_grad=True)
    t = radial_quantile(kappa, torch.tensor([[0.3]]), _table(kappa[0], 3))
    (slope,) = torch.autograd.grad(t.square().sum(), kappa, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.backward()
