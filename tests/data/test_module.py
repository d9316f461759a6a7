"""What every data module shares: probes, options that are refused, files and splits."""

import platform
import subprocess
import sys

import pytest
import torch

from lsgen.data import Digits, Loading, Sprites
from lsgen.data.loading import return_memory
from lsgen.data.splits import random_split, resolve_size


def test_a_probe_is_the_same_in_every_call_and_run_and_grows_at_its_end():
    data, other = Digits(seed=0), Digits(seed=7)
    first = data.probe(8)
    torch.manual_seed(3)
    for probe in (data.probe(8), other.probe(8), {name: value[:8] for name, value in data.probe(20).items()}):
        assert all(torch.equal(first[name], probe[name]) for name in first)
    assert not torch.equal(data.probe(8, "test")["x"], first["x"])


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    data = Digits()
    test = data.dataset("test")
    batch = test[torch.arange(len(test))]
    digits = load_digits()
    assert torch.equal((batch["x"][:, 0] * 16).double(), torch.from_numpy(digits.images)[test.rows.long()])
    assert torch.equal(batch["label"], torch.from_numpy(digits.target)[test.rows.long()])


def test_splits_are_disjoint_and_complete():
    parts = random_split(100, {"val_size": 0.25, "test_size": 10}, seed=0)
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 65, "val": 25, "test": 10}
    assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(100))
    again, other = (random_split(100, {"val_size": 0.25, "test_size": 10}, seed=seed) for seed in (0, 1))
    assert torch.equal(parts["val"], again["val"])
    assert not torch.equal(parts["val"], other["val"])


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (1.0, r"val_size to be a number of observations or a fraction in \[0, 1\), got 1.0"),
        (-0.1, "fraction in .* got -0.1"),
        (100, "val_size between 0 and 99, for 100 observations in all, got 100"),
        (-1, "got -1"),
    ],
)
def test_impossible_sizes_are_refused(size, message):
    with pytest.raises(ValueError, match=message):
        resolve_size(size, 100, "val_size")


def test_splits_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match=r"leave something of 100 observations .* val_size = 60 and test_size = 40"):
        random_split(100, {"val_size": 60, "test_size": 40}, 0)
    with pytest.raises(ValueError, match=r"train_size = 50"):
        random_split(100, {"val_size": 60}, 0, train_size=50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (1, 28, 28)}, r"expected shape \(1, 8, 8\), which Digits provides, got \(1, 28, 28\)"),
        ({"batch_size": 0}, "batch_size of at least 1, got 0"),
        ({"seed": -1}, "a seed of at least 0, got -1"),
        ({"binarise": "maybe"}, "binarise to be .* got 'maybe'"),
        ({"val_size": 1797}, "val_size between 0 and 1796"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Digits(**options)


@pytest.mark.parametrize("name", ["num_workers", "split_seed"])
def test_negative_options_of_loading_are_refused(name):
    with pytest.raises(ValueError, match=f"expected {name} of at least 0, got -1"):
        Loading(**{name: -1})


def test_a_batch_larger_than_the_training_set_is_refused_before_work_starts():
    with pytest.raises(ValueError, match=r"at least 2000 \(drop_last\) observations .* got 1257"):
        Digits(batch_size=2000, loading=Loading(drop_last=True)).setup("fit")
    Digits(batch_size=2000).setup("fit")


def test_unknown_splits_and_impossible_probes_are_refused():
    with pytest.raises(ValueError, match=r"between 1 and 180 observations of the val split, got 181"):
        Digits().probe(181)
    with pytest.raises(ValueError, match='"train", "val" and "test", got \'all\''):
        Digits().dataset("all")


def test_workers_return_the_same_batches():
    options = {"batch_size": 16, "train_size": 64, "seed": 5}
    alone, helped = Sprites(**options), Sprites(loading=Loading(num_workers=2), **options)
    for a, b in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


HELD = """
from lsgen.data.loading import return_memory


def megabytes():
    status = open("/proc/self/status").read().splitlines()
    return sum(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 2**10


def held():
    before = megabytes()
    arrays = [bytearray(b"x") * (16 << 20)]
    arrays.clear()
    arrays += [bytearray(b"x") * (8 << 20) for _ in range(20)]
    kept.extend(bytearray(b"x") * (100 << 10) for _ in range(64))
    arrays.clear()
    return megabytes() - before


kept = []
first = held()
return_memory(0)
print(first, held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
@pytest.mark.slow
def test_workers_return_the_memory_of_large_arrays():
    """160 MB were freed below small arrays that are still in use."""
    done = subprocess.run([sys.executable, "-c", HELD], check=True, capture_output=True, text=True)
    without, with_the_option = (float(number) for number in done.stdout.split())
    assert without > 100
    assert with_the_option < 20
    assert Digits(loading=Loading(num_workers=1)).train_dataloader().worker_init_fn is return_memory
