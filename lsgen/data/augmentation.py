"""Augmentation of the images of a training batch, on the device, by random numbers that belong to the observation.

The transforms are those of `torchvision.transforms.v2`, or any functions of an image. They draw from PyTorch's own
generators, which are seeded for each observation by (seed, epoch, row) and restored afterwards: a resumed run sees the
images that the uninterrupted one would have seen, with any number of workers and processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, pi, sin

import torch
from torch import Tensor
from torch.nn import functional

from lsgen.data.draws import Purpose, key

__all__ = ["AffineDistortion", "Augmentation", "RandomShift", "augmentation_draws", "shifted"]


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
        seed = torch.default_generator.manual_seed if image.device.type == "cpu" else torch.manual_seed
        seed(draw)  # the generators of accelerators take most of the time of a small image
        new = image.clone()
        for transform in self.transforms:
            new = transform(new)
        if new.shape != image.shape:
            raise ValueError(
                f"expected data.loading.augment to keep images of shape {tuple(image.shape)}, got {tuple(new.shape)}"
            )
        return new


class AffineDistortion:
    """Turns, shears, scales and shifts an image (C, H, W) about its middle; what comes in from outside is 0.

    Args:
        degrees: greatest angle of the rotation.
        shear: greatest shear along x, and along y, as a slope.
        scale: greatest change of the scale of either axis, such as 0.2 for scales from 0.8 to 1.2.
        shift: greatest shift along either axis, as a share of the side.
        probability: with which each of the seven numbers is drawn at all; else it leaves the image as it is.

    Raises:
        ValueError: a number is negative, scales would reach 0, or the probability is not in [0, 1].

    Reference: Koch, Zemel & Salakhutdinov, "Siamese neural networks for one-shot image recognition" (2015), section
    3.3, with shifts of 2 of 105 pixels.
    """

    def __init__(
        self,
        degrees: float = 10.0,
        shear: float = 0.3,
        scale: float = 0.2,
        shift: float = 2 / 105,
        probability: float = 0.5,
    ) -> None:
        if min(degrees, shear, scale, shift) < 0 or scale >= 1 or not 0 <= probability <= 1:
            got = f"degrees {degrees}, shear {shear}, scale {scale}, shift {shift} and probability {probability}"
            raise ValueError(f"expected numbers of at least 0, a scale below 1 and a probability, got {got}")
        self.limits = (degrees * pi / 180, shear, shear, scale, scale, 2 * shift, 2 * shift)
        self.probability = probability

    def __call__(self, image: Tensor) -> Tensor:
        """Return the distorted image."""
        u = torch.rand(14).tolist()
        draws = [
            limit * (2 * v - 1) * (w < self.probability) for limit, v, w in zip(self.limits, u, u[7:], strict=False)
        ]
        turn, a, b, wide, high, right, down = draws
        c, s = cos(turn), sin(turn)
        rows = [[(c - s * b) * (1 + wide), (c * a - s) * (1 + high), right]]  # rotation, shear and scales
        rows += [[(s + c * b) * (1 + wide), (s * a + c) * (1 + high), down]]
        matrix = torch.tensor([rows], dtype=image.dtype, device=image.device)
        grid = functional.affine_grid(matrix, [1, *image.shape], align_corners=False)
        made: Tensor = functional.grid_sample(image[None], grid, align_corners=False)[0]
        return made


class RandomShift:
    """Shifts an image (C, H, W) along its rows by one of some numbers of pixels; what comes in is 0.

    Args:
        pixels: the numbers, of which each is as likely.

    Raises:
        ValueError: there is none.

    """

    def __init__(self, pixels: Sequence[int]) -> None:
        if not pixels:
            raise ValueError("expected at least one number of pixels, got none")
        self.pixels = tuple(int(n) for n in pixels)

    def __call__(self, image: Tensor) -> Tensor:
        """Return the shifted image."""
        return shifted(image, self.pixels[int(torch.randint(len(self.pixels), ()))])


def shifted(image: Tensor, pixels: int) -> Tensor:
    """Return images (..., W) moved to the right by some pixels, to the left where that is negative."""
    moved = functional.pad(image, (max(pixels, 0), max(-pixels, 0)))
    return moved[..., : image.shape[-1]] if pixels > 0 else moved[..., moved.shape[-1] - image.shape[-1] :]
