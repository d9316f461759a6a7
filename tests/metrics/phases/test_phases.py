"""Critical times of diffusion in closed form, measured ones of exact denoisers, and sets of known dimension."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lsgen.metrics import SpeciationTime
from lsgen.metrics.phases.cloning import ancestral_step, clone_agreement, crossing
from lsgen.metrics.phases.collapse import collapse_time, excess_entropy, measured_excess_entropy
from lsgen.metrics.phases.refinement import lipschitz_refinement, precision_control
from lsgen.metrics.phases.ridges import (
    box_counts,
    correlation_length,
    ridge_mask,
    ridge_test,
    smooth_field,
)
from lsgen.metrics.phases.speciation import (
    class_agreement,
    data_agreement,
    log_snr_at,
    ornstein_uhlenbeck_time,
    speciation_time,
)
from lsgen.metrics.phases.symmetry_breaking import (
    critical_log_snr,
    linear_schedule_time,
    stability,
    two_point_scales,
)

f64 = torch.float64


def two_classes(mean: Tensor, sigma: float = 1.0):
    """Return the exact denoiser of the classes N(+-m, sigma^2 I) for any x_t of a variance-preserving path."""

    def denoise(x: Tensor, l: Tensor) -> Tensor:
        a2, s2 = torch.sigmoid(l)[:, None], torch.sigmoid(-l)[:, None]
        total = s2 + a2 * sigma**2
        side = torch.tanh(a2.sqrt() * (x @ mean)[:, None] / total)
        return side * mean + a2.sqrt() * sigma**2 / total * (x - a2.sqrt() * side * mean)

    return denoise


def test_clones_agree_as_the_integral_over_both_densities_says() -> None:
    for d, sigma, expected in ((256, 1.0, 0.7752), (4096, 1.0, 0.7752), (1024, 0.5, 0.77532), (1024, 2.0, 0.77474)):
        found = class_agreement(speciation_time(torch.tensor(float(d), dtype=f64)), math.sqrt(d), sigma)
        assert found.item() == pytest.approx(expected, abs=5e-5 if sigma == 1 else 5e-6)
    t, m, sigma = torch.tensor([0.2, 1.0, 2.0], dtype=f64), 3.0, 0.7
    y = torch.linspace(-14, 14, 20001, dtype=f64)
    width = (1 - (-2 * t).exp() + sigma**2 * (-2 * t).exp()).sqrt()[:, None]
    plus, minus = (
        torch.exp(-((y - side * m * (-t).exp()[:, None]) ** 2) / (2 * width**2)) / (width * math.sqrt(2 * math.pi))
        for side in (1, -1)
    )
    integral = 0.5 * ((plus**2 + minus**2) / (plus + minus + 1e-300)).sum(1) * (y[1] - y[0])
    torch.testing.assert_close(class_agreement(t, m, sigma), integral, rtol=1e-9, atol=0)
    with pytest.raises(ValueError, match="times and sigma of 0 or more, not both 0"):
        class_agreement(torch.zeros(1), 1.0, 0.0)


def test_the_clock_is_that_of_the_signal_to_noise_ratio() -> None:
    t = torch.tensor([0.1, 1.0, 4.0], dtype=f64)
    ratio = (-2 * t).exp() / (1 - (-2 * t).exp())
    torch.testing.assert_close(log_snr_at(t), ratio.log())
    torch.testing.assert_close(ornstein_uhlenbeck_time(log_snr_at(t)), t)


def test_the_speciation_time_of_two_classes_is_half_the_logarithm_of_their_variance() -> None:
    """Rows m and -m with n rows each: the covariance along m is |m|^2 2n / (2n - 1)."""
    m = torch.tensor([2.0, 0.0, 1.0, 2.0])
    metric = SpeciationTime(4)
    for side in (1, -1):
        metric.update((side * m).expand(8, 4).unflatten(1, (2, 2)))
    found = metric.compute()
    assert found["eigenvalue"].item() == pytest.approx(9 * 16 / 15)
    assert found["time"].item() == pytest.approx(math.log(9 * 16 / 15) / 2)
    with pytest.raises(ValueError, match=r"observations of 4 values, got \(3, 5\)"):
        metric.update(torch.zeros(3, 5))


def test_speciation_of_the_digits_1_and_8() -> None:
    """Published: 7.66; the first 5,000 images of each, at the scale [0, 1]."""
    raw = Path(os.environ.get("LSGEN_DATA_DIR", "")) / "MNIST" / "raw"
    if not (raw / "train-images-idx3-ubyte").exists():
        pytest.skip("the files of MNIST are not in LSGEN_DATA_DIR")
    images = np.fromfile(raw / "train-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 784)
    labels = np.fromfile(raw / "train-labels-idx1-ubyte", np.uint8)[8:]
    metric = SpeciationTime(784)
    for digit in (1, 8):
        metric.update(torch.from_numpy(images[labels == digit][:5000]) / 255)
    found = metric.compute()
    assert found["eigenvalue"].item() == pytest.approx(7.668, abs=1e-3)
    assert found["time"].item() == pytest.approx(1.0185, abs=1e-4)


def test_collapse_times_are_those_of_20000_observations() -> None:
    for d, expected in ((256, 1.299), (1024, 1.978), (4096, 2.667)):
        time = collapse_time(20_000, d)
        assert time == pytest.approx(expected, abs=5e-4)
        assert excess_entropy(torch.tensor(time, dtype=f64), 20_000, d).item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="got 1, 4 and 1"):
        collapse_time(1, 4)


def test_measured_entropy_follows_the_formula_where_points_are_apart_and_where_they_are_not() -> None:
    generator = torch.Generator().manual_seed(0)
    n, d, sigma = 500, 48, 1.5
    points = sigma * torch.randn(n, d, generator=generator)
    critical = collapse_time(n, d, sigma)
    for time in (critical - 0.8, critical - 0.4, critical + 0.4, critical + 0.8, critical + 1.5):
        found, error = measured_excess_entropy(points, time, 2000, generator)
        theory = excess_entropy(torch.tensor(time), n, d, sigma).clamp(min=0)
        assert abs(found - theory) < 0.05 + 4 * error, time
    two, _ = measured_excess_entropy(torch.tensor([[0.0], [0.0]]), 1.0, 20, generator)
    assert two.item() == pytest.approx(1, abs=1e-5)  # two equal points are one Gaussian: all of log n in excess
    pair, generator = torch.tensor([[-1.0], [1.5]], dtype=f64), torch.Generator().manual_seed(1)
    found, error = measured_excess_entropy(pair, 0.8, 20_000, generator)  # the entropy of two Gaussians, by quadrature
    x, noise = torch.linspace(-8, 8, 4001, dtype=f64), 1 - math.exp(-1.6)
    p = (-((x - math.exp(-0.8) * pair) ** 2) / (2 * noise)).exp().mean(0) / math.sqrt(2 * math.pi * noise)
    entropy = -torch.trapezoid(p * p.log(), x)
    excess = 1 + (0.5 * math.log(2 * math.pi * math.e * noise) - entropy) / math.log(2)
    assert abs(found - excess) < 4 * error < 0.02
    with pytest.raises(ValueError, match=r"expected points \(n, d\) of n > 1 and a time t > 0"):
        measured_excess_entropy(points, 0.0)


def test_symmetry_breaks_at_the_published_scale_and_time() -> None:
    scales = two_point_scales()
    assert scales.drift == pytest.approx(math.sqrt(math.sqrt(2) - 1), rel=1e-12)
    assert scales.drift == pytest.approx(0.6436, abs=5e-5)
    assert scales.density**2 == pytest.approx(0.5)
    assert linear_schedule_time(scales.drift) == pytest.approx(0.2926, abs=1e-4)
    assert linear_schedule_time(scales.density) == pytest.approx(0.2590, abs=1e-4)
    assert 1000 * (1 - linear_schedule_time(scales.drift)) == pytest.approx(707, abs=0.6)
    with pytest.raises(ValueError, match="reaches by s = 1"):
        linear_schedule_time(1e-3)


@pytest.mark.parametrize("amplitude", [1.0, 2.5])
@pytest.mark.slow
def test_critical_levels_of_an_exact_denoiser_are_those_of_the_two_points(amplitude: float) -> None:
    denoise = two_classes(torch.tensor([amplitude, 0.0], dtype=f64), 0.0)
    zero, scales = torch.zeros(1, 2, dtype=f64), two_point_scales(amplitude)
    for kind, expected in (("drift", scales.drift), ("density", scales.density)):
        level = critical_log_snr(denoise, zero, kind=kind)
        torch.testing.assert_close(torch.sigmoid(level).sqrt(), torch.tensor([expected], dtype=f64), rtol=1e-9, atol=0)
    assert critical_log_snr(denoise, zero, 5.0, 8.0).isnan()
    for l in (-1.0, 1.0):  # the slope of drift and density, by differences of the score
        x, level = torch.tensor([[0.2, 0.1]], dtype=f64), torch.tensor([l], dtype=f64)
        s2, a = torch.sigmoid(-level), torch.sigmoid(level).sqrt()
        score = lambda x, a=a, s2=s2, level=level: (a * denoise(x, level) - x) / s2
        slopes = torch.stack([(score(x + e) - score(x - e)) / 2e-5 for e in 1e-5 * torch.eye(2, dtype=f64)], -1)
        top = torch.linalg.eigvalsh(slopes[0]).max()
        assert stability(denoise, x, level, "density").item() == pytest.approx(top.item(), rel=1e-6)
        assert stability(denoise, x, level).item() == pytest.approx(top.item() + 0.5, rel=1e-6)


def test_clones_of_a_sampler_agree_as_theory_says() -> None:
    generator, d, clones = torch.Generator().manual_seed(0), 16, 3000
    mean = torch.ones(d, dtype=f64)
    levels = log_snr_at(torch.linspace(5, 0.02, 121, dtype=f64))
    start = torch.randn(clones, d, generator=generator, dtype=f64)
    found = clone_agreement(
        ancestral_step(two_classes(mean)), lambda x: (x @ mean > 0).long(), start, levels, [40, 80, 90, 100], generator
    )
    times = ornstein_uhlenbeck_time(found.log_snr)
    theory = class_agreement(times, math.sqrt(d))
    assert ((found.agreement - theory).abs() < 0.015 + 4 * found.error).all()
    assert theory[0] < 0.6
    assert theory[-1] > 0.93
    at = crossing(times.flip(0), found.agreement.flip(0))
    assert at == pytest.approx(math.log(d) / 2, abs=0.1)
    with pytest.raises(ValueError, match="levels that increase from noise to data"):
        clone_agreement(ancestral_step(two_classes(mean)), torch.sign, start, levels.flip(0), [3])
    with pytest.raises(ValueError, match=r"branches among the 121 levels, got \[121\]"):
        clone_agreement(ancestral_step(two_classes(mean)), torch.sign, start, levels, [121])


def test_a_step_of_the_sampler_keeps_the_law_of_a_gaussian() -> None:
    """For N(0, 1) and D = alpha x the mean of x_s given x_l is alpha_l / alpha_s x_l, at any size of the step."""
    generator = torch.Generator().manual_seed(0)
    x, level, following = torch.randn(200_000, 1, generator=generator, dtype=f64), *torch.tensor([-0.5, 0.3], dtype=f64)
    denoise = lambda x, l: torch.sigmoid(l).sqrt()[:, None] * x
    y = ancestral_step(denoise)(x, level, following, generator)
    kept, (a, b) = math.exp(-0.8), (torch.sigmoid(l).sqrt().item() for l in (level, following))
    slope = kept * b / a + (1 - kept) * b * a
    assert slope == pytest.approx(a / b, rel=1e-12)
    assert (x * y).mean().item() == pytest.approx(slope, abs=0.01)
    assert (y - slope * x).var().item() == pytest.approx((1 - b * b) * (1 - kept), abs=0.01)


def test_crossings_lie_on_the_line_between_points() -> None:
    at, values = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([1.0, 0.8, 0.6])
    assert crossing(at, values) == pytest.approx(1.25)
    assert math.isnan(crossing(at, values, 0.5))


def test_sets_of_known_dimension_have_it() -> None:
    full = torch.ones(128, 128, dtype=torch.bool)
    assert box_counts(full).slope == pytest.approx(2)
    line = torch.zeros_like(full)
    line[40] = True
    assert box_counts(line).slope == pytest.approx(1)
    n = torch.arange(256)
    sierpinski = (n[:, None] & n) == 0
    assert box_counts(sierpinski).slope == pytest.approx(math.log2(3))
    carpet = torch.ones(3**5, 3**5, dtype=torch.bool)
    i, j = torch.meshgrid(torch.arange(3**5), torch.arange(3**5), indexing="ij")
    for k in range(5):
        carpet &= ~((i // 3**k % 3 == 1) & (j // 3**k % 3 == 1))
    assert box_counts(carpet, [1, 3, 9, 27]).slope == pytest.approx(math.log(8) / math.log(3))
    with pytest.raises(ValueError, match="with a pixel in it"):
        box_counts(torch.zeros_like(full))


def test_the_ridge_of_a_ring_is_its_circle() -> None:
    y, x = torch.meshgrid(*[torch.arange(160, dtype=f64) - 80.3] * 2, indexing="ij")
    r = (x**2 + y**2).sqrt()
    mask = ridge_mask((-((r - 50) ** 2) / 18).exp(), 0.3)
    assert (r[mask] - 50).abs().max() < 0.8
    angles = torch.atan2(y[mask], x[mask]).sort().values
    assert angles.diff().max() < 2.5 / 50  # no gap in it
    assert box_counts(mask, [1, 2, 4, 8]).slope == pytest.approx(1, abs=0.15)
    assert not ridge_mask(-((r - 50) ** 2), 0.3)[r < 40].any()


def test_random_fields_have_the_correlations_that_are_asked_for_and_are_no_news_to_the_test() -> None:
    generator = torch.Generator().manual_seed(0)
    fields = torch.stack([smooth_field((96, 64), 5.0, generator) for _ in range(60)])
    assert fields.square().mean().item() == pytest.approx(1, abs=0.08)
    assert (fields[:, 7:] * fields[:, :-7]).mean().item() == pytest.approx(math.exp(-49 / 50), abs=0.08)
    assert correlation_length(smooth_field((400, 400), 6.0, generator)) == pytest.approx(6, rel=0.1)
    smooth = ridge_test(smooth_field((64, 64), 5.0, generator), repeats=19, generator=generator)
    assert smooth.p_value > 0.05
    white = torch.randn(64, 64, generator=generator, dtype=f64)
    waves = torch.fft.fftfreq(64, dtype=f64)
    rough = torch.fft.ifft2(torch.fft.fft2(white) / (0.01 + (waves[:, None] ** 2 + waves**2).sqrt()) ** 1.3).real
    found = ridge_test(rough, repeats=19, generator=generator)
    assert found.p_value == 1 / 20
    assert found.counts.slope > smooth.counts.slope + 0.1


def test_lipschitz_constants_settle_for_smooth_maps_and_grow_at_jumps_and_roots() -> None:
    centre = torch.zeros(2, dtype=f64)
    smooth = lipschitz_refinement(lambda z: torch.tanh(3 * z), centre, 2.0)
    assert smooth.constants[-1].item() == pytest.approx(3, rel=0.01)
    assert abs(smooth.growth) < 0.01
    jump = lipschitz_refinement(lambda z: (z[:, :1] > 0.1).double(), centre, 2.0)
    assert jump.growth == pytest.approx(1)
    root = lipschitz_refinement(lambda z: z[:, 1].abs().sqrt(), centre, 2.0)
    assert root.growth == pytest.approx(0.5)
    with pytest.raises(ValueError, match="grids that get finer"):
        lipschitz_refinement(torch.sin, centre, 2.0, (9, 9))


def test_float32_is_trusted_down_to_its_steps_and_no_further() -> None:
    centre = torch.tensor([0.7, 1.3], dtype=f64)
    found = precision_control(lambda z: torch.sin(z[:, 0]) + z[:, 1], centre, points=9)
    assert 1e-6 <= found.trusted <= 1e-5
    assert found.deviation[0] < 1e-6
    assert found.deviation[-1] > 0.5
    assert found.distinct[0] > 0.9
    assert found.distinct[-1] < 0.1
    shifted = precision_control(lambda z: z[:, 0], centre, (1.0,), double=lambda z: z[:, 0] + 1)
    assert math.isnan(shifted.trusted)
    with pytest.raises(ValueError, match="widths that decrease"):
        precision_control(torch.sin, centre, (1.0, 1.0))


def test_clones_of_two_points_agree_as_the_integral_over_two_gaussians_says() -> None:
    points, generator = 0.7 + torch.tensor([[-1.5], [1.5]], dtype=f64), torch.Generator().manual_seed(0)
    for time in (0.3, 0.8, 1.5):
        found, error = data_agreement(points, torch.tensor([0, 1]), time, 20_000, generator)
        assert abs(found - class_agreement(torch.tensor(time), 1.5, 0.0)) < 4 * error < 0.02
    apart, _ = data_agreement(points, None, 0.8, 20_000, generator)  # two points are two classes
    assert apart == pytest.approx(float(class_agreement(torch.tensor(0.8), 1.5, 0.0)), abs=0.01)
    one, _ = data_agreement(points, torch.tensor([0, 0]), 0.8, 10, generator)
    assert one.item() == pytest.approx(1)
    with pytest.raises(ValueError, match=r"expected labels \(2,\), got \(1,\)"):
        data_agreement(points, torch.tensor([0]), 0.8)
