"""Augmentation of the images of a training batch, on the device, by random numbers that belong to the observation.

The transforms are those of `torchvision.transforms.v2`, or any functions of an image. They draw from PyTorch's own
generators, which are seeded for each observation by (seed, epoch, row) and restored afterwards: a resumed run sees the
images that the uninterrupted one would have seen, with any number of workers and processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lsgen.data.draws import Purpose, key

__all__ = ["Augmentation", "augmentation_draws"]


def augmentation_draws(seed: int, epoch: int, rows: Tensor) -> Tensor:
    """Return the seed of the random numbers of each row in an epoch, int64 (B,)."""
    return torch.tensor([key(seed, Purpose.AUGMENTATION, epoch, row) >> 1 for row in rows.tolist()])


class Augmentation:
    """Transforms every image of a batch by itself.

    Args:
        transforms: image (C, H, W) -> image (C, H, W), one after the other.

    """

    def __init__(self, transforms: Sequence[Callable[[Tensor], Tensor]]) -> None:
        self.transforms = tuple(transforms)

    def __call__(self, x: Tensor, draws: Sequence[int]) -> Tensor:
        """Return transformed images (B, C, H, W).

        Args:
            x: images (B, C, H, W), which stay as they are.
            draws: the seed of the random numbers of each.

        Raises:
            ValueError: an image has another shape afterwards.

        """
        devices = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            return torch.stack([self._transformed(image, draw) for image, draw in zip(x, draws, strict=True)])

    def _transformed(self, image: Tensor, draw: int) -> Tensor:
        torch.manual_seed(draw)
        new = image.clone()
        for transform in self.transforms:
            new = transform(new)
        if new.shape != image.shape:
            raise ValueError(
                f"expected data.loading.augment to keep images of shape {tuple(image.shape)}, got {tuple(new.shape)}"
            )
        return new
