"""Every modality shows the digit of the label, inverted before a crop of its texture, and no digit is in two splits."""

import pytest
import torch

from lsgen.data import Digits, Loading, TexturedDigits
from lsgen.data.multimodal.textures import TEXTURES, texture


def whole(data, split):
    return data.dataset(split)[torch.arange(len(data.dataset(split)))]


def digits_of(split):
    """The digits of a split, as 16 x 16 pixels where the interpolated grey value exceeds 8."""
    batch = whole(Digits(val_size=180), split)
    grey = torch.nn.functional.interpolate(batch["x"] * 16, scale_factor=2, mode="bilinear")
    return grey[:, 0] > 8, batch["label"]


def unmixed(image, on):
    """Return the digits that would have made a crop of the texture of this image, one for each place that fits."""
    # a pixel is v or 255 - v: |2 p - 255| does not depend on the digit
    there, here = ((2 * pixels.int() - 255).abs() for pixels in (on, image))
    first = (there[:, :-15, :-15] == here[:, :1, :1]).all(0) & (there[:, 15:, 15:] == here[:, -1:, -1:]).all(0)
    found = []
    for row, column in first.nonzero().tolist():
        window = slice(row, row + 16), slice(column, column + 16)
        if torch.equal(there[:, *window], here):
            found.append((on[:, *window] != image).any(0))
    return found


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_digit_of_the_label_is_inverted_before_a_crop(split):
    data = TexturedDigits()
    batch = data.dataset(split)[torch.arange(12)]
    masks, labels = digits_of(split)
    for name, images in data.packing.unpack(batch["x"]).items():
        on = texture(name, 16)
        for image, label in zip((images * 255).round().to(torch.uint8), batch["label"], strict=True):
            found = unmixed(image, on)
            same = masks[labels == label]
            assert any((same == digit).flatten(1).all(1).any() for digit in found)


def test_every_modality_takes_each_digit_of_its_split_once_in_an_order_of_its_own():
    data = TexturedDigits(val_size=30)
    masks = data._digits("val")[0]
    orders = []
    for name, images in data.packing.unpack(whole(data, "val")["x"]).items():
        on = texture(name, 16)
        order = []
        for image in (images * 255).round().to(torch.uint8):
            found = unmixed(image, on)
            order += [n for n, mask in enumerate(masks) if any(torch.equal(mask, digit) for digit in found)][:1]
        assert sorted(order) == list(range(30))
        orders.append(tuple(order))
    assert len(set(orders)) == 3


def test_the_draws_depend_on_the_seed_of_the_splits_alone():
    first, same = TexturedDigits(seed=1), TexturedDigits(seed=2)
    other = TexturedDigits(loading=Loading(split_seed=1))
    assert torch.equal(whole(first, "val")["x"], whole(same, "val")["x"])
    assert not torch.equal(whole(first, "val")["x"], whole(other, "val")["x"])


def test_a_modality_is_the_same_whatever_stands_beside_it():
    pair, alone = TexturedDigits(textures=["clouds", "china"]), TexturedDigits(textures=["china"])
    assert torch.equal(pair.packing.unpack(whole(pair, "val")["x"])["china"].flatten(1), whole(alone, "val")["x"])


@pytest.mark.parametrize("name", TEXTURES)
def test_textures_are_coloured_and_varied(name):
    found = texture(name, 28)
    assert found.dtype == torch.uint8
    assert found.shape[0] == 3
    assert min(found.shape[1:]) >= 200
    assert (found.double().std((1, 2)) > 20).all()
    smaller = texture(name, 14)
    assert [abs(2 * a - b) <= 1 for a, b in zip(smaller.shape[1:], found.shape[1:], strict=True)] == [True, True]
    torch.testing.assert_close(smaller.double().mean((1, 2)), found.double().mean((1, 2)), atol=1.5, rtol=0)


def test_options_out_of_range():
    with pytest.raises(ValueError, match='expected images "scanned" or "mnist", got \'letters\''):
        TexturedDigits(images="letters")
    with pytest.raises(ValueError, match=r"expected different textures out of china, .*, got \['china', 'china'\]"):
        TexturedDigits(textures=["china", "china"])
    with pytest.raises(ValueError, match=r"expected different textures out of china, .*, got \[\]"):
        TexturedDigits(textures=[])
