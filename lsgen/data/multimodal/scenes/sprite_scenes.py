r"""Scenes of one to three coloured sprites (3, 32, 32), drawn without overlap, whose factors determine them completely.

    image = sum_k brightness_k colour_k sprite_k ,    sprites of `lsgen.data.factors.sprites` in 32 x 32 pixels

Every sprite lies in a quarter of the picture of its own: at the top left, top right, bottom left or bottom right. Four
attributes can be put into words, shape, colour, size and position; four more are never told: the tilt, in steps of 9
degrees, the place within the quarter in half pixels, across and down, and the brightness. Sprites are numbered in the
order in which one reads, so that equal scenes have equal factors. All factors but the positions of several sprites are
independent and uniform.

Scenes are held out by combination: no combination of the attributes that are named occurs in two splits, where the
combination of a scene is that of all of its sprites. Where none is named, single scenes are held out at random. The
few combinations of a held-out split make its attributes dependent, so that not even perfect codes have a mutual
information gap of 1 there: scores of disentanglement need single scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lsgen.data.draws import Purpose, key, uniform
from lsgen.data.factors.sprites import render
from lsgen.data.loading import chosen_options
from lsgen.data.splits import group_split, random_split

__all__ = ["ATTRIBUTES", "COLOURS", "FACTORS", "POSITIONS", "SHAPES", "SIDE", "SIZES", "Scenes", "draw_scenes"]

SHAPES = ("square", "ellipse", "heart")
COLOURS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "purple": (1.0, 0.0, 1.0),
    "cyan": (0.0, 1.0, 1.0),
    "orange": (1.0, 0.5, 0.0),
    "white": (1.0, 1.0, 1.0),
}
SIZES = ("small", "large")
POSITIONS = ("top left", "top right", "bottom left", "bottom right")
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "size": SIZES,
    "position": POSITIONS,
}
UNTOLD = {"tilt": 5, "across": 3, "down": 3, "brightness": 4}
FACTORS = {**{name: len(words) for name, words in ATTRIBUTES.items()}, **UNTOLD}
SIDE = 32
MOST_SPRITES = 3

_SCALES = torch.tensor([0, 3])  # of `render`: half and four fifths of the largest sprite
_LAST = 29  # position of `render` from which the right or lower quarter begins
_BRIGHTNESS = torch.tensor([0.7, 0.8, 0.9, 1.0])
_COLOURS = torch.tensor(list(COLOURS.values()))


@dataclass(frozen=True)
class Scenes:
    """How many scenes there are, of how many sprites, and which are held out.

    Attributes:
        number: scenes of all splits.
        sprites: sprites in each, 1 to 3.
        held_out: attributes of which no combination is in two splits; scenes are held out at random where it is empty.
        val_size: scenes held out for validation, a number or a fraction; as many as whole combinations allow.
        test_size: scenes held out for the test, likewise.

    Raises:
        ValueError: a number is out of range, or an attribute is not known or comes twice.

    """

    number: int = 20_000
    sprites: int = 1
    held_out: Sequence[str] = tuple(ATTRIBUTES)
    val_size: int | float = 3_000
    test_size: int | float = 4_000

    def __post_init__(self) -> None:
        if self.number < 3 or not 1 <= self.sprites <= MOST_SPRITES:
            raise ValueError(
                f"expected at least 3 scenes of 1 to {MOST_SPRITES} sprites, got {self.number} of {self.sprites}"
            )
        check_attributes(self.held_out, "scenes.held_out")

    @classmethod
    def of(cls, options: Scenes | Mapping[str, Any]) -> Scenes:
        """Return what a data set's option `scenes` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return chosen_options(cls, options, "scenes")

    @property
    def factor_names(self) -> tuple[str, ...]:
        """The names of the factors of a scene; those of several sprites are numbered from 1."""
        if self.sprites == 1:
            return tuple(FACTORS)
        return tuple(f"{name}_{number}" for number in range(1, self.sprites + 1) for name in FACTORS)

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        """The numbers of their values."""
        return tuple(FACTORS.values()) * self.sprites

    def drawn(self, seed: int) -> Tensor:
        """Return the factors of all scenes, int64 (number, sprites, 8)."""
        sizes = torch.tensor(tuple(FACTORS.values()))
        n, places = self.sprites, len(POSITIONS)
        u = uniform(key(seed, Purpose.FACTORS), torch.arange(self.number), n * len(sizes) + places)
        factors = (u[:, places:].unflatten(1, (n, len(sizes))) * sizes).to(torch.int64)
        factors[..., 3] = u[:, :places].argsort(1)[:, :n].sort(1).values
        return factors

    def split(self, factors: Tensor, seed: int) -> dict[str, Tensor]:
        """Return the rows of the splits of scenes (N, n, 8), disjoint int32.

        Raises:
            ValueError: a size is out of range, or nothing is left for a split.

        """
        sizes = {"val_size": self.val_size, "test_size": self.test_size}
        if not self.held_out:
            return random_split(len(factors), sizes, seed)
        columns = [list(ATTRIBUTES).index(name) for name in self.held_out]
        combination = torch.zeros(len(factors), dtype=torch.int64)
        for value, size in zip(
            factors[..., columns].flatten(1).unbind(1),
            [list(FACTORS.values())[column] for column in columns] * self.sprites,
            strict=True,
        ):
            combination = combination * size + value
        return group_split(combination.numpy(), sizes, seed)


def combination_of(attributes: Tensor) -> Tensor:
    """Return numbers (...) of combinations of shape, colour, size and position (..., >= 4), position fastest."""
    number = torch.zeros_like(attributes[..., 0])
    for value, words in zip(attributes[..., :4].unbind(-1), ATTRIBUTES.values(), strict=True):
        number = number * len(words) + value
    return number


def check_attributes(names: Sequence[str], option: str) -> None:
    """Refuse names that are not those of attributes, each once.

    Raises:
        ValueError: a name is not known or comes twice.

    """
    if isinstance(names, str) or not set(names) <= set(ATTRIBUTES) or len(set(names)) < len(names):
        raise ValueError(f"expected data.{option} out of {', '.join(ATTRIBUTES)}, each once, got {names}")


def draw_scenes(factors: Tensor) -> Tensor:
    """Draw scenes.

    Args:
        factors: integers (B, n, 8), shape, colour, size, position, tilt, place across and down, and brightness of
            each of n sprites, which lie in different quarters.

    Returns:
        Images float32 (B, 3, 32, 32) in [0, 1].

    Example:
        >>> draw_scenes(torch.zeros(1, 2, 8, dtype=torch.int64)).shape
        torch.Size([1, 3, 32, 32])

    """
    shape, colour, size, position, tilt, across, down, brightness = factors.flatten(0, 1).unbind(-1)
    sprites = _quarters()[position, shape, size, tilt, across, down]
    light = _BRIGHTNESS[brightness, None] * _COLOURS[colour]
    images = torch.zeros(len(factors), 3, 2, SIDE // 2, 2, SIDE // 2)
    scene = torch.arange(len(factors)).repeat_interleave(factors.shape[1])
    images[scene, :, position // 2, :, position % 2, :] = sprites.unsqueeze(1) * light[..., None, None]
    return images.reshape(-1, 3, SIDE, SIDE)


@cache
def _quarters() -> Tensor:
    """Return all sprites, each in the quarter of the picture that it lies in, (4, 3, 2, 5, 3, 3, 16, 16)."""
    numbers = [len(POSITIONS), len(SHAPES), len(SIZES), *list(UNTOLD.values())[:3]]
    position, shape, size, tilt, across, down = torch.cartesian_prod(*map(torch.arange, numbers)).unbind(1)
    x, y = across + _LAST * (position % 2), down + _LAST * (position // 2)
    images = render(torch.stack([shape, _SCALES[size], (tilt - 2) % 40, x, y], 1), SIDE)
    quarters = images.unflatten(2, (2, -1)).unflatten(-1, (2, -1)).squeeze(1)
    own = quarters[torch.arange(len(images)), position // 2, :, position % 2]
    return own.unflatten(0, numbers)
