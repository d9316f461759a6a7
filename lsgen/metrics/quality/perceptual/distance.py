r"""Perceptual distances: how much the feature maps of a network differ between two images.

    d(a, b) = sum_l 1/(H_l W_l) sum_{h, w} sum_c w_{l c} ( y_{l c h w}(a) - y_{l c h w}(b) )^2

where y_l are the maps of layer l, divided at every place by their Euclidean norm over the channels.

Reference: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric" (2018), equation 1,
https://arxiv.org/abs/1801.03924.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from lsgen.data import DataModule
from lsgen.metrics.quality.features import DatasetClassifier

__all__ = ["ClassifierDistance", "PerceptualDistance", "diversity"]


class PerceptualDistance(nn.Module, ABC):
    """Abstract distance of images in [0, 1] by the feature maps of a network; it is differentiable.

    Args:
        name: the end of every key that depends on it.
        least: smallest height and width of an image that every layer still sees.

    """

    def __init__(self, name: str, least: int) -> None:
        super().__init__()
        self.name, self.least = name, least

    @abstractmethod
    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the maps (N, C_l, H_l, W_l) of images (N, C, H, W) in [0, 1]."""

    @abstractmethod
    def heads(self) -> list[Tensor]:
        """Return the weights (C_l,) of the channels of every layer."""

    def prepare(self, data: DataModule) -> None:
        """Prepare for a data set; a network with weights has nothing to do."""

    def distance_key(self) -> str:
        """Return the name of a mean of this distance."""
        return f"distance_{self.name}"

    def path_length_key(self) -> str:
        """Return the name of a path length by this distance; "ppl" is kept for the published one."""
        return f"path_length_{self.name}"

    def check(self, shape: Sequence[int]) -> None:
        """Raise an error if images of a shape (C, H, W) cannot be compared.

        Raises:
            ValueError: they are no images in one or three colours, or too small.

        """
        if len(shape) != 3 or shape[0] not in (1, 3) or min(shape[1:]) < self.least:
            raise ValueError(
                f"{type(self).__name__} expected images of shape (1 or 3, H, W), H and W at least {self.least}, "
                f"got {tuple(shape)}"
            )

    def train(self, mode: bool = True) -> PerceptualDistance:
        """Stay in eval mode: distances must not depend on the batch."""
        return super().train(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances (N,) of images (N, C, H, W), whose values beyond [0, 1] are clipped.

        Raises:
            ValueError: they are no images of the same shape that this distance can compare.

        """
        if a.ndim != 4 or a.shape != b.shape:
            raise ValueError(f"expected images of one shape (N, C, H, W), got {tuple(a.shape)} and {tuple(b.shape)}")
        self.check(a.shape[1:])
        maps_a, maps_b = (self.maps(x.clamp(0, 1)) for x in (a, b))
        parts = [
            ((_unit(y) - _unit(other)).square() * w[:, None, None]).sum(1).mean((1, 2))
            for y, other, w in zip(maps_a, maps_b, self.heads(), strict=True)
        ]
        return torch.stack(parts).sum(0)


class ClassifierDistance(PerceptualDistance):
    """The perceptual distance by a small classifier of the data set itself, all weights 1.

    It serves where no weights of ImageNet can be had or images are far from photographs; its values compare models of
    one data set with each other, and with nothing published.

    Args:
        classifier: the classifier, trained by `prepare` unless it is already.

    """

    def __init__(self, classifier: DatasetClassifier) -> None:
        super().__init__("classifier", 2)
        self.classifier = classifier

    def prepare(self, data: DataModule) -> None:
        """Train the classifier."""
        self.classifier.prepare(data)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the maps after its two convolutions."""
        return self.classifier.maps(x)

    def heads(self) -> list[Tensor]:
        """Return ones."""
        convolutions = [layer for layer in self.classifier.net if isinstance(layer, nn.Conv2d)]
        return [torch.ones(layer.out_channels, device=layer.weight.device) for layer in convolutions]


def diversity(distance: Callable[[Tensor, Tensor], Tensor], x: Tensor, chunk_size: int = 256) -> tuple[Tensor, Tensor]:
    """Return the mean distance of two observations, by disjoint pairs out of x (N, *shape), and its standard error.

    Args:
        distance: observations twice -> distances (N,).
        x: independent observations; the last of an odd number is left out.
        chunk_size: pairs at a time.

    Raises:
        ValueError: there are fewer than four observations.

    """
    if len(x) < 4:
        raise ValueError(f"expected at least 4 observations, got {len(x)}")
    a, b = x[: 2 * (len(x) // 2)].chunk(2)
    found = torch.cat([distance(*pair) for pair in zip(a.split(chunk_size), b.split(chunk_size), strict=True)]).double()
    return found.mean(), found.std() / len(found) ** 0.5


def _unit(y: Tensor) -> Tensor:
    """Return maps divided by their norm over the channels; places where all are 0 stay 0, with gradient 0."""
    return y / torch.linalg.vector_norm(y, dim=1, keepdim=True).clamp(min=1e-10)


def layer_outputs(net: nn.Sequential, x: Tensor, layers: Sequence[int]) -> list[Tensor]:
    """Return the outputs of some layers of a sequence."""
    kept = list(accumulate(net[: max(layers) + 1], lambda y, layer: layer(y), initial=x))
    return [kept[i + 1] for i in layers]
