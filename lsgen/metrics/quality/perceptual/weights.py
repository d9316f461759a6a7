"""Networks of torchvision with weights from a file that the user has: nothing is downloaded."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["ARCHITECTURES", "network", "tensors"]

ARCHITECTURES = {  # name -> the file that torchvision publishes
    "alexnet": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
}


def tensors(path: str | Path | None, who: str, what: str, source: str, option: str = "weights") -> dict[str, Tensor]:
    """Return the tensors by name that a file holds.

    Args:
        path: the file; None where the user has not stated any.
        who: what needs it, for the sentence of an error.
        what: what the file is.
        source: where to get it.
        option: the argument that takes the path.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of tensors.

    """
    if path is None or not Path(path).is_file():
        raise FileNotFoundError(f"{who} expected {what}, got {path}: fetch {source} and pass {option}=PATH")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{who} expected {what} in {path}, got a file that torch cannot read: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{who} expected {what} in {path}, got {type(found).__name__} of something else than tensors")
    return found


def network(architecture: str, weights: str | Path | None, who: str, part: str = "") -> nn.Module:
    """Return a network of torchvision, or a part of it, in eval mode with the weights of a file.

    Args:
        architecture: "alexnet" or "vgg16".
        weights: path of the file that torchvision publishes.
        who: what needs it, for the sentence of an error.
        part: name of a submodule; the whole network unless given.

    Raises:
        ValueError: there is no such architecture, or the file holds another network.
        FileNotFoundError: there is no such file.

    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"{who} expected an architecture out of {', '.join(ARCHITECTURES)}, got {architecture}")
    what = f"torchvision's weights of {architecture}"
    found = tensors(weights, who, what, ARCHITECTURES[architecture])
    from torchvision import models

    with torch.device("meta"):
        net: nn.Module = getattr(models, architecture)(weights=None)
    net = net.get_submodule(part)
    start = f"{part}." if part else ""
    own = {key.removeprefix(start): value for key, value in found.items() if key.startswith(start)}
    try:
        net.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise ValueError(f"{who} expected {what} in {weights}, got those of another network: {error}") from error
    return net.eval().requires_grad_(False)
