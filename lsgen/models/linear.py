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
from typing import Any

import torch
from torch import Tensor, nn

from lsgen.latent import Deterministic, DiagonalNormal, EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import SharedGaussian
from lsgen.models.base import Batch, LatentModel
from lsgen.models.loaders import training_observations
from lsgen.models.losses import Losses
from lsgen.models.vae.objective import sample_terms
from lsgen.nn import MLPDecoder, MLPEncoder

__all__ = ["LinearModel"]


class LinearModel(LatentModel):
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
        super().__init__(space.requires_grad_(False), max_steps)
        self.probabilistic = probabilistic
        self.automatic_optimization = False
        self._moments: list[Tensor] | None = None

    def loss(self, batch: Batch) -> Losses:
        """Return the losses of a batch; the loss is the negative ELBO, or the reconstruction of point codes."""
        terms = sample_terms(self.latent_space, batch["x"])
        return Losses((terms.reconstruction + terms.kl.sum(-1)).mean(), terms.reconstruction, terms.kl)

    def forward(self, x: Tensor) -> Tensor:
        """Return the projection of observations (N, *shape) on the components."""
        return self.latent_space.decode(self.latent_space.encode(x).mean).mean

    def on_train_start(self) -> None:
        """Refuse too few observations before any is seen, where their number is known.

        Raises:
            ValueError: there are no more observations than components.

        """
        super().on_train_start()
        self._check_count(training_observations(self.trainer))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Add the batch to the moments, and fit after the last one."""
        self.last_losses = losses = self.loss(batch)
        self.accumulate(batch["x"])
        self.tick(len(batch["x"]))
        if self.trainer.is_last_batch or self.trainer.should_stop:
            moments = [self.trainer.strategy.reduce(moment, reduce_op="sum") for moment in self._moments or ()]
            self.solve(*moments)
            self._moments = None
            self.trainer.should_stop = True
        return {"loss": losses.loss, "losses": losses}

    def validation_step(self, batch: Batch, batch_idx: int) -> Losses:  # type: ignore[override]
        """Return the losses of a validation batch."""
        return self._evaluation_step(batch, "val/loss")

    def test_step(self, batch: Batch, batch_idx: int) -> Losses:  # type: ignore[override]
        """Return the losses of a test batch."""
        return self._evaluation_step(batch, "test/loss")

    def configure_optimizers(self) -> None:
        """Ask for no optimiser."""

    def fit(self, x: Tensor) -> LinearModel:
        """Fit to observations (N, *shape) without a trainer.

        Raises:
            ValueError: there are no more observations than components.

        """
        self._moments = None
        self.accumulate(x)
        assert self._moments is not None
        self.solve(*self._moments)
        self._moments = None
        return self

    def accumulate(self, x: Tensor) -> None:
        """Add observations (B, *shape) to the count, the sum (D,) and the sum of products (D, D)."""
        flat = x.detach().flatten(1).double()
        new = [flat.new_full((), len(flat)), flat.sum(0), flat.T @ flat]
        self._moments = [
            a + b for a, b in zip(self._moments or [torch.zeros_like(part) for part in new], new, strict=True)
        ]

    @torch.no_grad()
    def solve(self, count: Tensor, total: Tensor, products: Tensor) -> None:
        """Set encoder, decoder and sigma from the moments of the data.

        Raises:
            ValueError: there are no more observations than components.

        """
        d = self.latent_space.dim
        self._check_count(int(count))
        mean = total / count
        values, vectors = torch.linalg.eigh(products / count - torch.outer(mean, mean))
        values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)[:, :d]
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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clocks and the moments summed so far."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["moments"] = self._moments or []

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clocks and the moments."""
        super().on_load_checkpoint(checkpoint)
        self._moments = checkpoint["moments"] or None

    def _check_count(self, observations: int | None) -> None:
        d = self.latent_space.dim
        if observations is not None and observations <= d + 1:
            raise ValueError(f"expected more than {d + 1} observations for {d} components, got {observations}")

    def _evaluation_step(self, batch: Batch, key: str) -> Losses:
        losses = self.loss(batch)
        self.log(key, losses.loss, batch_size=len(batch["x"]), on_epoch=True, sync_dist=True)
        return losses
