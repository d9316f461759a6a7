r"""The autoencoder: reconstruction alone, and its denoising form.

    loss = -log p( x | z ),    z = encoder(x)               autoencoder
    loss = -log p( x | z ),    z = encoder(corrupt(x))      denoising autoencoder

With a `Deterministic` posterior there is no KL and no bound; with a random one, z is a sample.

Reference: Vincent et al., "Extracting and composing robust features with denoising autoencoders" (2008).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["Autoencoder", "Corruption", "Denoising", "GaussianNoise", "Masking"]


class Autoencoder(Objective):
    """Reconstruction of observations from their codes."""

    divergence = False

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the reconstruction alone."""
        terms = sample_terms(space, batch["x"])
        return terms.losses(terms.reconstruction.mean())


class Corruption(ABC):
    """Abstract random map from observations to corrupted ones."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Return corrupted observations of the shape of x."""


class GaussianNoise(Corruption):
    """Adds N(0, sigma^2) to every value.

    Args:
        sigma: standard deviation, in the units of the data.

    Raises:
        ValueError: sigma is not positive.

    """

    def __init__(self, sigma: float = 0.3) -> None:
        if not sigma > 0:
            raise ValueError(f"expected a standard deviation sigma > 0, got {sigma}")
        self.sigma = float(sigma)

    def __call__(self, x: Tensor) -> Tensor:
        """Return x plus noise."""
        return x + self.sigma * torch.randn_like(x)


class Masking(Corruption):
    """Sets a random part of the values to zero.

    Args:
        fraction: expected part of the values, in (0, 1).

    Raises:
        ValueError: fraction lies outside (0, 1).

    """

    def __init__(self, fraction: float = 0.25) -> None:
        if not 0 < fraction < 1:
            raise ValueError(f"expected a fraction in (0, 1), got {fraction}")
        self.fraction = float(fraction)

    def __call__(self, x: Tensor) -> Tensor:
        """Return x with zeros."""
        return torch.where(torch.rand_like(x) < self.fraction, 0.0, x)


class Denoising(Objective):
    """Reconstruction of observations from the codes of corrupted ones.

    Args:
        corruption: what is done to the observations; Gaussian noise with sigma = 0.3 unless another is given.

    """

    divergence = False

    def __init__(self, corruption: Corruption | None = None) -> None:
        super().__init__()
        self.corruption = GaussianNoise() if corruption is None else corruption

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the reconstruction of the clean observations."""
        terms = sample_terms(space, batch["x"], seen=self.corruption(batch["x"]))
        return terms.losses(terms.reconstruction.mean())
