"""Stacked digits are three digits, and their label is the number that these write."""

import pytest
import torch

from lsgen.data import StackedDigits


def small(**changes):
    options = {"shape": (3, 8, 8), "digits": "scanned", "train_size": 300, "val_size": 40, "test_size": 60}
    return StackedDigits(**{**options, **changes})


def test_every_channel_is_a_digit_of_its_split():
    data = small()
    for split, size in (("train", 300), ("val", 40), ("test", 60)):
        stacked, single = (of.dataset(split) for of in (data, data.single))
        assert len(stacked) == size
        batch, digits = stacked[torch.arange(size)], single[torch.arange(len(single))]
        rows = {tuple(x.flatten().tolist()): int(label) for x, label in zip(digits["x"], digits["label"], strict=True)}
        found = [[rows[tuple(channel.flatten().tolist())] for channel in x] for x in batch["x"]]
        assert batch["label"].tolist() == [int("".join(map(str, triple))) for triple in found]
        assert len({tuple(triple) for triple in found}) > size / 2


def test_triples_do_not_depend_on_the_seed_of_the_run():
    first, second = (small(seed=seed).dataset("train")[torch.arange(20)] for seed in (0, 1))
    assert torch.equal(first["x"], second["x"])


def test_options_out_of_range():
    with pytest.raises(ValueError, match='expected digits "mnist" or "scanned", got \'letters\''):
        small(digits="letters")
    with pytest.raises(ValueError, match="expected sizes of at least 1"):
        small(test_size=0)
    with pytest.raises(ValueError, match=r"expected shape \(3, 8, 8\), which .* provides, got \(3, 28, 28\)"):
        small(shape=(3, 28, 28))
