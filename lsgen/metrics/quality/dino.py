"""DINOv2 features, learnt without labels, in which Frechet distances follow human judgement better than in Inception's.

Reference: Oquab et al., "DINOv2" (2023), https://arxiv.org/abs/2304.07193; Stein et al., "Exposing flaws of generative
model evaluation metrics and their unfair treatment of diffusion models" (2023), https://arxiv.org/abs/2306.04675.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lsgen.metrics.quality.features import FeatureExtractor, as_bytes

__all__ = ["DINOv2"]

_WIDTHS = {"vits14": 384, "vitb14": 768, "vitl14": 1024, "vitg14": 1536}


class DINOv2(FeatureExtractor):
    """The class token of a DINOv2 vision transformer; its Frechet distance with ViT-L/14 is FD-DINOv2.

    Grey images are repeated in three channels. x in [0, 1] is rounded to 8 bits, resized and normalised as ImageNet's.

    Args:
        architecture: "vits14", "vitb14", "vitl14" (of the paper) or "vitg14"; another than vitl14 is part of the name.
        net: normalised images (N, 3, 224, 224) -> class tokens (N, width), for whoever has the network; else
            `torch.hub` gets it.
        repository: what `torch.hub` loads from: a repository of GitHub, or the path of a clone of it.

    Raises:
        ValueError: there is no such architecture.
        FileNotFoundError: the network or its weights cannot be loaded.

    """

    resize: ClassVar[str] = "224x224, bicubic, antialiased"

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, architecture: str = "vitl14", net: nn.Module | None = None, repository: str = "facebookresearch/dinov2"
    ) -> None:
        if architecture not in _WIDTHS:
            raise ValueError(f"expected an architecture out of {', '.join(_WIDTHS)}, got {architecture}")
        name = "dinov2" if architecture == "vitl14" else f"dinov2_{architecture}"
        super().__init__(name, _WIDTHS[architecture])
        self.net = (_loaded(architecture, repository) if net is None else net).eval().requires_grad_(False)
        colours = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        for buffer, values in zip(("mean", "deviation"), colours, strict=True):
            self.register_buffer(buffer, torch.tensor(values).view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> DINOv2:
        """Stay in eval mode: features must not depend on the batch."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, width).

        Raises:
            ValueError: the network returns something of another shape.

        """
        image = interpolate(as_bytes(x).float(), size=(224, 224), mode="bicubic", antialias=True)
        features: Tensor = self.net((image.round().clamp(0, 255) / 255 - self.mean) / self.deviation)
        if features.shape != (len(x), self.dim):
            raise ValueError(f"DINOv2 expected features of shape ({len(x)}, {self.dim}), got {tuple(features.shape)}")
        return features


def _loaded(architecture: str, repository: str) -> nn.Module:
    source = "local" if Path(repository).is_dir() else "github"
    try:
        net: nn.Module = torch.hub.load(repository, f"dinov2_{architecture}", source=source, trust_repo=True)
    except (OSError, URLError, RuntimeError) as error:
        raise FileNotFoundError(
            f"DINOv2 expected dinov2_{architecture} and its weights from {repository}, got {error}: put a clone and "
            "the weights into the cache of torch.hub, or pass net=NETWORK"
        ) from error
    return net
