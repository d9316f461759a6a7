r"""LPIPS, the learned perceptual image patch similarity.

The weights w of `lsgen.metrics.quality.perceptual.distance` were fitted to human judgement of distorted patches; the
maps are those of a network of ImageNet after the ReLUs named below, for images (2 x - 1 - shift) / scale:

    vgg16       relu1_2, relu2_2, relu3_3, relu4_3, relu5_3        64, 128, 256, 512, 512 channels
    alexnet     relu1 to relu5                                     64, 192, 384, 256, 256

Reference: Zhang et al. (2018), https://arxiv.org/abs/1801.03924, version 0.1 of its weights.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import torch
import torchmetrics
from torch import Tensor, nn

from lsgen.metrics.quality.perceptual.distance import PerceptualDistance, layer_outputs
from lsgen.metrics.quality.perceptual.weights import network, tensors

__all__ = ["LPIPS"]

_LAYERS = {"vgg16": (3, 8, 15, 22, 29), "alexnet": (1, 4, 7, 9, 11)}
_CHANNELS = {"vgg16": (64, 128, 256, 512, 512), "alexnet": (64, 192, 384, 256, 256)}
_LEAST = {"vgg16": 16, "alexnet": 31}
_FILES = {"vgg16": "vgg.pth", "alexnet": "alex.pth"}
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class LPIPS(PerceptualDistance):
    """The learned perceptual distance of images in [0, 1], by VGG16 or AlexNet with the user's weights.

    Grey images are repeated in three channels. Images are not resized. The perceptual path length by VGG16 is the
    published one, key `ppl`.

    Args:
        weights: path of torchvision's weights of the network; nothing is downloaded.
        backbone: "vgg16" or "alexnet".
        heads: path of the weights of the channels, a file of the authors' repository; those that torchmetrics brings
            unless given, which are the same.

    Raises:
        ValueError: there is no such backbone, or a file holds something else.
        FileNotFoundError: there is no such file.

    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        weights: str | Path | None = None,
        backbone: Literal["vgg16", "alexnet"] = "vgg16",
        heads: str | Path | None = None,
    ) -> None:
        if backbone not in _LAYERS:
            raise ValueError(f"LPIPS expected a backbone out of {', '.join(_LAYERS)}, got {backbone}")
        super().__init__(f"lpips_{backbone}", _LEAST[backbone])
        self.backbone = backbone
        self.net = network(backbone, weights, "LPIPS", "features")
        self._heads = nn.ParameterList(_heads(backbone, heads)).requires_grad_(False)
        for name, values in (("shift", _SHIFT), ("scale", _SCALE)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def distance_key(self) -> str:
        """Return "lpips_vgg16" or "lpips_alexnet"."""
        return self.name

    def path_length_key(self) -> str:
        """Return "ppl" for VGG16."""
        return "ppl" if self.backbone == "vgg16" else super().path_length_key()

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the maps after the five ReLUs."""
        coloured = (2 * x.expand(-1, 3, -1, -1) - 1 - self.shift) / self.scale
        assert isinstance(self.net, nn.Sequential)
        return layer_outputs(self.net, coloured, _LAYERS[self.backbone])

    def heads(self) -> list[Tensor]:
        """Return the fitted weights."""
        return list(self._heads)


def _heads(backbone: str, path: str | Path | None) -> list[Tensor]:
    """Return the weights (C_l,) of every layer."""
    shipped = Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models" / _FILES[backbone]
    source = f"lpips/weights/v0.1/{_FILES[backbone]} of https://github.com/richzhang/PerceptualSimilarity"
    what = f"the linear heads of {backbone}"
    found = tensors(shipped if path is None else path, "LPIPS", what, source, "heads")
    numbered = {int(m[1]): value for key, value in found.items() if (m := re.match(r"lin(\d+)\.", key))}
    heads = [numbered[i].flatten() for i in sorted(numbered)]
    if tuple(map(len, heads)) != _CHANNELS[backbone]:
        raise ValueError(
            f"LPIPS expected {what} with {_CHANNELS[backbone]} weights in {path}, got {tuple(map(len, heads))}"
        )
    return heads
