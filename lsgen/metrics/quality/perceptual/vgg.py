"""VGG16 features, in which precision and recall of samples were published.

Reference: Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models" (2019), section
3, https://arxiv.org/abs/1904.06991: the second fully connected layer, k = 3, 50,000 observations of either kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from lsgen.metrics.quality.features import FeatureExtractor, as_bytes
from lsgen.metrics.quality.perceptual.weights import network

__all__ = ["VGG16", "resized_as_tensorflow"]

_SIZE = 224


class VGG16(FeatureExtractor):
    """The 4,096 activations of VGG16's second fully connected layer, as torch-fidelity computes them.

    Grey images are repeated in three channels. x in [0, 1] is rounded to 8 bits, resized and normalised as ImageNet's.

    Args:
        weights: path of torchvision's weights; nothing is downloaded.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.

    """

    resize: ClassVar[str] = "224x224, bilinear as in TensorFlow 1"

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__("vgg16", 4096)
        self.net = network("vgg16", weights, "VGG16")
        assert isinstance(self.net.classifier, nn.Sequential)
        self.net.classifier = self.net.classifier[:5]
        colours = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        for buffer, values in zip(("mean", "deviation"), colours, strict=True):
            self.register_buffer(buffer, torch.tensor(values).view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> VGG16:
        """Stay in eval mode: features must not depend on the batch."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, 4096)."""
        image = resized_as_tensorflow(as_bytes(x).float(), _SIZE)
        features: Tensor = self.net((image / 255 - self.mean) / self.deviation)
        return features


def resized_as_tensorflow(x: Tensor, size: int) -> Tensor:
    """Return images (N, C, H, W) as (N, C, size, size), the pixel at i bilinear in its neighbours of i H / size."""
    axes = [torch.arange(size, device=x.device, dtype=x.dtype) * (n / size) for n in x.shape[2:]]
    rows, columns = (2 * at.clamp(max=n - 1) / max(n - 1, 1) - 1 for at, n in zip(axes, x.shape[2:], strict=True))
    places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    return grid_sample(x, places.expand(len(x), -1, -1, -1), padding_mode="border", align_corners=True)
