"""Encoders that learn from which observations are alike: siamese and triplet networks, contrastive learning.

What is alike has one label; or, with `pairs`, it is the observation in "x" and its partner in "pair", such as a second
augmented view, and every pair of a batch has a label of its own. Losses and miners are those of
pytorch-metric-learning, or modules of their own: (codes (B, d), labels (B,)) -> a scalar. What is near in the space is
said by its manifold, but by `WeightedL1` where that was the loss: a space is searched as it was trained.

Losses of pytorch-metric-learning take directions of codes unless their distance says otherwise
(`LpDistance(normalize_embeddings=False)`), and average over what is not 0; a batch that holds no pair to learn from has
the loss 0.

Reference: Musgrave, Belongie & Lim, "PyTorch metric learning" (2020), https://arxiv.org/abs/2008.09164.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent import FeatureSpace, Manifold
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.contract import AllowedRange, Contract
from lsgen.models.embedding.similarity.pairs import pair_masks
from lsgen.models.embedding.similarity.weighted_l1 import WeightedL1
from lsgen.models.losses import ScalarLoss
from lsgen.models.optimised import OptimisedModel

__all__ = ["MetricLearning"]


class MetricLearning(OptimisedModel):
    """A feature space that is learned from which observations are alike.

    Args:
        encoder: observations (N, *shape) -> raw outputs (N, d).
        dim: dimension d of codes.
        loss: (codes, labels) or, with a miner, (codes, labels, what it has mined) -> a scalar.
        miner: (codes, labels) -> the pairs or triplets that count; all of them where it is None.
        manifold: where codes lie, such as the unit sphere; flat space unless given.
        pairs: whether what is alike are "x" and "pair" of a batch; else the observations of one label.
        shape: shape of one observation; any that the encoder takes unless given.
        optimizer: parameters -> optimiser; Adam with learning rate 1e-3 unless given.
        scheduler: see `OptimisedModel`.
        max_steps: steps after which training stops.

    Raises:
        TypeError: the loss or the miner cannot be called.
        ValueError: a margin of the loss is not positive; see `FeatureSpace`.

    """

    latent_space: FeatureSpace
    bounds_evidence: ClassVar[bool] = False

    def __init__(
        self,
        encoder: nn.Module,
        dim: int,
        loss: Callable[..., Tensor],
        miner: Callable[[Tensor, Tensor], Any] | None = None,
        manifold: Manifold | None = None,
        pairs: bool = False,
        shape: Sequence[int] | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        for name, part in (("loss", loss), ("miner", miner)):
            if part is not None and not callable(part):
                raise TypeError(f"expected a {name} that can be called, got {type(part).__name__}")
        _check_margins(loss)
        learned = loss.distance if isinstance(loss, WeightedL1) else None
        super().__init__(FeatureSpace(encoder, dim, manifold, shape, learned), optimizer, scheduler, max_steps)
        self.objective, self.miner, self.pairs = loss, miner, pairs

    def contract(self) -> Contract:
        """Return the requirements on a batch: partners, or labels that are known."""
        plain = super().contract()
        if self.pairs:
            return replace(plain, demands=("pair",))
        labels = AllowedRange(f"{plain.owner} expected labels that are known, integers of at least 0", 0, inf)
        return replace(plain, demands=("label",), labels=labels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes (N, d) of observations (N, *shape)."""
        return self.latent_space.encode(x).mean

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the loss of a batch, with the mean distances between codes that are alike and that are not."""
        if self.pairs:
            codes = self(torch.cat([batch["x"], batch["pair"]]))
            labels = torch.arange(len(batch["x"]), device=codes.device).repeat(2)
        else:
            codes, labels = self(batch["x"]), batch["label"]
        mined = () if self.miner is None else (self.miner(codes, labels),)
        return ScalarLoss(self.objective(codes, labels, *mined), scalars=_distances(codes.detach(), labels))


def _distances(codes: Tensor, labels: Tensor) -> dict[str, Tensor]:
    apart = (codes[:, None] - codes).square().sum(-1).sqrt()
    masks = pair_masks(labels)._asdict()
    return {f"distance/{kind}": (apart * mask).sum() / mask.sum().clamp(min=1) for kind, mask in masks.items()}


def _check_margins(loss: Any) -> None:
    """Refuse a margin with which nothing would be learned."""
    if getattr(loss, "smooth_loss", False) or getattr(getattr(loss, "distance", None), "is_inverted", False):
        return
    for name in ("margin", "neg_margin"):
        value = getattr(loss, name, None)
        if isinstance(value, int | float) and not value > 0:
            raise ValueError(f"expected a {name} of {type(loss).__name__} above 0, got {value}")
