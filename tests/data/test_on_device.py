"""Data that lie on the device that trains give the same batches; what cannot lie there is refused."""

import pytest
import torch

from lsgen.data import Digits, Labels, Loading, Missing, Position, Sprites
from lsgen.data.draws import Purpose, _by_torch, key, uniform


def batches(on_device, **options):
    data = Digits(batch_size=100, seed=3, loading=Loading(on_device=on_device), **options)
    data.setup("fit")
    data._start = Position(1, 4)
    return [*data.train_dataloader(), *data.val_dataloader()]


@pytest.mark.parametrize(
    "options",
    [
        {"binarise": "dynamic", "labelled": Labels(50, share=0.5)},
        {"dequantise": True, "missing": Missing(0.3, "mar")},
        {"missing": Missing(0.5, "self_masked")},
    ],
)
def test_batches_are_the_same(options):
    here, there = batches(False, **options), batches(True, **options)
    assert len(here) == len(there) > 5
    for a, b in zip(here, there, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("rows", [torch.tensor([0, 7, 2**40, 5]), torch.empty(0, dtype=torch.int64)])
@pytest.mark.parametrize("size", [1, 784])
def test_draws_are_the_same_bits_everywhere(rows, size):
    for seed in range(20):
        state = key(seed, Purpose.VALUES, 2)
        assert torch.equal(uniform(state, rows, size), _by_torch(state, rows, size))
    assert torch.equal(uniform(2**64 - 1, rows, size), _by_torch(2**64 - 1, rows, size))


def test_what_cannot_lie_there_is_refused():
    with pytest.raises(ValueError, match=r"num_workers of 0 with data.loading.on_device.* got 2"):
        Loading(num_workers=2, on_device=True)
    with pytest.raises(
        ValueError, match=r"no data.loading.on_device for Sprites, whose observations are not in memory"
    ):
        Sprites(loading=Loading(on_device=True)).setup("fit")
