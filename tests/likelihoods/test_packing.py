"""A packed vector holds every modality once, in the order of their names."""

from __future__ import annotations

import re

import pytest
import torch

from lsgen.likelihoods import Packing

PACKING = Packing({"image": (1, 2, 3), "label": (1,), "text": (4,)})


def _parts(batch: int = 5) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    shapes = PACKING.shapes
    return {
        "image": torch.rand(batch, *shapes["image"]),
        "text": torch.randint(9, (batch, 4)),
        "label": torch.randint(3, (batch, 1)),
    }


def test_unpack_is_the_inverse_of_pack() -> None:
    """Values, places and sizes are those that were packed, whole numbers in floating point."""
    x = PACKING.pack(_parts())
    assert x.shape == (5, PACKING.dimensions) == (5, 6 + 1 + 4)
    assert x.dtype == torch.float32
    for name, part in PACKING.unpack(x).items():
        assert torch.equal(part, _parts()[name].to(x))
    assert torch.equal(x[:, PACKING.slices["label"]], _parts()["label"].to(x))
    samples = x.expand(2, 5, -1)
    assert PACKING.unpack(samples)["image"].shape == (2, 5, 1, 2, 3)


def test_the_widest_type_of_the_parts_is_kept() -> None:
    """Double precision is not lost."""
    assert PACKING.pack(_parts() | {"image": _parts()["image"].double()}).dtype == torch.float64


def test_two_packings_are_equal_if_names_shapes_and_order_are() -> None:
    """The order counts: it says where a modality lies."""
    assert Packing(PACKING.shapes) == PACKING
    assert hash(PACKING) == hash(Packing(PACKING.shapes))
    assert Packing({"a": (1,), "b": (2,)}) != Packing({"b": (2,), "a": (1,)})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text": torch.zeros(3, 4)}, "expected modalities of one batch size, got 5 of 'image', 5 of 'label', 3 of"),
        ({"text": torch.zeros(5, 3)}, "expected 'text' of shape (B, 4), got (5, 3)"),
        ({"sound": torch.zeros(5, 3)}, "expected the modalities image, label, text, got image, text, label, sound"),
    ],
)
def test_other_modalities_are_refused(change: dict[str, torch.Tensor], sentence: str) -> None:
    """A wrong batch size, shape or name is one sentence."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        PACKING.pack(_parts() | change)


def test_a_missing_modality_an_unknown_name_and_another_width_are_refused() -> None:
    """Each is one sentence."""
    with pytest.raises(ValueError, match="expected the modalities image, label, text, got image, text"):
        PACKING.pack({name: part for name, part in _parts().items() if name != "label"})
    with pytest.raises(ValueError, match="expected one of the modalities image, label, text, got 'sound'"):
        PACKING.place("sound")
    with pytest.raises(ValueError, match=re.escape("expected packed vectors of shape (B, 11), got (5, 10)")):
        PACKING.unpack(torch.zeros(5, 10))
    with pytest.raises(ValueError, match="expected the shape of at least one modality, got none"):
        Packing({})
