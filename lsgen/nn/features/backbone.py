"""Networks of torchvision as encoders: their last layer is left out or replaced.

Weights are random, or those of a file that the user has; nothing is downloaded.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["TorchvisionBackbone"]

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TorchvisionBackbone(nn.Module):
    """Images (N, C, H, W) of values in [0, 1], grey or in colours, -> features (N, dim).

    Images are standardised by the mean and the deviation of ImageNet's channels, as torchvision's networks expect.

    Args:
        architecture: name of a classifier of `torchvision.models`, such as "resnet18".
        dim: outputs of a new linear layer in the place of the last one; None for the inputs of that, as they are.
        weights: file with the weights of the whole network, as torchvision publishes it; None for random ones.
        frozen: whether all weights but those of the new layer stay as they are, and the network in evaluation mode.
        size: side to which images are resized; None leaves them as they are.

    Attributes:
        dim: the number of features.

    Raises:
        ImportError: torchvision cannot be imported.
        ValueError: there is no such network, it does not end in a linear layer, or the file holds another network.
        FileNotFoundError: there is no such file.

    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        architecture: str = "resnet18",
        dim: int | None = None,
        weights: str | Path | None = None,
        frozen: bool = False,
        size: int | None = None,
    ) -> None:
        super().__init__()
        self.frozen, self.size, self.heads = frozen, size, 1
        self.network = _network(architecture, weights)
        name, last = _last_linear(self.network, architecture)
        self.network.requires_grad_(not frozen)
        self.network.set_submodule(name, nn.Identity() if dim is None else nn.Linear(last.in_features, dim))
        self.dim = last.in_features if dim is None else dim
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)
        self._head = name
        self.train()

    def train(self, mode: bool = True) -> TorchvisionBackbone:
        """Set the mode; a frozen network stays in evaluation mode, but for its new layer."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
            self.network.get_submodule(self._head).train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, dim).

        Raises:
            ValueError: x are no images of one or three channels.

        """
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise ValueError(f"expected images (N, 1, H, W) or (N, 3, H, W), got {tuple(x.shape)}")
        x = (x.expand(-1, 3, -1, -1) - self.mean) / self.deviation
        if self.size is not None:
            x = functional.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        out: Tensor = self.network(x)
        return out


def _network(architecture: str, weights: str | Path | None) -> nn.Module:
    """Return a classifier of torchvision with random weights, or those of a file."""
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:
        raise ImportError(f"{architecture} needs torchvision, which cannot be imported here: {error}") from error
    names = models.list_models(module=models)
    if architecture not in names:
        raise ValueError(f"expected a network of torchvision.models such as resnet18, got {architecture!r}")
    if weights is not None and not Path(weights).is_file():
        raise FileNotFoundError(
            f"expected a file of weights of {architecture} at {weights}, found none: lsgen downloads none; "
            "state the file that torchvision publishes, or null for random weights"
        )
    network: nn.Module = models.get_model(architecture, weights=None)
    if weights is None:
        return network
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (RuntimeError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"expected the weights of {architecture} in {weights}, got something else: {said}") from error
    return network


def _last_linear(network: nn.Module, architecture: str) -> tuple[str, nn.Linear]:
    """Return the last linear layer of a classifier, with its name."""
    name, last = list(network.named_modules())[-1]
    if not isinstance(last, nn.Linear):
        raise ValueError(
            f"expected a network that ends in a linear layer, got {architecture}, in {type(last).__name__}"
        )
    return name, last
