r"""Captions of images by a small conditional decoder.

    p(w_1, ..., w_n | x) = prod_t p(w_t | w_1, ..., w_{t-1}, z),    z = encoder(x),    loss -log p(w | x)

Reference: Vinyals et al., "Show and tell: a neural image caption generator" (2015), https://arxiv.org/abs/1411.4555.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.likelihoods import Packing
from lsgen.likelihoods.text.base import TextLikelihood
from lsgen.likelihoods.text.vocabulary import tokens
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.losses import ScalarLoss
from lsgen.models.multimodal.caption_space import CaptionSpace
from lsgen.models.optimised import OptimisedModel

__all__ = ["Captioner"]


class Captioner(OptimisedModel):
    """A model of the captions of observations, such as images: an encoder, and a likelihood of sentences at its code.

    Observations whose source or caption is missing, as "present" of a batch says, do not count. What the words are
    called is taken from `vocabularies` of the data module, and kept with the weights.

    Args:
        encoder: observations (N, *shape) of the source -> codes (N, d).
        likelihood: codes (N, d) -> distributions of captions.
        shapes: shape of one observation of each modality, by name, in the order of their places.
        dim: dimension d of codes.
        source: the modality that is described.
        target: the modality that describes it.
        optimizer: parameters -> optimiser; Adam with learning rate 1e-3 unless given.
        scheduler: see `OptimisedModel`.
        max_steps: steps after which training stops.

    Raises:
        ValueError: see `CaptionSpace`; when training starts, the data have other words.
        TypeError: see `CaptionSpace`.

    """

    latent_space: CaptionSpace
    bounds_evidence: ClassVar[bool] = False

    def __init__(
        self,
        encoder: nn.Module,
        likelihood: TextLikelihood,
        shapes: Mapping[str, Sequence[int]],
        dim: int,
        source: str = "image",
        target: str = "caption",
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        space = CaptionSpace(encoder, likelihood, Packing(shapes), dim, source, target)
        super().__init__(space, optimizer, scheduler, max_steps)

    def setup(self, stage: str) -> None:
        """Take the names of words from the data module."""
        super().setup(stage)
        vocabularies = getattr(getattr(self.trainer, "datamodule", None), "vocabularies", {})
        if (found := vocabularies.get(self.latent_space.target)) is not None:
            self.latent_space.captions.name(found.words)

    def forward(self, x: Tensor) -> Tensor:
        """Return captions (N, L), numbers of words, for packed observations (N, D)."""
        return self.latent_space.described(x).mean

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the average -log p of the captions of a batch, in nats, with the bits of a token."""
        space = self.latent_space
        caption = space.packing.unpack(batch["x"])[space.target]
        nats = -space.described(batch["x"]).log_prob(caption)
        whole = torch.ones_like(nats, dtype=torch.bool)
        if "present" in batch:
            whole = batch["present"][:, [space.packing.place(name) for name in (space.source, space.target)]].all(1)
        total, words = torch.where(whole, nats, 0).sum(), (tokens(caption) & whole[:, None]).sum()
        bits = total.detach() / (log(2) * words.clamp(min=1))
        return ScalarLoss(total / whole.sum().clamp(min=1), scalars={"bits_per_token": bits})

    def caption(self, observations: Any, beams: int = 1) -> list[str]:
        """Return a caption for each of N observations of the source; see `CaptionSpace.caption`."""
        return self.latent_space.caption(observations, beams)
