"""The share of variance that shifts make, of codes that know the shift alone, none of it, or a part."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lsgen.data.augmentation import shifted
from lsgen.latent import FeatureSpace
from lsgen.reproduction.measures.similarity.shift_invariance import ShiftInvariance


class Places(nn.Module):
    """The column of the ink, or its row."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        places = [x.sum((1, 5 - dim)) @ torch.arange(9.0) for dim in self.dims]
        return torch.stack(places, 1)


def _run(*dims: int) -> Any:
    """Return a run whose images are one pixel in the middle column, with the class by the row."""
    x = torch.zeros(40, 1, 9, 9)
    rows = torch.arange(40) % 8
    x[torch.arange(40), 0, rows, 4] = 1
    batch = {"x": x, "label": (rows > 3).long()}
    space = FeatureSpace(Places(*dims), len(dims))
    return SimpleNamespace(model=SimpleNamespace(latent_space=space), probe=lambda n=None, split="test": batch)


def test_shifts_make_all_none_or_a_known_part_of_the_variance() -> None:
    found = {dims: ShiftInvariance((-2, 0, 2), 40)(_run(*dims)) for dims in ((3,), (2,), (2, 3))}
    assert found[3,].values["shift_share"] == pytest.approx(100.0)
    assert found[2,].values["shift_share"] == pytest.approx(0.0, abs=1e-9)
    within, between = 8 / 3, float(torch.arange(8.0).var(correction=0))
    assert found[2, 3].values["shift_share"] == pytest.approx(100 * within / (within + between))
    assert found[2, 3].arrays["shift_share"].shape == (40,)
    assert found[2,].values["linear"] == 100.0
    assert found[3,].values["linear"] == 50.0
    with pytest.raises(ValueError, match="expected at least 2 shifts and images, got 1 and 1000"):
        ShiftInvariance((0,))


def test_images_are_shifted_and_filled_up() -> None:
    x = torch.arange(1.0, 5.0)[None]
    assert shifted(x, 1).tolist() == [[0, 1, 2, 3]]
    assert shifted(x, -3).tolist() == [[4, 0, 0, 0]]
    assert torch.equal(shifted(x, 0), x)
