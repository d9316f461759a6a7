"""Feature extractors for distances between sets of observations, which are named after their extractor.

| extractor           | name                | features                                                              |
|---------------------|---------------------|-----------------------------------------------------------------------|
| `Pixels`            | pixels              | the observation itself                                                |
| `NetworkFeatures`   | given               | any network's outputs                                                 |
| `DatasetClassifier` | classifier          | the last hidden layer of a small classifier trained on the data set   |
| `Inception`         | inception           | pool features of torch-fidelity's port of the network FID is defined by |
| `DINOv2`            | dinov2              | the class token of a vision transformer: FD-DINOv2                    |
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lsgen.data import DataModule

__all__ = ["ClassifierFeatures", "DatasetClassifier", "FeatureExtractor", "Inception", "NetworkFeatures", "Pixels"]

_INCEPTION = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)


class FeatureExtractor(nn.Module, ABC):
    """Abstract map from observations (N, *shape), in data units, to features (N, dim).

    Attributes:
        name: the end of every key that depends on it.
        dim: number of features.
        resize: what happens to an image before the network sees it.

    """

    resize: ClassVar[str] = "none"

    def __init__(self, name: str, dim: int) -> None:
        super().__init__()
        self.name, self.dim = name, int(dim)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, dim)."""

    def prepare(self, data: DataModule) -> None:
        """Prepare for a data set; most extractors have nothing to do."""

    def frechet_key(self) -> str:
        """Return the name of a Frechet distance of these features; "fid" is kept for the Inception network."""
        return f"fd_{self.name}"

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that depend on the name and every weight."""
        digest = hashlib.sha256(f"{self.name} {self.resize}".encode())
        for key, value in self.state_dict().items():
            digest.update(key.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


class ClassifierFeatures(FeatureExtractor):
    """Abstract last hidden layer of a classifier, from which a linear layer computes class logits."""

    @abstractmethod
    def logits(self, features: Tensor) -> Tensor:
        """Return the class logits (N, classes) of features (N, dim)."""

    def score_key(self) -> str:
        """Return the name of a score of the logits; "inception_score" is kept for the Inception network."""
        return f"{self.name}_score"


class Pixels(FeatureExtractor):
    """The observation itself, flattened.

    Args:
        shape: shape of one observation.

    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__("pixels", prod(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Return the observations as vectors."""
        return x.flatten(1)


class NetworkFeatures(FeatureExtractor):
    """The outputs of a given network, in eval mode.

    Args:
        net: observations (N, *shape) -> features (N, dim).
        name: the end of every key.
        dim: number of features.

    """

    def __init__(self, net: nn.Module, name: str, dim: int) -> None:
        super().__init__(name, dim)
        self.net = net.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> NetworkFeatures:
        """Stay in eval mode: features must not depend on the batch."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, dim)."""
        out: Tensor = self.net(x)
        return out


class DatasetClassifier(ClassifierFeatures):
    """The last hidden layer of a small convolutional classifier, trained on the labels of the data set itself.

    It serves where no Inception weights can be had or images are far from photographs. Distances in its features
    compare models of one data set with each other, and with nothing published.

    Args:
        shape: shape of one image, (C, H, W).
        classes: number of classes.
        dim: number of features.
        steps: training steps; Adam, learning rate 1e-3, batches of 128.
        seed: seed of weights and batches.

    Raises:
        ValueError: the images have no labels, or `prepare` was not called.

    """

    def __init__(
        self, shape: Sequence[int], classes: int = 10, dim: int = 128, steps: int = 1000, seed: int = 0
    ) -> None:
        super().__init__("classifier", dim)
        self.steps, self.seed = steps, seed
        channels, height, width = (int(size) for size in shape)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.net = nn.Sequential(
                nn.Conv2d(channels, 32, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(32, 64, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(64 * -(-height // 4) * -(-width // 4), dim),
                nn.ReLU(),
            )
            self.head = nn.Linear(dim, classes)
        self.ready = False

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, dim)."""
        if not self.ready:
            raise ValueError("DatasetClassifier expected prepare(data) before features are asked for")
        out: Tensor = self.net(x)
        return out

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the maps (N, C_l, H_l, W_l) after the two convolutions."""
        if not self.ready:
            raise ValueError("DatasetClassifier expected prepare(data) before maps are asked for")
        first = self.net[:2](x)
        return [first, self.net[2:4](first)]

    def prepare(self, data: DataModule) -> None:
        """Train on the labels of the training split."""
        if self.ready:
            return
        train = data.dataset("train")
        generator = torch.Generator().manual_seed(self.seed)
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        device = self.head.weight.device
        with torch.enable_grad():
            for _ in range(self.steps):
                batch = train[torch.randint(len(train), (128,), generator=generator)]
                if "label" not in batch:
                    raise ValueError("DatasetClassifier expected labelled data, got none")
                logits = self.head(self.net(batch["x"].to(device)))
                loss = cross_entropy(logits, batch["label"].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.requires_grad_(False)
        self.ready = True

    def logits(self, features: Tensor) -> Tensor:
        """Return the class logits (N, classes) of features (N, dim)."""
        out: Tensor = self.head(features)
        return out

    def probabilities(self, x: Tensor) -> Tensor:
        """Return the class probabilities (N, classes), differentiable in x."""
        return torch.softmax(self.logits(self(x)), 1)

    @torch.no_grad()
    def accuracy(self, data: DataModule) -> float:
        """Return the share of correct labels on the test split."""
        test = data.dataset("test")
        hits = 0
        for rows in torch.arange(len(test)).split(512):
            batch = test[rows]
            predicted = self.head(self(batch["x"].to(self.head.weight.device))).argmax(1)
            hits += int((predicted.cpu() == batch["label"]).sum())
        return hits / len(test)


class Inception(ClassifierFeatures):
    """The 2,048 pool features of the Inception network that FID is defined by, as torch-fidelity computes them.

    Grey images are repeated in three channels. x in [0, 1] is rounded to 8 bits, as image files would be.

    Args:
        weights: path of torch-fidelity's weights; nothing is downloaded.

    Raises:
        ImportError: the extra `quality` is not installed.
        FileNotFoundError: there are no weights at the path.

    """

    resize: ClassVar[str] = "299x299, bilinear as in TensorFlow 1"

    def __init__(self, weights: str | None = None) -> None:
        super().__init__("inception", 2048)
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ModuleNotFoundError as error:
            raise ImportError("Inception expected torch-fidelity: pip install 'lsgen[quality]'") from error
        if weights is None or not Path(weights).is_file():
            raise FileNotFoundError(
                f"Inception expected torch-fidelity's weights, got {weights}: fetch {_INCEPTION} and pass weights=PATH"
            )
        self.net = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(weights))

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, 2048)."""
        out: Tensor = self.net(as_bytes(x))[0]
        return out

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, 1008) of features, without the last layer's bias as in the published score."""
        return features @ self.net.fc.weight.T

    def score_key(self) -> str:
        """Return "inception_score"."""
        return "inception_score"

    def frechet_key(self) -> str:
        """Return "fid"."""
        return "fid"


def as_bytes(x: Tensor) -> Tensor:
    """Return images (N, 1 or 3, H, W) in [0, 1] as uint8 (N, 3, H, W).

    Raises:
        ValueError: x is no such batch of images.

    """
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ValueError(f"expected images of shape (N, 1 or 3, H, W), got {tuple(x.shape)}")
    grey = x.clamp(0, 1).mul(255).round().to(torch.uint8)
    return grey.expand(-1, 3, -1, -1) if x.shape[1] == 1 else grey
