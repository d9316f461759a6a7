"""How observations become pixels: by what the likelihood of a space says that they are.

| observation                              | its cell                                                        |
|------------------------------------------|-----------------------------------------------------------------|
| several modalities, `Modalities`         | the cells of all of them, each with a range of values of its own |
| a sentence, `TextLikelihood`             | its words                                                       |
| the number of a class, one `Categorical` | the number                                                      |
| a continuous vector of 256 or more       | its waveform                                                    |
| any other                                | an image, or a profile, see `lsgen.viz.to_pixels`               |

What is not finite is magenta.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import isfinite, prod

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen import viz
from lsgen.latent import LatentSpace, Space
from lsgen.latent.multimodal.views import ViewSpace
from lsgen.likelihoods import Categorical, Likelihood, Modalities, Packing, TextLikelihood
from lsgen.likelihoods.modalities import PackedDistribution
from lsgen.likelihoods.text.vocabulary import Vocabulary
from lsgen.models.multimodal import AnswerSpace, CaptionSpace
from lsgen.viz import Pixels

__all__ = [
    "Drawing",
    "Many",
    "NumberDrawing",
    "Packed",
    "Waves",
    "WordDrawing",
    "drawing",
    "drawing_of",
    "quantities",
    "sentences",
    "typical",
]

Packed = ViewSpace | AnswerSpace | CaptionSpace
LEAST_SAMPLES = 256  # of a waveform
MOST_LINES, WIDTH = 5, 84  # of a sentence, in lines and pixels
ALONE = 120  # pixels, of a sentence beside no picture
_NOT_FINITE = np.array((214, 0, 147), dtype=np.uint8)


class Drawing(ABC):
    """Abstract map from observations of one kind to pixels, whose cells all have one size."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Pixels:
        """Return observations (B, *shape) of any batch shape B as pixels (B, H, W, 3)."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The values that are shown black and white, where there are any; else 0 and 1."""
        return 0.0, 1.0


class NumberDrawing(Drawing):
    """Images and profiles.

    Args:
        event: number of dimensions of one observation.
        bounds: values that are shown black and white.

    """

    def __init__(self, event: int, bounds: tuple[float, float]) -> None:
        self.event, self._bounds = event, bounds

    @property
    def bounds(self) -> tuple[float, float]:
        """The values that are shown black and white."""
        return self._bounds

    def __call__(self, x: Tensor) -> Pixels:
        """Return images as they are and vectors as profiles."""
        return viz.to_pixels(x, self.event, self._bounds)


class Waves(NumberDrawing):
    """Waveforms."""

    def __call__(self, x: Tensor) -> Pixels:
        """Return the waveforms."""
        return viz.waveforms(x, self._bounds)


class WordDrawing(Drawing):
    """Texts, in cells of one size.

    Args:
        texts: what observations (N, *shape) say.
        event: number of dimensions of one observation.
        known: texts whose longest decides on the number of lines.
        width: of a cell, in pixels.

    """

    def __init__(
        self, texts: Callable[[Tensor], Sequence[str]], event: int, known: Sequence[str], width: int = ALONE
    ) -> None:
        self.texts, self.event, self.known, self.width = texts, event, known, width
        self.lines = min(viz.lines_needed(known, width), MOST_LINES)

    def within(self, width: int) -> WordDrawing:
        """Return the same in cells of another width."""
        return WordDrawing(self.texts, self.event, self.known, width)

    def __call__(self, x: Tensor) -> Pixels:
        """Return the texts, written."""
        return self._shaped(viz.composed([], [self.cells(x)]), x)

    def cells(self, x: Tensor) -> Pixels:
        """Return the texts of observations in one row of cells, (N, H, W, 3)."""
        rows = x.reshape(-1, *x.shape[x.ndim - self.event :])
        exist = rows.isfinite().flatten(1).all(1)
        found = iter(self.texts(rows[exist]))
        cells = viz.written([next(found) if there else "" for there in exist.tolist()], self.width, self.lines)
        cells[~exist.cpu().numpy()] = _NOT_FINITE
        return cells

    def _shaped(self, cells: Pixels, x: Tensor) -> Pixels:
        return cells.reshape(*x.shape[: x.ndim - self.event], *cells.shape[1:])


class Many(Drawing):
    """Several modalities of packed observations: pictures side by side and words below them.

    Args:
        packing: the places of the modalities.
        parts: how each is drawn, by name.

    """

    def __init__(self, packing: Packing, parts: Mapping[str, Drawing]) -> None:
        self.packing, self.parts = packing, dict(parts)
        words = {name for name, part in parts.items() if isinstance(part, WordDrawing)}
        if 0 < len(words) < len(parts):
            none = {name: torch.zeros(1, *shape) for name, shape in packing.shapes.items() if name not in words}
            width = max(viz.composed([self.parts[name](x) for name, x in none.items()]).shape[2], WIDTH)
            self.parts |= {name: part.within(width) for name, part in parts.items() if isinstance(part, WordDrawing)}

    def __call__(self, x: Tensor) -> Pixels:
        """Return the cells of all modalities as one for each observation."""
        own = self.packing.unpack(x.reshape(-1, x.shape[-1]))
        pictures = [part(own[name]) for name, part in self.parts.items() if not isinstance(part, WordDrawing)]
        words = [part.cells(own[name]) for name, part in self.parts.items() if isinstance(part, WordDrawing)]
        cells = viz.composed(pictures, words)
        return cells.reshape(*x.shape[:-1], *cells.shape[1:])

    def pictures(self, x: Tensor) -> Pixels | None:
        """Return the cells (N, H, W, 3) of observations (N, D) without their words; None where they are words alone."""
        own = self.packing.unpack(x)
        found = [part(own[name]) for name, part in self.parts.items() if not isinstance(part, WordDrawing)]
        return viz.composed(found) if found else None


def drawing_of(space: Space, x: Tensor, bounds: tuple[float, float] | None = None) -> Drawing:
    """Return how the observations of a space are drawn: by its likelihood, see `drawing`, or by its modalities.

    Args:
        space: whose observations they are.
        x: some of them, (B, *shape), whose values are shown between black and white.
        bounds: instead, the values that are shown black and white.

    """
    if isinstance(space, LatentSpace):
        return drawing(space.likelihood, x, bounds)
    if not isinstance(space, Packed):
        return NumberDrawing(x.ndim - 1, bounds or _range(x))
    parts: dict[str, Drawing] = {}
    for name, own in space.packing.unpack(x).items():
        vocabulary = space.vocabularies.get(name)
        event = len(space.packing.shapes[name])
        parts[name] = NumberDrawing(event, bounds or _range(own)) if vocabulary is None else _written(vocabulary, own)
    return Many(space.packing, parts)


def _written(vocabulary: Vocabulary, x: Tensor) -> WordDrawing:
    return WordDrawing(vocabulary.decode, 1, vocabulary.decode(x[x.isfinite().all(1)]))


def drawing(likelihood: Likelihood, x: Tensor, bounds: tuple[float, float] | None = None) -> Drawing:
    """Return how the observations of a likelihood are drawn.

    Args:
        likelihood: says what they are.
        x: some of them, (B, *shape), whose values are shown between black and white.
        bounds: instead, the values that are shown black and white, of all modalities that are numbers.

    """
    if isinstance(likelihood, Modalities):
        own = likelihood.packing.unpack(x.reshape(-1, x.shape[-1]))
        parts = {
            name: drawing(part, own[name], bounds)
            for name, part in zip(likelihood.parts, likelihood.likelihoods, strict=True)
        }
        return Many(likelihood.packing, parts)
    event = len(likelihood.shape)
    if isinstance(likelihood, TextLikelihood):
        some = x.reshape(-1, *likelihood.shape)
        return WordDrawing(likelihood.texts, event, likelihood.texts(some[some.isfinite().flatten(1).all(1)]))
    if _is_class(likelihood):
        return WordDrawing(_numbers, event, ["0"])
    kind = Waves if _is_wave(likelihood) else NumberDrawing
    return kind(event, bounds or _range(x))


def typical(likelihood: Likelihood, p: Distribution) -> Tensor:
    """Return what stands for p(x|z), (B, *shape): its mean, or the most probable class."""
    if isinstance(likelihood, Modalities) and isinstance(p, PackedDistribution):
        members = zip(likelihood.parts, likelihood.likelihoods, strict=True)
        own = {name: typical(part, p.parts[name]) for name, part in members}
        return torch.cat([x.flatten(x.ndim - len(likelihood.packing.shapes[name])) for name, x in own.items()], -1)
    return p.mode if _is_class(likelihood) else p.mean


def sentences(space: Space | None, x: Tensor) -> dict[str, list[str]]:
    """Return the sentences and classes in observations (N, *shape), by modality; "sentence" where x is one."""
    if isinstance(space, Packed):
        found = space.packing.unpack(x)
        return {name: words.decode(found[name]) for name, words in space.vocabularies.items()}
    likelihood = space.likelihood if isinstance(space, LatentSpace) else None
    if isinstance(likelihood, Modalities):
        own, parts = likelihood.packing.unpack(x), zip(likelihood.parts, likelihood.likelihoods, strict=True)
        said = {name: _text_of(part, own[name]) for name, part in parts}
        return {name: texts for name, texts in said.items() if texts is not None}
    return {"sentence": likelihood.texts(x)} if isinstance(likelihood, TextLikelihood) else {}


def quantities(likelihood: Likelihood) -> Tensor:
    """Return which values of an observation are amounts, bool (*shape), rather than numbers of words or of a class."""
    if isinstance(likelihood, Modalities):
        return torch.cat([quantities(part).flatten() for part in likelihood.likelihoods])
    named = isinstance(likelihood, TextLikelihood) or _is_class(likelihood)
    return torch.full(likelihood.shape, not named)


def _text_of(likelihood: Likelihood, x: Tensor) -> list[str] | None:
    """Return what observations (N, *shape) say; None where they are amounts."""
    if isinstance(likelihood, TextLikelihood):
        return likelihood.texts(x)
    return _numbers(x) if _is_class(likelihood) else None


def _is_class(likelihood: Likelihood) -> bool:
    """Return whether observations are the number of a class."""
    if not isinstance(likelihood, Categorical) or likelihood.dimensions > 1:
        return False
    return likelihood.high == likelihood.levels - 1


def _is_wave(likelihood: Likelihood) -> bool:
    shape = likelihood.shape
    return not likelihood.discrete and shape[-1] == prod(shape) >= LEAST_SAMPLES and len(shape) == 1


def _numbers(x: Tensor) -> list[str]:
    return [f"{value:.3g}" for value in x.flatten().tolist()]


def _range(x: Tensor) -> tuple[float, float]:
    finite = x[x.isfinite()]
    low, high = viz.value_range(finite) if finite.numel() else (0.0, 1.0)
    return (low, high) if isfinite(low) and isfinite(high) else (0.0, 1.0)
