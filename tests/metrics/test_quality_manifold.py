"""Balls of neighbours against counts by brute force; path lengths of linear generators in closed form."""

from math import pi, sqrt

import pytest
import torch
from torch import Tensor, nn

from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.quality import PrecisionRecall, path_length, precision_recall


def _brute_force(real: Tensor, fake: Tensor, k: int) -> dict[str, float]:
    """Count point by point, with loops and sorting."""
    distance = lambda a, b: float((a - b).square().sum().sqrt())
    radius = lambda i, x: sorted(distance(x[i], x[j]) for j in range(len(x)) if j != i)[k - 1]
    real_radius, fake_radius = [radius(i, real) for i in range(len(real))], [radius(j, fake) for j in range(len(fake))]
    hits = [[distance(x, y) <= r for x, r in zip(real, real_radius, strict=True)] for y in fake]
    back = [[distance(x, y) <= r for y, r in zip(fake, fake_radius, strict=True)] for x in real]
    return {
        "precision": sum(map(any, hits)) / len(fake),
        "recall": sum(map(any, back)) / len(real),
        "density": sum(map(sum, hits)) / (k * len(fake)),
        "coverage": sum(any(hit[i] for hit in hits) for i in range(len(real))) / len(real),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
def test_counts_by_brute_force(k: int) -> None:
    generator = torch.Generator().manual_seed(k)
    real = torch.randn(40, 3, dtype=torch.float64, generator=generator)
    fake = 0.8 * torch.randn(30, 3, dtype=torch.float64, generator=generator) + 1.2
    expected = _brute_force(real, fake, k)
    assert 0 < expected["precision"] < 1
    metric = PrecisionRecall(k, chunk_size=7)
    for part in real.split(11):
        metric.update(part, real=True)
    metric.update(fake, real=False)
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx(expected)


def test_extremes() -> None:
    x = torch.randn(50, 4)
    same = precision_recall(x, x, k=3)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    far = precision_recall(x, x + 1000, k=3)
    assert set(map(float, far.values())) == {0.0}
    outlier = torch.cat([x, x[:1] + 1000])
    assert precision_recall(outlier, x[:4] + 1000, k=3)["recall"] == 1 / 51


def test_counts_of_prdc() -> None:
    prdc = pytest.importorskip("prdc")
    real, fake = torch.randn(120, 8, dtype=torch.float64), torch.randn(100, 8, dtype=torch.float64) + 0.5
    peer = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    assert {name: value.item() for name, value in precision_recall(real, fake, 5).items()} == pytest.approx(peer)


def _linear_space(m: int = 6, d: int = 3) -> tuple[LatentSpace, Tensor]:
    generator = nn.Linear(d, m).double()
    return LatentSpace(generator, FixedGaussian((m,)), StandardNormal(d).double()), generator.weight.detach()


@pytest.mark.parametrize("ends", [True, False])
def test_path_length_of_a_linear_generator(ends: bool) -> None:
    space, W = _linear_space()
    result = path_length(space, n=20_000, ends=ends, discard=0.0, eps=1e-3)
    assert (result.mean - 2 * W.square().sum()).abs() < 5 * result.std / sqrt(20_000)
    assert result.kept == 20_000


def test_path_length_on_great_circles_of_an_isometry() -> None:
    """On the sphere of the first two axes: unit codes at angle w apart, so |p'|^2 = w^2 + (difference of norms)^2."""
    space, _ = _linear_space(2, 2)
    space.decoder.weight.data.copy_(torch.eye(2))
    result = path_length(space, n=40_000, path="slerp", ends=True, discard=0.0, eps=1e-4)
    rayleigh = 2 * (2 - pi / 2)
    expected = rayleigh + 2 * pi**2 / 3
    assert (result.mean - expected).abs() < 5 * result.std / sqrt(40_000) + 1e-2


def test_extremes_are_discarded_from_both_ends() -> None:
    space, _ = _linear_space()
    count = iter(range(10_000))
    distance = lambda a, b: torch.tensor([float(next(count)) for _ in a])
    result = path_length(space, distance, n=200, eps=0.5, discard=0.05, batch_size=64)
    assert result.kept == 180
    assert result.mean.item() == pytest.approx(4 * (10 + 189) / 2)


def test_the_global_generator_is_left_alone() -> None:
    space, _ = _linear_space()
    state = torch.get_rng_state()
    first, second = (path_length(space, n=50, seed=4).mean for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    assert first == second


def test_each_pair_of_scores_has_the_k_of_its_authors() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(60, 3), torch.randn(50, 3) * 1.3
    found = precision_recall(real, fake, chunk_size=7)
    three, five = (precision_recall(real, fake, k) for k in (3, 5))
    for name in ("precision", "recall"):
        assert found[name] == three[name] != five[name]
    for name in ("density", "coverage"):
        assert found[name] == five[name] != three[name]
    metric = PrecisionRecall(chunk_size=7)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    assert metric.compute() == found


def test_impossible_requests_are_refused() -> None:
    space, _ = _linear_space()
    with pytest.raises(ValueError, match="expected k between 1 and 3, as there are 4 observations, got 4"):
        precision_recall(torch.zeros(4, 2), torch.zeros(9, 2), k=4)
    with pytest.raises(ValueError, match='expected path "geodesic", "linear" or "slerp", got '):
        path_length(space, path="bezier")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got 10, 256, 1\.0 and 0\.01"):
        path_length(space, n=10, eps=1.0)
