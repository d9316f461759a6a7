"""Digits on textures: several coloured images that share nothing but the digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.draws import Purpose, stream
from lsgen.data.encodings import Grey
from lsgen.data.images.digits import Digits
from lsgen.data.images.mnist import Mnist
from lsgen.data.loading import Loading
from lsgen.data.module import Split
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.data.multimodal.textures import TEXTURES, texture

__all__ = ["TexturedDigits"]

_SIDES = {"scanned": 16, "mnist": 28}
_ROWS = 4096  # observations made together


class TexturedDigits(MultimodalData):
    """Modalities (3, H, W), each named by its texture: another digit of the same class before a crop of that texture.

    As the authors of the reference construct their data, whose five pictures are not these: a digit is what exceeds
    half of the greatest grey value; the crop, placed at random, is inverted where the digit is; and every modality
    takes the digits of a class in an order of its own. The digits of one split are in no other. The label is the digit.

    Args:
        shape: (M 3 H W,).
        shapes: those of the modalities.
        images: "scanned", the digits of scikit-learn, interpolated to 16 x 16 pixels and embedded; or "mnist".
        textures: the modalities, out of "china", "flower", "stripes", "cells" and "clouds".
        root: directory of data sets; MNIST lies in "MNIST/raw", unpacked.
        val_size: training digits held out for validation; 360 scanned digits are the test.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits, of the orders and of the crops.

    Attributes:
        single: the data set of the digits.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: MNIST is not there.
        NotADirectoryError: root is not a directory.

    Reference: Sutter, Daunhawer & Vogt, "Generalized multimodal ELBO" (2021), section 4.2,
    https://arxiv.org/abs/2105.02470.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        images: str = "scanned",
        textures: Sequence[str] = ("china", "flower", "clouds"),
        root: str = "data",
        val_size: int | float = 180,
        missing: Mapping[str, float] | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if images not in _SIDES:
            raise ValueError(f'expected images "scanned" or "mnist", got {images!r}')
        known = [name for name in dict.fromkeys(textures) if name in TEXTURES]
        if known != list(textures) or not known:
            raise ValueError(f"expected different textures out of {', '.join(TEXTURES)}, got {list(textures)}")
        common: dict[str, Any] = {"val_size": val_size, "loading": Loading(split_seed=loading.split_seed)}
        single = Digits(**common) if images == "scanned" else Mnist(root=root, **common)
        side = _SIDES[images]
        provides = dict.fromkeys(textures, (3, side, side))
        encodings = dict.fromkeys(textures, Grey(256))
        super().__init__(shape, shapes, provides, missing, batch_size, seed, loading, encodings)
        self.single, self.side, self.textures = single, side, tuple(textures)

    def build(self, split: Split) -> BatchDataset:
        """Return the observations of a split, made here and kept in memory."""
        digits, label = self._digits(split)
        part = ("train", "val", "test").index(split)
        x = torch.empty(len(label), self.packing.dimensions, dtype=torch.uint8)
        for name, columns in self.packing.slices.items():
            place = list(TEXTURES).index(name)
            generator = stream(self.split_seed, Purpose.SYNTHESIS, part, place)
            shown = digits[_within_classes(label, generator)]
            on = texture(name, self.side)
            corners = torch.stack(
                [torch.randint(side - self.side + 1, (len(label),), generator=generator) for side in on.shape[1:]], 1
            )
            for some, of, at in zip(x[:, columns].split(_ROWS), shown.split(_ROWS), corners.split(_ROWS), strict=True):
                some.copy_(_before(on, of, at).flatten(1))
        return self.subset(TensorSource(x=x, label=label), torch.arange(len(label)), split, part=part)

    def _digits(self, split: Split) -> tuple[Tensor, Tensor]:
        """Return where the digits of a split are, bool (N, H, W), and their labels (N,)."""
        of = self.single.dataset(split)
        stored = of.source(of.rows.to(torch.int64))
        grey = stored["x"].to(torch.float32)
        if grey.shape[-1] != self.side:
            grey = interpolate(grey, (self.side, self.side), mode="bilinear")
        half = 8 if self.side == _SIDES["scanned"] else 128
        return grey[:, 0] > half, stored["label"]


def _within_classes(label: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random permutation (N,) of observations that leaves the label of every place as it is."""
    order = torch.empty_like(label)
    for value in label.unique():
        rows = (label == value).nonzero()[:, 0]
        order[rows] = rows[torch.randperm(len(rows), generator=generator)]
    return order


def _before(texture: Tensor, digits: Tensor, corners: Tensor) -> Tensor:
    """Return crops (N, 3, H, W) of a texture (3, h, w) at their upper left corners (N, 2), inverted within digits."""
    height, width = digits.shape[1:]
    crops = texture.unfold(1, height, 1).unfold(2, width, 1).permute(1, 2, 0, 3, 4)[corners[:, 0], corners[:, 1]]
    return crops ^ (255 * digits.to(torch.uint8))[:, None]  # 255 - crop within digits
