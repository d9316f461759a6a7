r"""Answers from the joint embedding of several modalities: to questions about images, or of sentiment.

    p(y | x_1, ..., x_M) = softmax(W z + b),    z = fusion(e_1(x_1), ..., e_M(x_M)),    loss -log p(y | x)

What one modality alone tells is measured by the same network that sees nothing of the others. Answers to questions can
often be guessed from the question: what such a guess is worth belongs beside every accuracy.

Reference: Antol et al., "VQA: visual question answering" (2015), https://arxiv.org/abs/1505.00468; Goyal et al.,
"Making the V in VQA matter" (2017), https://arxiv.org/abs/1612.00837, for answers that questions do not give away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.likelihoods import Packing
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.contract import AllowedRange, Contract
from lsgen.models.losses import ScalarLoss
from lsgen.models.multimodal.answer_space import AnswerSpace, JointFeatures
from lsgen.models.optimised import OptimisedModel

__all__ = ["JointClassifier"]


class JointClassifier(OptimisedModel):
    """A classifier of the joint embedding of several modalities.

    What words and classes are called is taken from `vocabularies` and `answers` of the data module, and kept with the
    weights.

    Args:
        encoders: of each modality by name, observations (N, *shape) -> features (N, size).
        fusion: features of the modalities by name -> codes (N, d).
        shapes: shape of one observation of each modality, by name, in the order of their places.
        dim: dimension d of codes.
        classes: number K of answers.
        views: the modalities that are seen; all unless given. The others are blanks.
        optimizer: parameters -> optimiser; Adam with learning rate 1e-3 unless given.
        scheduler: see `OptimisedModel`.
        max_steps: steps after which training stops.

    Raises:
        ValueError: see `JointFeatures`, `AnswerSpace`; when training starts, the data have another number of answers.

    """

    latent_space: AnswerSpace
    bounds_evidence: ClassVar[bool] = False

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        fusion: nn.Module,
        shapes: Mapping[str, Sequence[int]],
        dim: int,
        classes: int,
        views: Sequence[str] | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        features = JointFeatures(Packing(shapes), encoders, fusion, views)
        super().__init__(AnswerSpace(features, dim, classes), optimizer, scheduler, max_steps)

    def contract(self) -> Contract:
        """Return the requirements on a batch: labels that are answers."""
        plain, last = super().contract(), len(self.latent_space.answers) - 1
        labels = AllowedRange(f"{plain.owner} expected labels from 0 to {last}", 0, last)
        return replace(plain, demands=("label",), labels=labels)

    def setup(self, stage: str) -> None:
        """Take the names of words and answers from the data module."""
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        if (answers := getattr(data, "answers", None)) is not None:
            self.latent_space.name(getattr(data, "vocabularies", {}), answers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, K) of the answers."""
        return self.latent_space.logits(x)

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the cross-entropy of a batch, with the share of right answers."""
        logits, label = self(batch["x"]), batch["label"]
        right = (logits.detach().argmax(1) == label).to(logits.dtype).mean()
        return ScalarLoss(cross_entropy(logits, label), scalars={"accuracy": right})

    def answer(self, **observations: Any) -> list[str]:
        """Return the most probable answer for each of N observations; see `AnswerSpace.answer`."""
        return self.latent_space.answer(**observations)
