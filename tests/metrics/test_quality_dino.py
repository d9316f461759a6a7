"""DINOv2 features: what the network is shown, and what is said where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lsgen.metrics.quality import DINOv2


class Shown(nn.Module):
    """Keeps what it is shown; returns the means of its channels, repeated."""

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return x.mean((2, 3)).repeat(1, 128)


def test_the_network_sees_bicubic_normalised_images_of_eight_bits() -> None:
    extractor = DINOv2("vits14", net := Shown())
    x = 0.3 + 0.4 * torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    features = extractor(x)
    assert features.shape == (2, 384)
    assert net.x.shape == (2, 3, 224, 224)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    raw = net.x * deviation + mean
    for image, shown in zip(x, raw, strict=True):
        pixels = (255 * image).round().byte().permute(1, 2, 0).numpy()
        peer = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BICUBIC)).astype(float)
        # PIL has fixed-point weights and rounds between its two passes
        assert np.abs(255 * shown.permute(1, 2, 0).numpy() - peer).max() <= 2.01
        assert np.abs(255 * shown.permute(1, 2, 0).numpy() - peer).mean() < 0.3


def test_names_tell_the_network() -> None:
    assert DINOv2("vits14", Shown()).frechet_key() == "fd_dinov2_vits14"
    large = DINOv2(net=Shown())
    assert large.frechet_key() == "fd_dinov2"
    assert large.dim == 1024
    assert not large.train().net.training
    with pytest.raises(ValueError, match=r"expected features of shape \(1, 1024\), got \(1, 384\)"):
        large(torch.rand(1, 1, 8, 8))


def test_a_network_that_cannot_be_had_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"DINOv2 expected dinov2_vitl14 and its weights from .*pass net=NETWORK"
    ):
        DINOv2(repository=str(tmp_path))
    with pytest.raises(ValueError, match="expected an architecture out of vits14, vitb14, vitl14, vitg14, got resnet"):
        DINOv2("resnet")
