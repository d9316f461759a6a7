r"""Sprites in colour, with noise, or over a painting: factors that are known, and variation that no factor explains.

    colour      s c                                   c uniform on [1/2, 1]^3, one for an image
    noise       min(s + u, 1)                         u uniform on [0, 1], one for a pixel and channel
    scream      b, and 1 - b where s = 1              b = (patch + c) / 2, c uniform on [0, 1]^3, one for an image

for a sprite s of 0 and 1; the patch of 64 x 64 pixels is cut out at random of a picture that is shrunk to fit into
350 x 274 pixels. The draws are new in every epoch of training, and the same in every one for what is held out.

Reference: Locatello et al., "Challenging common assumptions in the unsupervised learning of disentangled
representations" (ICML 2019), https://arxiv.org/abs/1811.12359, and the code of disentanglement_lib, of which these are
Color-, Noisy- and Scream-dSprites, here of the embedded sprites.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.draws import Purpose, key, uniform
from lsgen.data.encodings import AsStored
from lsgen.data.factors.sprites import FACTOR_NAMES, FACTOR_SIZES, SIZE, factors_of, render
from lsgen.data.files import reading, require
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split

__all__ = ["ColouredSprites"]

Variant = Literal["colour", "noise", "scream"]


class ColouredSprites(DataModule):
    """737,280 sprites (3, 64, 64) in colours, with noise or over a painting, values in [0, 1]; the label is the shape.

    Args:
        shape: (3, 64, 64).
        variant: "colour", "noise" or "scream".
        picture: the file of the painting, such as Munch's "The Scream", for "scream" alone; it is not embedded.
        train_size: images to train on, a number or a fraction; all that are not held out where it is None.
        val_size: images held out for validation, a number or a fraction.
        test_size: images held out for the test, a number or a fraction.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range, or the painting is too small or damaged.
        FileNotFoundError: the painting is not there.

    """

    factor_names = FACTOR_NAMES
    factor_sizes = FACTOR_SIZES

    def __init__(
        self,
        shape: Sequence[int] | None = (3, SIZE, SIZE),
        variant: Variant = "colour",
        picture: str | None = None,
        train_size: int | float | None = None,
        val_size: int | float = 10_000,
        test_size: int | float = 10_000,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if variant not in get_args(Variant):
            raise ValueError(f'expected variant "colour", "noise" or "scream", got {variant!r}')
        if (picture is None) == (variant == "scream"):
            raise ValueError(
                f'expected a picture for the variant "scream" and for no other, got {picture} for "{variant}"'
            )
        super().__init__(shape, (3, SIZE, SIZE), AsStored(None), batch_size, seed, loading)
        self.variant: Variant = variant
        self.file = None if picture is None else Path(picture).expanduser()
        if self.file is not None:
            require("painting", [self.file], "data.picture names it")
        held_out = {"val_size": val_size, "test_size": test_size}
        self._rows = random_split(prod(FACTOR_SIZES), held_out, loading.split_seed, train_size)

    def build(self, split: Split) -> BatchDataset:
        """Return the images of a split."""
        training = split == "train"
        seed = self.seed if training else self.split_seed
        colours = _Colours(self.variant, self._painting, seed, redrawn=training)
        return self.subset(_draw, self._rows[split], split, transforms=[colours])

    @cached_property
    def _painting(self) -> Tensor:
        """The painting, (3, H, W) in [0, 1]; empty if there is none."""
        if self.file is None:
            return torch.empty(3, 0, 0)
        with reading("painting", self.file), Image.open(self.file) as image:
            small = image.convert("RGB")
            small.thumbnail((350, 274))
            if min(small.size) <= SIZE:
                raise ValueError(f"expected more than {SIZE} x {SIZE} pixels, got {small.size[0]} x {small.size[1]}")
        return torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1) / 255


class _Colours:
    """The transform that puts sprites (B, 1, 64, 64) into colours (B, 3, 64, 64)."""

    def __init__(self, variant: Variant, painting: Tensor, seed: int, redrawn: bool) -> None:
        self.variant, self.painting, self.seed, self.redrawn = variant, painting, seed, redrawn

    def __call__(self, batch: dict[str, Tensor], rows: Tensor, epoch: int) -> dict[str, Tensor]:
        state, sprite = key(self.seed, Purpose.SYNTHESIS, epoch if self.redrawn else 0), batch["x"]
        if self.variant == "noise":
            return {"x": (sprite + uniform(state, rows, 3 * SIZE**2).view(-1, 3, SIZE, SIZE)).clamp(max=1)}
        u = uniform(state, rows, 5)
        colour = u[:, :3, None, None]
        if self.variant == "colour":
            return {"x": sprite * (0.5 + 0.5 * colour)}
        room = torch.tensor([self.painting.shape[1] - SIZE, self.painting.shape[2] - SIZE])
        corners = (u[:, 3:] * room).to(torch.int64).tolist()
        patch = torch.stack([self.painting[:, top : top + SIZE, left : left + SIZE] for top, left in corners])
        background = (patch + colour) / 2
        return {"x": torch.where(sprite == 1, 1 - background, background)}


def _draw(rows: Tensor) -> Observations:
    factors = factors_of(rows)
    return {"x": render(factors), "label": factors[:, 0], "factors": factors}
