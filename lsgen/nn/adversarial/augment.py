r"""Differentiable augmentations of a critic's input, for small data sets.

Real and generated images go through the same random augmentations, so that the generator matches the augmented
distributions. They leave the distribution identifiable only while each happens with a probability below one, or,
as in DiffAugment, where the transformation is invertible in distribution.

    colour        brightness + U(-1/2, 1/2), saturation x U(0, 2), contrast x U(1/2, 3/2)
    translation   by up to 1/8 of the image, zeros coming in
    cutout        a square of half the size set to zero

`AdaptiveAugment` has a probability p, with which each transformation of an
`lsgen.nn.adversarial.augment_pipe.AugmentPipe` happens, or all of another augmentation together. It follows the
overfitting heuristic

    r = E sign( C(x) ),    p <- p + sign(r - target) n / speed ,

for n images, speed being the number of images in which p goes from 0 to 1.

Reference: Zhao et al., "Differentiable augmentation for data-efficient GAN training" (2020),
https://arxiv.org/abs/2006.10738; Karras et al., "Training generative adversarial networks with limited data" (2020),
https://arxiv.org/abs/2006.06676, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lsgen.nn.adversarial.augment_pipe import AugmentPipe

__all__ = ["AdaptiveAugment", "DiffAugment"]


class DiffAugment(nn.Module):
    """Differentiable random augmentations of images (N, C, H, W).

    Args:
        policy: which of "colour", "translation" and "cutout" are applied, in this order.

    Raises:
        ValueError: the policy is empty or names another augmentation.

    """

    def __init__(self, policy: Sequence[str] = ("colour", "translation", "cutout")) -> None:
        super().__init__()
        if not policy or set(policy) - set(_AUGMENTATIONS):
            raise ValueError(f"expected a policy of {', '.join(_AUGMENTATIONS)}, got {', '.join(policy) or 'none'}")
        self.policy = tuple(policy)

    def forward(self, x: Tensor) -> Tensor:
        """Return augmented images, every image with its own draws, in their own type."""
        given, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
        for name in self.policy:
            x = _AUGMENTATIONS[name](x)
        return x.to(given)


class AdaptiveAugment(nn.Module):
    """Augmentations with a probability that follows the critic's overfitting.

    Args:
        augment: an `AugmentPipe`, the one of the paper unless given; or observations (N, *shape) -> observations at
            random, which each image undergoes with probability p.
        target: the wanted E sign(C(x)), 0.6 in the paper.
        speed: images in which the probability can go from 0 to 1; 500,000 in the paper.

    Attributes:
        p: the probability, a buffer.

    Raises:
        ValueError: target is not in (-1, 1) or speed is not positive.

    """

    p: Tensor

    def __init__(self, augment: nn.Module | None = None, target: float = 0.6, speed: float = 500_000) -> None:
        super().__init__()
        if not -1 < target < 1 or not speed > 0:
            raise ValueError(f"expected a target in (-1, 1) and a speed above 0 images, got {target} and {speed}")
        self.augment = AugmentPipe() if augment is None else augment
        self.target, self.speed = float(target), float(speed)
        self.register_buffer("p", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the images, augmented with probability p."""
        if isinstance(self.augment, AugmentPipe):
            out: Tensor = self.augment(x, self.p)
            return out
        chosen = _per_image(x) < self.p
        return torch.where(chosen, self.augment(x), x)

    @torch.no_grad()
    def observe(self, overfitting: Tensor, images: int) -> None:
        """Move p after an update of the critic.

        Args:
            overfitting: E sign(C(x)) over real images, a scalar.
            images: how many images the update was made of, over all processes.

        """
        self.p.add_(torch.sign(overfitting - self.target) * images / self.speed).clamp_(0, 1)


def _per_image(x: Tensor) -> Tensor:
    """Return one uniform number for each image, (N, 1, ...), in single precision at least."""
    return torch.rand(len(x), *[1] * (x.ndim - 1), dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)


def _colour(x: Tensor) -> Tensor:
    x = x + _per_image(x) - 0.5
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * 2 * _per_image(x)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (_per_image(x) + 0.5)


def _translation(x: Tensor) -> Tensor:
    """Shift every image by whole pixels, by a gather from a padded copy."""
    n, c, height, width = x.shape
    shifts = [int(size / 8 + 0.5) for size in (height, width)]
    moves = [torch.randint(-s, s + 1, (n, 1), device=x.device) for s in shifts]
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    rows = (torch.arange(height, device=x.device) + moves[0] + 1).clamp(0, height + 1)
    columns = (torch.arange(width, device=x.device) + moves[1] + 1).clamp(0, width + 1)
    picked = padded.gather(2, rows[:, None, :, None].expand(n, c, height, width + 2))
    return picked.gather(3, columns[:, None, None, :].expand(n, c, height, width))


def _cutout(x: Tensor) -> Tensor:
    n, _, height, width = x.shape
    inside = []
    for size in (height, width):
        half = size // 2
        centre = torch.randint(0, size + (1 - half % 2), (n, 1), device=x.device)
        offset = torch.arange(size, device=x.device) - centre + half // 2
        inside.append((offset >= 0) & (offset < half))
    keep = ~(inside[0][:, :, None] & inside[1][:, None, :])
    return x * keep[:, None]


_AUGMENTATIONS = {"colour": _colour, "translation": _translation, "cutout": _cutout}
