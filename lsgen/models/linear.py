r"""Probabilistic principal component analysis: the linear baseline, fitted in closed form.

    z ~ N(0, I),    x | z ~ N(W z + mu, sigma^2 I),    S = 1/N sum_n (x_n - mu)(x_n - mu)^T = U Lambda U^T

    mu = mean of x,    sigma^2 = 1/(D - d) sum_{j > d} lambda_j,    W = U_d (Lambda_d - sigma^2 I)^{1/2}

maximises the evidence, and the posterior is p(z|x) = N(M^-1 W^T (x - mu), sigma^2 M^-1) with M = W^T W + sigma^2 I
= Lambda_d diagonal: a VAE whose encoder, decoder and posterior are linear and exact. The ELBO is the evidence.

Principal component analysis keeps the scale of the components, W = U_d Lambda_d^{1/2}, with the deterministic code
z = Lambda_d^{-1/2} U_d^T (x - mu), of unit variance over the data.

Reference: Tipping & Bishop, "Probabilistic principal component analysis" (1999), equations 7, 8 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from lsgen.latent import Deterministic, DiagonalNormal, EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import SharedGaussian
from lsgen.models.base import Batch
from lsgen.models.fitted import FittedModel, moments, principal_axes
from lsgen.models.losses import Losses
from lsgen.models.vae.objective import sample_terms
from lsgen.nn import MLPDecoder, MLPEncoder

__all__ = ["LinearModel"]


class LinearModel(FittedModel):
    """Principal component analysis, probabilistic or not, fitted in one pass over the training data.

    The moments of the data are summed in float64, D x D numbers; the components are found after the last batch of
    the first epoch, or of the generator step that `max_steps` allows. Losses are those of the model as it stands:
    until then W = 0, sigma = 1.

    Args:
        shape: shape of one observation; D is their number of values.
        dim: number of components d < D.
        probabilistic: whether codes have a posterior; else they are points and there is no bound.
        max_steps: batches after which the fit is made, if not at the end of the epoch.

    Raises:
        ValueError: dim is not below the data dimension.

    """

    latent_space: EncodableLatentSpace

    def __init__(
        self, shape: Sequence[int], dim: int, probabilistic: bool = True, max_steps: int | None = None
    ) -> None:
        if not 0 < dim < prod(shape):
            raise ValueError(f"expected between 1 and {prod(shape) - 1} components of {prod(shape)} values, got {dim}")
        posterior = DiagonalNormal() if probabilistic else Deterministic()
        encoder = MLPEncoder(shape, dim, hidden=(), heads=posterior.heads)
        decoder = MLPDecoder(dim, shape, hidden=())
        for parameter in (*encoder.parameters(), *decoder.parameters()):
            nn.init.zeros_(parameter)
        space = EncodableLatentSpace(encoder, decoder, SharedGaussian(shape), StandardNormal(dim), posterior)
        super().__init__(space, max_steps=max_steps)
        self.probabilistic = probabilistic

    @property
    def least_observations(self) -> int:
        """The number of components plus two."""
        return self.latent_space.dim + 2

    def loss(self, batch: Batch) -> Losses:
        """Return the losses of a batch; the loss is the negative ELBO, or the reconstruction of point codes."""
        return sample_terms(self.latent_space, batch["x"]).bound()

    def statistics(self, x: Tensor) -> Sequence[Tensor]:
        """Return the sum (D,) and the sum of products (D, D) of observations (B, *shape)."""
        return moments(x.flatten(1))

    def solve(self, count: Tensor, *sums: Tensor) -> None:
        """Set encoder, decoder and sigma from the moments of the data."""
        d = self.latent_space.dim
        mean, values, vectors = principal_axes(count, *sums)
        values, vectors = values.clamp(min=0), vectors[:, :d]
        rest, kept = values[d:].sum(), values[:d]
        noise = rest / (len(values) - d) if self.probabilistic else rest / len(values)
        noise = noise.clamp(min=torch.finfo(torch.float32).tiny)
        kept = kept.maximum(noise)
        scale = (kept - noise).clamp(min=0).sqrt() if self.probabilistic else kept.sqrt()
        encode = vectors.T * (scale / kept).unsqueeze(1)
        encoder, decoder = (
            net.get_submodule("layers.0") for net in (self.latent_space.encoder, self.latent_space.decoder)
        )
        assert isinstance(encoder, nn.Linear) and isinstance(decoder, nn.Linear)  # noqa: PT018
        encoder.weight.zero_()[:d] = encode
        encoder.bias.zero_()[:d] = -encode @ mean
        if self.probabilistic:
            encoder.bias[d:] = (noise / kept).log()
        decoder.weight.copy_(vectors * scale)
        decoder.bias.copy_(mean)
        self.latent_space.likelihood.get_parameter("log_sigma").copy_(noise.log() / 2)
