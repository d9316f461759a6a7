"""The contract of an objective of joint variational autoencoders, and the terms that such objectives are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lsgen.latent.multimodal import JointPosterior, MultimodalSpace
from lsgen.models import parts
from lsgen.models.divergence import kl_terms
from lsgen.models.losses import Losses

__all__ = ["MultimodalObjective", "SubsetTerms"]


@dataclass(frozen=True)
class SubsetTerms:
    """The code, reconstruction and KL of one draw of the posterior of a subset of the modalities.

    Attributes:
        q: the posterior, of batch shape (B,).
        z: the draw, (B, dim).
        log_probs: log p_i(x_i|z) by name, (B,), in nats; 0 where a modality does not count.
        kl: the divergence from the prior, (B, dim) or (B, 1); see `kl_terms`.

    """

    q: Distribution
    z: Tensor
    log_probs: Mapping[str, Tensor]
    kl: Tensor

    @property
    def reconstruction(self) -> Tensor:
        """-log p(x_A|z), (B,)."""
        return -torch.stack(list(self.log_probs.values())).sum(0)


class MultimodalObjective(nn.Module, ABC):
    """Abstract training objective of a joint variational autoencoder.

    Args:
        weights: factors of the modalities' log-likelihoods in the loss, by name; 1 where none is given. They are no
            part of p(x|z), and the ELBO that is logged has none.

    Raises:
        ValueError: a weight is not positive.

    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.weights = {name: float(weight) for name, weight in (weights or {}).items()}
        for name, weight in self.weights.items():
            if not weight > 0:
                raise ValueError(f"expected a positive weight of {name!r}, got {weight}")

    def check(self, space: MultimodalSpace) -> None:
        """Refuse parts that the objective cannot train, before any step is taken.

        Raises:
            TypeError: a part has no density or no gradient.
            ValueError: a weight is one of no modality.

        """
        name = type(self).__name__
        parts.check_prior(name, space, density=True, draws=False)
        for one in self.weights:
            if one not in space.names:
                raise ValueError(f"{name} expected weights of {', '.join(space.names)}, got one of {one!r}")

    def check_joint(self, space: MultimodalSpace, kind: type[JointPosterior]) -> None:
        """Refuse a space whose joint posterior is of another kind.

        Raises:
            TypeError: it is.

        """
        if not isinstance(space.joint, kind):
            name = type(self).__name__
            raise TypeError(
                f"{name} expected a {kind.__name__} as the joint posterior, got {type(space.joint).__name__}"
            )

    def weighted(self, log_probs: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of log-likelihoods (B,) with the weights of the modalities."""
        return torch.stack([value * self.weights.get(name, 1.0) for name, value in log_probs.items()]).sum(0)

    @abstractmethod
    def forward(self, space: MultimodalSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the losses of a batch; their `reconstruction` and `kl` are of all modalities that are present.

        Args:
            space: encoders, prior, decoders and likelihood.
            batch: tensors by name; "x" holds packed observations (B, D), "present", where it is, bool (B, M), which
                modalities an observation has.
            step: completed generator steps, the argument of every schedule.

        """

    @staticmethod
    def joint_terms(space: MultimodalSpace, q: Distribution, x: Tensor, present: Tensor | None) -> SubsetTerms:
        """Return the terms of one draw of a posterior, of the modalities that are present.

        Args:
            space: prior, decoders and likelihood.
            q: the posterior, of batch shape (B,), or (k, B) if `present` is (k, B, M).
            x: packed observations (B, D).
            present: the modalities that are reconstructed, bool (B, M); all unless given.

        """
        z = q.rsample()
        log_probs = space.decode(z).log_probs(x.expand(*z.shape[:-1], -1), present)
        return SubsetTerms(q, z, log_probs, kl_terms(q, space.prior(), z))
