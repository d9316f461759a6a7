"""Encoders of the views of an observation into one sphere, such as of an image and its caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent.multimodal import ViewSpace
from lsgen.likelihoods import Packing
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.losses import ScalarLoss
from lsgen.models.multimodal.contrastive import ContrastiveLoss, identical_rows
from lsgen.models.optimised import OptimisedModel

__all__ = ["DualEncoder"]


class DualEncoder(OptimisedModel):
    """Encoders of two views or more, whose codes are near where they are of one observation.

    The loss is the mean of that of all pairs of views. An observation is compared with those of its own batch, on its
    own process: where there are several, Radford et al. compare with the batches of all.

    Args:
        encoders: by the name of the view, observations (N, *shape) of it -> raw outputs (N, d).
        shapes: the shape of one observation of each view, by name, in the order of the data.
        dim: dimension d of codes.
        loss: of two views, such as `InfoNCE` or `SigLIP`.
        optimizer: parameters -> optimiser; Adam with learning rate 1e-3 unless given.
        scheduler: see `OptimisedModel`.
        max_steps: steps after which training stops.

    Raises:
        ValueError: see `ViewSpace`; with any batch, views are missing.
        TypeError: the loss is none of two views.

    """

    latent_space: ViewSpace
    bounds_evidence: ClassVar[bool] = False

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        shapes: Mapping[str, Sequence[int]],
        dim: int,
        loss: ContrastiveLoss,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        if not isinstance(loss, ContrastiveLoss):
            raise TypeError(f"expected a loss of two views, a ContrastiveLoss, got {type(loss).__name__}")
        super().__init__(ViewSpace(encoders, Packing(shapes), dim), optimizer, scheduler, max_steps)
        self.objective = loss

    @property
    def temperature(self) -> Tensor:
        """The temperature of the logits, as it is learned, a 0-d tensor."""
        return self.objective.scalars()["temperature"]

    def setup(self, stage: str) -> None:
        """Take over the words of views that are sentences from the data."""
        super().setup(stage)
        data: Any = getattr(self._trainer, "datamodule", None)
        self.latent_space.name_words(getattr(data, "vocabularies", None) or {})

    def least_batch(self, training: bool) -> int:
        """Return the number of observations of the smallest batch: a loss may need others to compare with."""
        own = self.objective.least_observations if training else 1
        return max(super().least_batch(training), own)

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes (N, d) of observations (N, D), the mean directions of their views."""
        return self.latent_space.encode(x).mean

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the loss of a batch, with what is learned of the logits and how often partners are found."""
        if "present" in batch:
            raise ValueError(
                f'{type(self).__name__} expected whole observations, got a batch with "present": it cannot compare '
                "views that are missing, so leave such observations out of the data"
            )
        codes = self.latent_space.codes(batch["x"])
        parts = self.latent_space.packing.unpack(batch["x"])
        terms, found = [], []
        for a, b in combinations(codes, 2):
            identical = identical_rows(parts[a], parts[b])
            terms.append(self.objective(codes[a], codes[b], identical))
            found.append(_found(codes[a].detach(), codes[b].detach(), identical))
        scalars = {**self.objective.scalars(), "partners_found": torch.stack(found).mean()}
        return ScalarLoss(torch.stack(terms).mean(), scalars=scalars)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update the parameters, and put the scale of the logits back into its range."""
        super().optimizer_step(*args, **kwargs)
        self.objective.project()


def _found(x: Tensor, y: Tensor, identical: Tensor) -> Tensor:
    """Return the share of codes (B, d) whose nearest one of the other view is of an identical observation."""
    partners = (identical | torch.eye(len(x), dtype=torch.bool, device=x.device)).float()
    cosines = x @ y.T
    ways = [partners.gather(1, cosines.argmax(1, keepdim=True)), partners.gather(0, cosines.argmax(0, keepdim=True))]
    return torch.stack([way.mean() for way in ways]).mean()
