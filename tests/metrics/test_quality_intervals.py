"""Intervals by halves have the standard error, the centre and the coverage that theory gives."""

from math import sqrt

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from lsgen.callbacks import Neighbourhoods
from lsgen.callbacks.evaluation.sample_quality import SampleComparison
from lsgen.metrics.quality import (
    Comparison,
    DatasetClassifier,
    Halves,
    Moments,
    Pixels,
    extrapolation,
    frechet_distance,
    frechet_infinity,
    half_sample_intervals,
    kernel_distance,
)
from lsgen.metrics.quality.frechet import features_moments


def _draw(seed: int, n: int, d: int = 2, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=generator, dtype=torch.float64) + shift


def _distance(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    return {"fd": frechet_distance(features_moments(x), features_moments(y))}


def test_the_error_of_a_mean_is_the_textbook_one_and_of_two_sets_adds() -> None:
    x, y = _draw(0, 40)[:, 0], _draw(1, 90)[:, 0]
    halves = Halves(draws=400, level=0.9)
    one = half_sample_intervals(lambda a: {"mean": a.mean()}, x, halves=halves)["mean"]
    assert one.estimate == pytest.approx(x.mean().item())
    assert one.std == pytest.approx(x.std().item() / sqrt(40), rel=0.15)
    assert one.high - one.estimate == pytest.approx(student.ppf(0.95, 400) * one.std)
    assert one.estimate - one.low == pytest.approx(one.high - one.estimate)
    both = half_sample_intervals(lambda a, b: {"gap": a.mean() - b.mean()}, x, y, halves=halves)["gap"]
    assert both.std == pytest.approx(sqrt(x.var() / 40 + y.var() / 90), rel=0.15)


def test_a_bias_in_the_inverse_of_the_size_is_removed_exactly() -> None:
    """The variance that divides by N becomes the one that divides by N - 1."""
    x = _draw(2, 12)[:, 0]
    plug_in = {"v": lambda a: a.var(correction=0)}
    found = half_sample_intervals(lambda a: {"v": plug_in["v"](a)}, x, biased=("v",), halves=Halves(draws=2000))["v"]
    assert found.estimate == pytest.approx(x.var().item(), rel=0.02)
    kept = half_sample_intervals(lambda a: {"v": plug_in["v"](a)}, x, halves=Halves(draws=3))["v"]
    assert kept.estimate == pytest.approx(x.var(correction=0).item())


def test_a_kernel_distance_is_not_shifted_by_ties() -> None:
    x, y = _draw(3, 60), _draw(4, 60, shift=0.5)
    intervals = half_sample_intervals(
        lambda a, b: {"kid": kernel_distance(a, b)}, x, y, biased=("kid",), halves=Halves(draws=300)
    )
    found = intervals["kid"]
    assert found.estimate == pytest.approx(kernel_distance(x, y).item(), abs=4 * found.std / sqrt(300))


@pytest.mark.slow
def test_intervals_cover_the_distance_of_gaussians_and_the_distance_of_samples_is_above_them() -> None:
    """Closed form: 10 (0.3^2 + 0.2^2) = 1.3. At a level of 0.8, 32 of 40 are expected, with a deviation of 2.5."""
    covered = raw = 0
    for seed in range(40):
        x, y = _draw(2 * seed, 80, 10), _draw(2 * seed + 1, 70, 10, shift=0.3, scale=1.2)
        one = half_sample_intervals(_distance, x, y, biased=("fd",), halves=Halves(6, 0.8))["fd"]
        covered += one.low <= 1.3 <= one.high
        raw += abs(float(_distance(x, y)["fd"]) - 1.3) <= one.high - one.estimate
    assert covered >= 24, (covered, raw)
    assert raw < 20, (covered, raw)


def test_a_line_in_the_inverse_of_the_size_is_continued_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def line(real: Moments, fake: Moments) -> Tensor:
        seen.append(fake.n)
        return torch.tensor(3.0 + 70.0 / fake.n, dtype=torch.float64)

    monkeypatch.setattr(extrapolation, "frechet_distance", line)
    x = _draw(5, 1000)
    assert frechet_infinity(features_moments(x), x).item() == pytest.approx(3.0)
    assert seen == np.linspace(100, 1000, 15).astype(int).tolist()


def test_the_extrapolated_distance_is_that_of_the_gaussians() -> None:
    shift, d = 0.2, 8
    exact = Moments(10**9, torch.zeros(d).double(), torch.eye(d).double())
    found, raw = [], []
    for seed in range(24):
        fake = _draw(seed, 200, d, shift)
        found.append(frechet_infinity(exact, fake, sizes=6, least=0.2, seed=seed))
        raw.append(frechet_distance(exact, features_moments(fake)))
    values, error = torch.stack(found), torch.stack(found).std() / sqrt(24)
    assert abs(values.mean() - d * shift**2) < 4 * error
    assert torch.stack(raw).mean() - d * shift**2 > 4 * torch.stack(raw).std() / sqrt(24)
    for options, found_in_it in (({"sizes": 1}, "got 1, 0.1"), ({"least": 1e-3}, "0.001 and 200 observations")):
        with pytest.raises(ValueError, match=found_in_it):
            frechet_infinity(exact, fake, **options)


def test_a_comparison_gives_an_interval_of_every_value() -> None:
    real, fake = torch.randn(60, 4), torch.randn(50, 2, 2) + 0.5
    halves = Halves(draws=4)
    comparison = Comparison(Pixels((2, 2)), real, "train", 3, 2, 20, infinity=4, halves=halves)
    comparison.update(fake)
    values = comparison.compute()
    expected = half_sample_intervals(_distance, real, fake.flatten(1), biased=("fd",), halves=halves)["fd"]
    keys = ("fd_pixels_unbiased", "fd_pixels_unbiased_low", "fd_pixels_unbiased_high")
    assert [values[key] for key in keys] == pytest.approx(list(expected[:3]))
    assert values["fd_pixels_infinity"] == pytest.approx(
        frechet_infinity(features_moments(real), fake.flatten(1), 4).item()
    )
    assert "fd_pixels_low" not in values, "the interval is not around the distance that has a bias"
    for key in ("fd_pixels_infinity", "kid_pixels", "precision_pixels", "recall_pixels", "density_pixels"):
        assert values[f"{key}_low"] <= values[key] <= values[f"{key}_high"], key
    assert not any("_std_" in key for key in values)


def test_bad_settings_are_refused_before_any_work() -> None:
    with pytest.raises(ValueError, match=r"at least 2 draws and a level in .* got 1 and 0\.95"):
        Halves(draws=1)
    with pytest.raises(ValueError, match=r"sets of at least 4 observations, got \[5, 3\]"):
        half_sample_intervals(_distance, _draw(0, 5), _draw(0, 3))
    with pytest.raises(ValueError, match="expected infinity of 0, or at least 2 subsets"):
        Comparison(Pixels((2, 2)), torch.zeros(5, 4), "train", infinity=1)
    with pytest.raises(ValueError, match=r"at least twice neighbourhoods\.splits = 20, got 15"):
        SampleComparison(DatasetClassifier((1, 8, 8)), n=15, neighbourhoods=Neighbourhoods(halves=Halves()))
    with pytest.raises(ValueError, match="n of at least 40 to extrapolate from, got 39"):
        SampleComparison(Pixels((2,)), n=39, neighbourhoods=Neighbourhoods(infinity=15, halves=Halves()))
