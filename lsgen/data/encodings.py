r"""Encodings of stored values as the numbers that a model gets.

Images are stored as levels v in {0, ..., L-1}. Four encodings make x of them:

    grey levels     x = v / (L - 1)                    discrete, L levels
    dequantised     x = (v + u) / L                    a density: log2 P(v) >= log2 p(x) - log2 L per dimension
    threshold       x = [v / (L - 1) >= 1/2]           binary
    stochastic      x = [u < v / (L - 1)]              binary, E[x] = the grey value

with u uniform on [0, 1). In training, u of the stochastic encoding is drawn anew in every epoch ("dynamic") or once
for all ("static"); in validation and test, and for `static`, every draw is fixed. The inequality of the second line
is Jensen's (Theis, van den Oord & Bethge, "A note on the evaluation of generative models", ICLR 2016, section 3.1);
stochastic binarisation is that of Salakhutdinov & Murray (ICML 2008, static) and Burda, Grosse & Salakhutdinov,
"Importance weighted autoencoders" (ICLR 2016, dynamic).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["AsStored", "Binarise", "Dequantise", "Encoding", "Grey", "Standardise", "Values", "image_encoding"]

Uniform = Callable[[int], Tensor]

_ROUNDING = 1e-12  # relative differences that a computation in float64 makes by itself


@dataclass(frozen=True)
class Values:
    """The kind and the range of the values of observations.

    Attributes:
        levels: number of equidistant values that x takes, or that it took before it was dequantised; None for
            continuous data.
        dequantised: whether uniform noise of the width of a level was added.

    """

    levels: int | None
    dequantised: bool = False

    @property
    def kind(self) -> str:
        """The kind of numbers: "binary", "grey levels", "dequantised" or "continuous"."""
        if self.levels is None:
            return "continuous"
        if self.dequantised:
            return "dequantised"
        return "binary" if self.levels == 2 else "grey levels"

    @property
    def discrete(self) -> bool:
        """Whether x takes finitely many values."""
        return self.levels is not None and not self.dequantised


class Encoding(ABC):
    """Abstract map from stored values (B, *shape) to x, float32 (B, *shape).

    Attributes:
        values: what the result is.
        redrawn: whether random numbers are drawn anew in every epoch of training.

    """

    values: Values
    redrawn: bool = False

    @abstractmethod
    def __call__(self, stored: Tensor, uniform: Uniform) -> Tensor:
        """Return x; `uniform(D)` gives random numbers (B, D) that belong to these observations."""


class AsStored(Encoding):
    """Numbers as they are.

    Args:
        levels: number of values in use; None for continuous data.

    """

    def __init__(self, levels: int | None) -> None:
        self.values = Values(levels)

    def __call__(self, stored: Tensor, uniform: Uniform) -> Tensor:
        """Return float32."""
        return stored.to(torch.float32)


class Numbered(Encoding):
    """Numbers of items, such as words, as they are: whole numbers."""

    def __init__(self) -> None:
        self.values = Values(None)

    def __call__(self, stored: Tensor, uniform: Uniform) -> Tensor:
        """Return int64."""
        return stored.to(torch.int64)


class Standardise(Encoding):
    """Numbers with mean 0 and standard deviation 1 over the training data, each dimension or each channel by itself.

    Attributes:
        mean: means of a row (D,), or of the channels of an image (C, 1, 1), float64; those of `fit`.
        scale: their standard deviations; 1 where there is no variation beyond the rounding of float64.

    """

    values = Values(None)

    def __init__(self) -> None:
        self.mean, self.scale = torch.zeros(()), torch.ones(())

    def fit(self, parts: Callable[[], Iterable[Tensor]]) -> None:
        """Take means and deviations from the training data, of which NaN are left out.

        Args:
            parts: gives the data anew, some rows (B, *shape) at a time.

        """

        def mean(of: Callable[[Tensor], Tensor]) -> Tensor:
            total = count = torch.zeros((), dtype=torch.float64)
            for part in parts():
                over = [0, *range(2, part.ndim)] if part.ndim > 2 else [0]
                numbers = of(part.double())
                total = total + numbers.nansum(over, keepdim=True)[0]
                count = count + (~numbers.isnan()).sum(over, keepdim=True)[0]
            return total / count.clamp(min=1)

        center = mean(lambda part: part)
        variance = mean(lambda part: (part - center).square())
        varies = variance.sqrt() > _ROUNDING * center.abs()
        self.mean, self.scale = center, torch.where(varies, variance.sqrt(), 1.0)

    def __call__(self, stored: Tensor, uniform: Uniform) -> Tensor:
        """Return (v - mean) / scale."""
        return ((stored - self.mean) / self.scale).to(torch.float32)


class Grey(Encoding):
    """Levels scaled to [0, 1]."""

    def __init__(self, levels: int) -> None:
        self.values = Values(levels)
        self.scale = 1.0 / (levels - 1)

    def __call__(self, stored: Tensor, uniform: Uniform) -> Tensor:
        """Return v / (L - 1)."""
        return stored.to(torch.float32).mul_(self.scale)


class Dequantise(Encoding):
    """Levels with uniform noise, scaled to (0, 1)."""

    redrawn = True

    def __init__(self, levels: int) -> None:
        self.values = Values(levels, dequantised=True)
        self.levels = levels

    def __call__(self, stored: Tensor, uniform: Uniform) -> Tensor:
        """Return (v + u) / L, kept strictly between the ends of its level whatever the rounding."""
        noise = uniform(stored[0].numel()).view(stored.shape).clamp_(2.0**-24, 1 - 2.0**-16)
        # Divided by a tensor: a number would be inverted first on a GPU, which rounds otherwise.
        return noise.add_(stored).div_(noise.new_full((), self.levels))


class Binarise(Encoding):
    """Levels turned into 0 or 1.

    Args:
        levels: number of levels.
        mode: "threshold", "static" or "dynamic".

    """

    values = Values(2)

    def __init__(self, levels: int, mode: str) -> None:
        if mode not in ("threshold", "static", "dynamic"):
            raise ValueError(f'expected binarise to be "none", "threshold", "static" or "dynamic", got {mode!r}')
        self.top, self.mode, self.redrawn = levels - 1, mode, mode == "dynamic"

    def __call__(self, stored: Tensor, uniform: Uniform) -> Tensor:
        """Return [v / (L - 1) >= 1/2] or [u < v / (L - 1)]."""
        if self.mode == "threshold":
            return (stored.to(torch.int32) * 2 >= self.top).to(torch.float32)
        noise = uniform(stored[0].numel()).view(stored.shape)
        return (noise.mul_(self.top) < stored).to(torch.float32)


def image_encoding(levels: int, dequantise: bool, binarise: str = "none") -> Encoding:
    """Return the encoding for the options of a data set.

    Raises:
        ValueError: an unknown kind of binarisation, or both options at once.

    """
    if binarise == "none":
        return Dequantise(levels) if dequantise else Grey(levels)
    if dequantise:
        raise ValueError(
            f'expected dequantise: false or binarise: none, got dequantise: true and binarise: "{binarise}"'
        )
    return Binarise(levels, binarise)
