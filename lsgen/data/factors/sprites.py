r"""Procedural sprites: binary images of 64x64 pixels that five independent factors determine completely.

A sprite is the set of points p with gauge(R(-angle) (p - centre) / size) <= 1, where the gauge of a star-shaped body
is the factor by which it must be blown up to reach p:

    square      max(|x|, |y|) / a
    ellipse     sqrt(x^2 / a^2 + y^2 / b^2)
    heart       min(square on its corner, |p|^2 / 2 p.c1, |p|^2 / 2 p.c2), discs on its two upper sides

A pixel is 1 where at least half of its 4 x 4 sub-pixels lie inside. The 3 x 6 x 40 = 720 sprites fit into 33 x 33
pixels; both positions move them by whole pixels, so each of the 737,280 images is a window of a padded sprite, and
all of them are one strided view of 26 MB. The centroid of the drawn body is its centre of rotation.

Images of 32x32 pixels are for short trainings: a pixel is 1 where at least half of the 2 x 2 pixels are. A position
then moves a sprite by half a pixel, which its edges still show.

Orientation runs over 40 angles in [0, 2 pi). A square looks the same after 10 steps, an ellipse after 20, so only the
heart has 40 distinguishable orientations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from math import pi, prod

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.encodings import AsStored
from lsgen.data.factors.correlation import Correlation, correlated_rows
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split
from lsgen.data.transforms import Pairs

__all__ = ["FACTOR_NAMES", "FACTOR_SIZES", "Sprites", "factors_of", "render"]

FACTOR_NAMES = ("shape", "scale", "orientation", "posX", "posY")
FACTOR_SIZES = (3, 6, 40, 32, 32)
SIZE = 64
SIZES = (SIZE, SIZE // 2)
PATCH = SIZE - FACTOR_SIZES[3] + 1
REACH = 16.0
SUBPIXELS = 4
SYMMETRY = (10, 20, 40)

Gauge = Callable[[Tensor, Tensor], Tensor]


def render(factors: Tensor, size: int = SIZE) -> Tensor:
    """Draw sprites.

    Args:
        factors: shape, scale, orientation, posX and posY, integers (N, 5).
        size: pixels of a side, 64 or 32.

    Returns:
        Images of 0 and 1, float32 (N, 1, size, size), on the device of the factors.

    Raises:
        ValueError: factors has another shape, another type, or values outside (3, 6, 40, 32, 32); another size.

    Example:
        >>> render(torch.tensor([[0, 5, 0, 31, 0]])).shape
        torch.Size([1, 1, 64, 64])

    """
    _check(factors)
    if size not in SIZES:
        raise ValueError(f"expected sprites of 64 or 32 pixels a side, got {size}")
    shape, scale, orientation, x, y = factors.to(torch.int64).unbind(-1)
    return _images(factors.device, size)[(shape * 6 + scale) * 40 + orientation, 31 - y, 31 - x].unsqueeze(1)


def factors_of(index: Tensor) -> Tensor:
    """Return the factors (N, 5) of images numbered 0 .. 737,279, the last factor varying fastest."""
    return torch.stack(torch.unravel_index(index, FACTOR_SIZES), dim=-1)


class Sprites(DataModule):
    """The embedded default: 737,280 sprites on a grid of 3 shapes x 6 scales x 40 orientations x 32 x 32 positions.

    Images are drawn when they are asked for. The label is the shape.

    Args:
        shape: (1, 64, 64) or (1, 32, 32).
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        train_size: images to train on, a number or a fraction; all that are not held out where it is None.
        val_size: images held out for validation, a number or a fraction.
        test_size: images held out for the test, a number or a fraction.
        pairs: how many factors a partner in "pair" differs in, 0 for a random number from 1 to 4; no partners where
            it is None.
        correlation: two factors that are drawn near a line, see `lsgen.data.factors.correlation`; all combinations of
            factors occur alike where it is None.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.

    """

    factor_names = FACTOR_NAMES
    factor_sizes = FACTOR_SIZES

    def __init__(
        self,
        shape: Sequence[int] | None = (1, SIZE, SIZE),
        batch_size: int = 64,
        seed: int = 0,
        train_size: int | float | None = None,
        val_size: int | float = 10_000,
        test_size: int | float = 10_000,
        pairs: int | None = None,
        correlation: Correlation | None = None,
        loading: Loading = Loading(),
    ) -> None:
        size = SIZE // 2 if tuple(shape or ())[1:] == (SIZE // 2, SIZE // 2) else SIZE
        super().__init__(shape, (1, size, size), AsStored(2), batch_size, seed, loading)
        self._render = partial(render, size=size)
        total, held_out = prod(FACTOR_SIZES), {"val_size": val_size, "test_size": test_size}
        self._rows = random_split(total, held_out, loading.split_seed, train_size)
        if correlation is not None:
            pools, lengths = (
                random_split(total, held_out, loading.split_seed),
                {k: len(v) for k, v in self._rows.items()},
            )
            grid = factors_of, FACTOR_NAMES, FACTOR_SIZES
            self._rows |= correlated_rows(correlation, pools, lengths, *grid, loading.split_seed)
        if pairs is not None:
            Pairs(self._render, FACTOR_SIZES, pairs, seed, redrawn=True)
        self.pairs = pairs

    def build(self, split: Split) -> BatchDataset:
        """Return the images of a split."""
        training = split == "train"
        seed = self.seed if training else self.split_seed
        pairs = [] if self.pairs is None else [Pairs(self._render, FACTOR_SIZES, self.pairs, seed, redrawn=training)]
        return self.subset(partial(_draw, draw=self._render), self._rows[split], split, transforms=pairs)


def _draw(rows: Tensor, draw: Callable[[Tensor], Tensor]) -> Observations:
    factors = factors_of(rows)
    return {"x": draw(factors), "label": factors[:, 0], "factors": factors}


def _check(factors: Tensor) -> None:
    if factors.ndim != 2 or factors.shape[1] != 5 or factors.is_floating_point() or factors.dtype == torch.bool:
        raise ValueError(
            f"expected integer factors of shape (N, 5), got {factors.dtype} of shape {tuple(factors.shape)}"
        )
    sizes = torch.tensor(FACTOR_SIZES, device=factors.device)
    if bool(((factors < 0) | (factors >= sizes)).any()):
        low, high = factors.amin(0).tolist(), factors.amax(0).tolist()
        raise ValueError(f"expected factors from 0 to below {FACTOR_SIZES}, got values between {low} and {high}")


@cache
def _images(device: torch.device, size: int = SIZE) -> Tensor:
    """Return the sprites in all positions, a view (720, 32, 32, size, size) of one padded bank."""
    margin, side = FACTOR_SIZES[3] - 1, SIZE // size
    padded = torch.nn.functional.pad(_bank(), (margin, margin, margin, margin))
    pixels = _thresholded(padded, side, stride=1).to(device)
    window = SIZE - side + 1
    return pixels.unfold(1, window, 1).unfold(2, window, 1)[..., ::side, ::side]


def _bank() -> Tensor:
    """Return the base sprites, float32 (720, 33, 33): shape slowest, orientation fastest."""
    angles = torch.arange(FACTOR_SIZES[2]) * (2 * pi / FACTOR_SIZES[2])
    scales = torch.linspace(0.5, 1.0, FACTOR_SIZES[1])
    centres = (torch.arange(PATCH * SUBPIXELS) + 0.5) / SUBPIXELS - PATCH / 2
    y, x = torch.meshgrid(centres / REACH, centres / REACH, indexing="ij")
    cos, sin = torch.cos(angles)[:, None, None], torch.sin(angles)[:, None, None]
    bodies = zip((_square, _ellipse, _heart), SYMMETRY, strict=True)
    return torch.cat([_sprites(gauge, x, y, cos[:n], sin[:n], scales) for gauge, n in bodies])


def _sprites(gauge: Gauge, x: Tensor, y: Tensor, cos: Tensor, sin: Tensor, scales: Tensor) -> Tensor:
    """Return one body in all scales and orientations, (6 * 40, 33, 33); y points down, angles turn from x to y."""
    u, v = cos * x + sin * y, cos * y - sin * x
    field = gauge(u, v)
    pixels = [_thresholded(gauge(u / scale, v / scale) <= 1, SUBPIXELS) for scale in scales]
    return torch.stack(pixels).repeat(1, FACTOR_SIZES[2] // len(field), 1, 1).flatten(0, 1)


def _thresholded(inside: Tensor, side: int, stride: int | None = None) -> Tensor:
    """Return larger pixels, 1 where at least half of their side x side parts are; by default they do not overlap."""
    return (torch.nn.functional.avg_pool2d(inside.to(torch.float32), side, stride) >= 0.5).to(torch.float32)


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) / 0.5**0.5


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    return torch.sqrt(u**2 + (2 * v) ** 2)


def _heart(u: Tensor, v: Tensor) -> Tensor:
    # A square with corners at distance r from its centre, and a half disc of diameter r sqrt(2) on each upper side.
    # Half discs and square weigh pi/4 : 1, which puts the centroid of the whole `lift` above the centre.
    half_side = 1 / 2**0.5
    lift = (pi / 4) / (1 + pi / 4) * (half_side + 4 * half_side / (3 * pi)) * half_side
    v = v * (1 + lift) - lift
    u = u * (1 + lift)
    radius = u**2 + v**2
    body = u.abs() + v.abs()
    lobes = radius / (u.abs() - v).clamp(min=torch.finfo(u.dtype).tiny)
    return torch.minimum(body, lobes)
