r"""Principal components of the features that a network gives, such as one that was trained on other images.

    z = Lambda^{-1/2} U^T (f(x) - mu),    1/N sum_n (f(x_n) - mu)(f(x_n) - mu)^T = U Lambda U^T,

with the d greatest eigenvalues, so that codes have mean 0 and unit variance in every direction over the training data.
The network f stays as it is, in evaluation mode; mu, U and Lambda are found in one pass over the data.

Reference: Jegou & Chum, "Negative evidences and co-occurrences in image retrieval: the benefit of PCA and whitening"
(ECCV 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from lsgen.latent import FeatureSpace
from lsgen.models.base import Batch
from lsgen.models.fitted import FittedModel, moments, principal_axes
from lsgen.models.losses import ScalarLoss

__all__ = ["PrincipalFeatures", "ProjectedFeatures"]


class ProjectedFeatures(nn.Module):
    """Observations (N, *shape) -> whitened principal components (N, dim) of a network's features.

    Args:
        network: observations -> features (N, F); a `dim` attribute says how many. It stays in evaluation mode.
        dim: number of components d, at most F.

    Raises:
        ValueError: the network does not say how many features it has, or has fewer than d.

    """

    mean: Tensor
    components: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, dim: int) -> None:
        super().__init__()
        features = getattr(network, "dim", None)
        if not isinstance(features, int) or not 1 <= dim <= features:
            raise ValueError(f"expected a network with a dim of at least {max(dim, 1)} features, got {features}")
        self.network, self.dim, self.heads = network.requires_grad_(False).eval(), dim, 1
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("components", torch.eye(features)[:, :dim].clone())
        self.register_buffer("scale", torch.ones(dim))

    def train(self, mode: bool = True) -> ProjectedFeatures:
        """Set the mode, but for that of the network."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return the components."""
        made: Tensor = (self.network(x) - self.mean) @ self.components / self.scale
        return made


class PrincipalFeatures(FittedModel):
    """A feature space of the whitened principal components of a network's features, fitted in one pass.

    The loss is the share of the variance of features that the components leave: until the fit is made it is that of
    the first d features.

    Args:
        encoder: the network: observations -> features (N, F), with a `dim` attribute F; it stays as it is.
        dim: number of components d, at most F.
        shape: shape of one observation; any that the network takes unless given.
        max_steps: batches after which the fit is made, if not at the end of the epoch.

    Raises:
        ValueError: see `ProjectedFeatures`; when the fit is made, the features have fewer than d directions.

    """

    latent_space: FeatureSpace
    bounds_evidence: ClassVar[bool] = False

    def __init__(
        self, encoder: nn.Module, dim: int, shape: Sequence[int] | None = None, max_steps: int | None = None
    ) -> None:
        space = FeatureSpace(ProjectedFeatures(encoder, dim), dim, shape=shape)
        super().__init__(space, max_steps=max_steps)

    @property
    def least_observations(self) -> int:
        """The number of components plus one."""
        return self.latent_space.dim + 1

    @torch.no_grad()
    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the share of the variance of the features of a batch that the components leave."""
        part = self._part
        centred = part.network(batch["x"]) - part.mean
        left = centred - centred @ part.components @ part.components.T
        return ScalarLoss(left.square().sum() / centred.square().sum().clamp(min=torch.finfo(centred.dtype).tiny))

    def statistics(self, x: Tensor) -> Sequence[Tensor]:
        """Return the sum (F,) and the sum of products (F, F) of the features of observations (B, *shape)."""
        return moments(self._part.network(x))

    def solve(self, count: Tensor, *sums: Tensor) -> None:
        """Set the mean, the components and their scale."""
        d = self.latent_space.dim
        mean, values, vectors = principal_axes(count, *sums)
        values, vectors = values[:d], vectors[:, :d]
        signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        if not bool(values[-1] > 1e-12 * values[0]):
            rank = int((values > 1e-12 * values[0]).sum())
            raise ValueError(f"expected features that vary in {d} directions at least, got {rank}")
        part = self._part
        part.mean.copy_(mean)
        part.components.copy_(vectors * signs)
        part.scale.copy_(values.sqrt())

    @property
    def _part(self) -> ProjectedFeatures:
        part = self.latent_space.encoder
        assert isinstance(part, ProjectedFeatures)
        return part
