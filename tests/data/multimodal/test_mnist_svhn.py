"""Pairs of small files that the test writes: of one digit, as many as there are, and no image in two splits."""

import struct
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.io import savemat

from lsgen.data import MnistSvhn

SIZES = {"mnist": (60, 40), "svhn": (50, 30)}


@pytest.fixture
def root(tmp_path):
    """Write images whose pixels are all their own number, those of a test from 128 on."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, first, size in (("train", 0, SIZES["mnist"][0]), ("t10k", 128, SIZES["mnist"][1])):
        numbers = np.arange(first, first + size, dtype=np.uint8)
        pixels = np.broadcast_to(numbers[:, None, None], (size, 28, 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, size, 28, 28) + pixels.tobytes())
        labels = (np.arange(size) % 10).astype(np.uint8)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, size) + labels.tobytes())
    for part, first, size in (("train", 0, SIZES["svhn"][0]), ("test", 128, SIZES["svhn"][1])):
        numbers = np.arange(first, first + size, dtype=np.uint8)
        labels = np.arange(size) % 10
        content = {"X": np.broadcast_to(numbers, (32, 32, 3, size)), "y": np.where(labels == 0, 10, labels)[:, None]}
        savemat(tmp_path / f"{part}_32x32.mat", content)
    return tmp_path


def pairs(data, split):
    """Return the numbers of the images of each pair, and the labels."""
    batch = data.dataset(split)[torch.arange(len(data.dataset(split)))]
    parts = {name: (part * 255).round().flatten(1) for name, part in data.packing.unpack(batch["x"]).items()}
    assert all((part == part[:, :1]).all() for part in parts.values())
    return [part[:, 0].int().tolist() for part in parts.values()], batch["label"].tolist()


def test_pairs_are_of_one_digit_and_splits_share_no_image(root):
    data = MnistSvhn(root=str(root), pairs_per_image=3, val_size=0.2)
    seen = {"mnist": [], "svhn": []}
    for split, offset in (("train", 0), ("val", 0), ("test", 128)):
        (mnist, svhn), labels = pairs(data, split)
        assert [(n - offset) % 10 for n in mnist] == [(n - offset) % 10 for n in svhn] == labels
        for name, numbers in (("mnist", mnist), ("svhn", svhn)):
            assert max(Counter(numbers).values()) <= 3
            seen[name].append(set(numbers))
    for parts in seen.values():
        assert sum(map(len, parts)) == len(set.union(*parts))
    # 4 test images of a digit in one set and 3 in the other make 3 pairs a digit and pass
    (mnist, svhn), _ = pairs(data, "test")
    assert len(mnist) == 3 * 10 * 3
    assert set(Counter(svhn).values()) == {3}


def test_passes_differ_and_depend_on_the_seed_of_the_splits(root):
    first, same = (MnistSvhn(root=str(root), pairs_per_image=4, seed=seed) for seed in (0, 1))
    assert pairs(first, "train") == pairs(same, "train")
    (mnist, svhn), _ = pairs(first, "train")
    assert len(set(zip(mnist, svhn, strict=True))) > 1.5 * len(set(mnist))


def test_what_is_missing_or_wrong_is_told(root, tmp_path):
    with pytest.raises(ValueError, match="expected pairs_per_image of at least 1, got 0"):
        MnistSvhn(root=str(root), pairs_per_image=0)
    with pytest.raises(ValueError, match=r"expected val_size to be a fraction in \(0, 1\), of either set, got 10"):
        MnistSvhn(root=str(root), val_size=10)
    savemat(root / "train_32x32.mat", {"X": np.zeros((32, 32, 3, 5)), "y": np.ones((5, 1))})
    with pytest.raises(ValueError, match=r"expected the SVHN data in .*train_32x32\.mat"):
        MnistSvhn(root=str(root)).dataset("train")
    (root / "test_32x32.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected the SVHN data at .*test_32x32\.mat"):
        MnistSvhn(root=str(root))
