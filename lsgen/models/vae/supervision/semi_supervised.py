r"""M2: a semi-supervised VAE with a class and a continuous code for every observation.

    L(x, y) = E_{q(z|x,y)}[ log p(x|z, y) ] + log p(y) - KL( q(z|x, y) || p(z) )          labelled
    U(x)    = sum_y q(y|x) L(x, y) + H( q(y|x) )                                          unlabelled

    loss = -1/B ( sum_labelled L(x, y) + sum_unlabelled U(x) + alpha sum_labelled log q(y|x) )

and p(z|y) in the place of p(z) where the prior is a `ClassConditionalNormal`. A label of -1 says that the class is not
known. Where batches have a "weight", every term of an observation is multiplied by it: that undoes in expectation that
labelled ones are drawn more often than others, as they should be where batches would else hold hardly any. Where every
observation is labelled this is a conditional VAE with its classifier trained beside it: sampling and traversals at a
chosen class are those of its latent space.

Reference: Kingma, Rezende, Mohamed & Welling (2014), equations 6 to 9, https://arxiv.org/abs/1406.5298.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lsgen.latent import (
    ClassCodes,
    ClassConditionalNormal,
    ClassPosterior,
    EncodableLatentSpace,
    NormalGivenClass,
    OneHot,
    StandardNormal,
)
from lsgen.latent.discrete.classes import divergence_given_class
from lsgen.latent.families.product import Joint
from lsgen.models import parts
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective

_EXPECTED = (
    "SemiSupervised expected a ClassPosterior and a prior Product([StandardNormal, OneHot]) or ClassConditionalNormal"
)

__all__ = ["ClassBounds", "SemiSupervised", "accuracy", "class_bounds", "weights_of"]


class SemiSupervised(Objective):
    """The bounds of M2 and a classification loss on labelled observations.

    Args:
        alpha: weight of the classification loss, a number or a schedule in generator steps; 0.1 N / N_l in the paper,
            for N observations of which N_l are labelled.

    """

    demands: ClassVar[tuple[str, ...]] = ("label",)

    def __init__(self, alpha: float | Schedule = 1.0) -> None:
        super().__init__()
        self.alpha = as_schedule(alpha)

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse a latent space without classes.

        Raises:
            TypeError: posterior and prior are not a `ClassPosterior` and a product of normals and classes, or normals
                given the class.
            ValueError: they are of different sizes.

        """
        posterior, prior = space.posterior, space.prior
        conditional = isinstance(prior, ClassConditionalNormal)
        fits = conditional or parts.is_product(prior, StandardNormal, OneHot)
        if not isinstance(posterior, ClassPosterior) or not fits:
            raise TypeError(f"{_EXPECTED}, got {type(posterior).__name__} and {type(prior).__name__}")
        parts.check_sizes("ClassPosterior", [posterior.dim, posterior.classes], prior)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the loss of a batch with "label", (B,) integers, -1 where the class is not known.

        Raises:
            ValueError: the batch has no labels, or one is out of range.
            TypeError: the latent space has no classes.

        """
        q, p = space.encode(batch["x"]), space.prior()
        if not isinstance(q, ClassCodes) or not isinstance(p, Joint | NormalGivenClass):
            raise TypeError(_EXPECTED)
        every = -space.decode(q.every_class()).log_prob(batch["x"]).T
        bounds = class_bounds(q, p, every, batch)
        alpha = self.alpha(step)
        loss = (bounds.negative_bound + alpha * bounds.classification).mean()
        return Losses(loss, bounds.reconstruction, bounds.kl.unsqueeze(-1), {"alpha": alpha}, bounds.scalars)


@dataclass(frozen=True)
class ClassBounds:
    """The bounds of M2 for every observation of a batch, in nats, (B,) each, times its weight if it has one.

    Attributes:
        reconstruction: -log p(x|z, y), averaged over the classes where y is not known.
        kl: the divergence of (z, y).
        classification: -log q(y|x) where y is known, else 0.
        scalars: average classification loss and accuracy of what is labelled, 0-d tensors.

    """

    reconstruction: Tensor
    kl: Tensor
    classification: Tensor
    scalars: Mapping[str, Tensor]

    @property
    def negative_bound(self) -> Tensor:
        """-L(x, y) or -U(x), (B,)."""
        return self.reconstruction + self.kl


def class_bounds(q: ClassCodes, p: Joint | NormalGivenClass, every: Tensor, batch: Mapping[str, Tensor]) -> ClassBounds:
    """Return the bounds of labelled and unlabelled observations.

    Args:
        q: q(y|x) q(z|x, y), of batch shape (B,).
        p: p(z) p(y) or p(z|y) p(y).
        every: -log p(x|z, y) for every class, (B, K).
        batch: with "label", (B,) integers, -1 where the class is not known, and perhaps "weight", (B,).

    Raises:
        ValueError: the batch has no labels.

    """
    if "label" not in batch:
        raise ValueError(f'SemiSupervised expected batches with "label", got {", ".join(sorted(batch))}')
    label = batch["label"]
    known = label >= 0
    own = torch.nn.functional.one_hot(label.clamp(min=0), q.classes).to(q.log_classes)
    weights = torch.where(known.unsqueeze(-1), own, q.log_classes.exp())
    log_weights = torch.where(known.unsqueeze(-1), 0.0, q.log_classes)  # finite where a class has no weight
    kl = (weights * (divergence_given_class(q, p) + log_weights)).sum(-1)
    classification = -(own * q.log_classes).sum(-1) * known
    scalars = {
        "classification": classification.detach().sum() / known.sum().clamp(min=1),
        "accuracy": accuracy(q, label),
    }
    weight = weights_of(batch)
    return ClassBounds(weight * (weights * every).sum(-1), weight * kl, weight * classification, scalars)


def weights_of(batch: Mapping[str, Tensor]) -> Tensor | float:
    """Return the "weight" of every observation of a batch, (B,), or 1."""
    return batch.get("weight", 1.0)


def accuracy(q: ClassCodes, label: Tensor) -> Tensor:
    """Return the share of known labels (B,) that are the most probable class, a scalar; NaN if none is known."""
    known = label >= 0
    return ((q.log_classes.argmax(-1) == label) & known).sum() / known.sum()
