"""Modalities lie side by side, some are missing from training as often as was asked for, and one stays."""

from itertools import product
from math import prod

import pytest
import torch

from lsgen.data import DigitLabel, Digits, Loading, MultimodalData, TensorSource
from lsgen.data.encodings import image_encoding

N = 20_000


class Numbered(MultimodalData):
    """Observation n has n + 1 in every place of three modalities."""

    def __init__(self, missing=None, loading=None, shapes=None, **options):
        provides = {"a": (2,), "b": (1, 2, 2), "c": (1,)}
        super().__init__(None, shapes, provides, missing, 50, 0, loading or Loading(), **options)

    def build(self, split):
        part = ("train", "val", "test").index(split)
        rows = torch.arange(N).split([N - 200, 100, 100])[part]
        return self.subset(TensorSource(x=(torch.arange(N) + 1.0)[:, None].expand(N, 7)), rows, split)


def whole(data, split="train"):
    return data.dataset(split)[torch.arange(len(data.dataset(split)))]


def test_modalities_are_missing_as_often_as_asked_and_one_stays():
    shares = {"a": 0.7, "b": 0.5, "c": 0.6}
    batch = whole(Numbered(shares))
    present = batch["present"]
    assert (present.dtype, present.shape) == (torch.bool, (N - 200, 3))
    assert present.any(1).all()
    for place, share in enumerate(shares.values()):
        found = (~present[:, place]).double().mean().item()
        assert found == pytest.approx(share, abs=5 * (share * (1 - share) / N) ** 0.5)
    # of what remains the modalities are independent: the odds of all sets are products
    count = {
        pattern: (~present == torch.tensor(pattern)).all(1).sum().item() for pattern in product((False, True), repeat=3)
    }
    assert count[True, True, True] == 0
    one, two = (True, False, False), (True, True, False)
    ratio = count[two] * count[False, False, True] / (count[False, True, True] * count[one])
    deviation = sum(1 / count[pattern] for pattern in (two, one, (False, True, True), (False, False, True))) ** 0.5
    assert ratio == pytest.approx(1, abs=5 * deviation)


def test_modalities_that_never_lack_together_are_independent():
    present = whole(Numbered({"a": 0.9, "c": 0.8}))["present"]
    assert present[:, 1].all()
    both = (~present[:, 0] & ~present[:, 2]).double().mean().item()
    assert both == pytest.approx(0.72, abs=5 * (0.72 * 0.28 / N) ** 0.5)


def test_what_is_missing_is_zero_and_the_rest_is_as_it_was():
    data = Numbered({"a": 0.5, "b": 0.25})
    batch, rows = whole(data), data.dataset("train").rows
    sizes = [prod(shape) for shape in data.shapes.values()]
    mask = batch["present"].repeat_interleave(torch.tensor(sizes), 1)
    assert torch.equal(batch["x"], torch.where(mask, rows[:, None] + 1.0, 0.0))
    for split in ("val", "test"):
        assert "present" not in whole(data, split)
        assert (whole(data, split)["x"] > 0).all()
    assert "present" not in whole(Numbered())


def test_which_modalities_are_missing_depends_on_the_observation_and_the_seed_of_the_splits():
    first, again = (Numbered({"a": 0.5}).dataset("train") for _ in range(2))
    some = torch.tensor([5, 900, 17])
    assert torch.equal(first[some]["present"], again[torch.arange(1000)]["present"][some])
    other = Numbered({"a": 0.5}, Loading(split_seed=1)).dataset("train")[torch.arange(1000)]["present"]
    agree = (other == first[torch.arange(1000)]["present"])[:, 0].double().mean().item()
    assert agree == pytest.approx(0.5, abs=5 * 0.5 / 1000**0.5)


@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        ({"d": 0.5}, "expected data.missing of a, b, c, got one of 'd'"),
        ({"a": 1.0}, r"expected a share of missing observations in \[0, 1\) for 'a', got 1.0"),
        ({"b": -0.1}, r"expected a share of missing observations in \[0, 1\) for 'b', got -0.1"),
        ({"a": 0.8, "b": 0.7, "c": 0.5}, "expected shares of missing modalities with a sum below 2"),
    ],
)
def test_shares_that_cannot_be_are_refused(shares, sentence):
    with pytest.raises(ValueError, match=sentence):
        Numbered(shares)


def test_other_mistakes_are_refused():
    with pytest.raises(ValueError, match=r"expected no data\.loading\.neighbours with data\.missing"):
        Numbered({"a": 0.5}, Loading(neighbours=2))
    with pytest.raises(ValueError, match="expected encodings of a, b, c, got one of 'd'"):
        Numbered(encodings={"d": image_encoding(17, False)})
    with pytest.raises(ValueError, match=r"expected shapes .*, which Numbered provides, got"):
        Numbered(shapes={"a": (2,), "c": (1,), "b": (1, 2, 2)})


@pytest.mark.parametrize("binarise", ["none", "dynamic"])
def test_images_are_beside_their_labels_and_encoded_as_they_are_alone(binarise):
    data, alone = DigitLabel(binarise=binarise), Digits(binarise=binarise)
    for split in ("train", "val", "test"):
        found, expected = whole(data, split), whole(alone, split)
        parts = data.packing.unpack(found["x"])
        assert torch.equal(parts["label"][:, 0].to(torch.int64), expected["label"])
        assert torch.equal(found["label"], expected["label"])
        if binarise == "none":
            assert torch.equal(parts["image"], expected["x"])
    if binarise == "dynamic":  # a level v of 16 is drawn as 1 with probability v / 16
        grey = whole(Digits())["x"]
        drawn = data.packing.unpack(whole(data)["x"])["image"]
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(drawn[(grey == 0) | (grey == 1)], grey[(grey == 0) | (grey == 1)])
        error = (drawn - grey).sum().item()
        assert abs(error) < 5 * (grey * (1 - grey)).sum().sqrt().item()
