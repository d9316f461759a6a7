import math

import pytest
import torch

from lsgen.metrics import ActiveUnits, EvidenceLowerBound, bits_per_dimension
from lsgen.models import Losses


def _losses(n: int, seed: int) -> Losses:
    generator = torch.Generator().manual_seed(seed)
    return Losses(torch.zeros(()), torch.rand(n, generator=generator) * 100, torch.rand(n, 3, generator=generator))


def test_bound_is_exact_whatever_the_batches() -> None:
    metric, parts = EvidenceLowerBound(3), [_losses(n, n) for n in (64, 64, 7)]
    for part in parts:
        metric.update(part)
    reconstruction = torch.cat([p.reconstruction for p in parts]).double()
    kl = torch.cat([p.kl for p in parts]).double()
    value = metric.compute()
    torch.testing.assert_close(value["elbo"], -(reconstruction + kl.sum(1)).mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(value["kl_per_dimension"], kl.mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(value["kl"], kl.sum(1).mean(), rtol=1e-12, atol=0)


def test_bounds_of_two_processes_add_up() -> None:
    whole, first, second = (EvidenceLowerBound(3) for _ in range(3))
    for part, metric in ((_losses(64, 0), first), (_losses(7, 1), second)):
        metric.update(part)
        whole.update(part)
    for name, reduce in whole._reductions.items():
        merged = reduce(torch.stack([getattr(first, name), getattr(second, name)]))
        torch.testing.assert_close(merged, getattr(whole, name))


def test_active_units_are_those_that_move_with_the_data() -> None:
    mean = torch.randn(5000, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean = mean * torch.tensor([1.0, 0.2, 0.05, 0.0]) + torch.tensor([0.0, 3.0, 3.0, 3.0])
    metric = ActiveUnits(4)
    for part in mean.split(999):
        metric.update(part)
    torch.testing.assert_close(metric.variances, mean.var(0, correction=0), rtol=1e-9, atol=1e-12)
    assert metric.compute().item() == 2


def test_bits_of_a_uniform_image_are_its_depth() -> None:
    dimensions = 12
    uniform_pmf = torch.tensor(-dimensions * math.log(256.0))
    torch.testing.assert_close(bits_per_dimension(uniform_pmf, dimensions), torch.tensor(8.0))
    torch.testing.assert_close(bits_per_dimension(torch.tensor(0.0), dimensions, levels=256), torch.tensor(8.0))


def test_negative_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a variance threshold of at least 0, got -1"):
        ActiveUnits(3, threshold=-1)


def test_point_posteriors_have_a_reconstruction_and_no_bound() -> None:
    metric = EvidenceLowerBound(0)
    metric.update(Losses(torch.zeros(()), torch.ones(4), torch.zeros(4, 0)))
    value = metric.compute()
    assert value["reconstruction"].item() == 1
    assert math.isnan(value["elbo"].item())
    assert math.isnan(value["kl"].item())
