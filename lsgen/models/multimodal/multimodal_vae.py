"""The joint variational autoencoder of several modalities, assembled from parts: variants are objects passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent import Prior
from lsgen.latent.multimodal import JointPosterior, MultimodalSpace
from lsgen.likelihoods import Modalities
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.contract import Contract
from lsgen.models.losses import Losses
from lsgen.models.multimodal.objective import MultimodalObjective
from lsgen.models.optimised import OptimisedModel

__all__ = ["MultimodalVAE"]


class MultimodalVAE(OptimisedModel):
    """A variational autoencoder of several modalities, which any subset of them encodes.

    Batches hold packed observations "x" (B, D), or one entry a modality; where some lack modalities also "present",
    bool (B, M), see `lsgen.models.contract`.

    Args:
        encoders: by name, observations (N, *shape_i) -> mean and log variance of the modality's expert.
        decoders: by name, codes -> raw outputs (N, *raw_shape_i).
        likelihood: raw outputs -> p(x|z).
        prior: p(z).
        objective: what is minimised.
        joint: how the posterior of several modalities is made; a product of experts unless given.
        private: dimension of each modality's own code.
        optimizer: parameters -> optimiser; fused Adam with learning rate 1e-3 unless another is given.
        scheduler: optimiser -> learning-rate scheduler, stepped once a generator step; none unless given.
        max_steps: generator steps after which training stops.

    Raises:
        ValueError: the parts disagree on names, dimensions or numbers of heads.
        TypeError: the objective cannot train with the prior or the posterior.

    """

    latent_space: MultimodalSpace

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        decoders: Mapping[str, nn.Module],
        likelihood: Modalities,
        prior: Prior,
        objective: MultimodalObjective,
        joint: JointPosterior | None = None,
        private: int = 0,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        space = MultimodalSpace(encoders, decoders, likelihood, prior, joint, private)
        super().__init__(space, optimizer, scheduler, max_steps)
        objective.check(self.latent_space)
        self.objective = objective

    def contract(self) -> Contract:
        """Return the requirements on a batch; observations may lack modalities in training."""
        return replace(super().contract(), partial=True)

    def loss(self, batch: Batch) -> Losses:
        """Return the losses of a batch at the current generator step, those of the metric included."""
        losses: Losses = self.objective(self.latent_space, batch, self.generator_steps)
        return self.regularised(losses, batch)

    def some_codes(self, batch: Batch) -> Tensor:
        """Return draws of the posterior of the modalities that are present, at which the metric is regularised."""
        space, present = self.latent_space, batch.get("present")
        codes: Tensor = space.given(space.experts(batch["x"], present), present).rsample()
        return codes

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean reconstruction of packed observations (N, D), through the mean of their posterior."""
        return self.latent_space.decode(self.latent_space.encode(x).mean).mean
