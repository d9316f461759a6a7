r"""Residual vector quantisation: every stage quantises what the stages before it have left.

    r_0 = y,    k_q = argmin_j |r_{q-1} - e^q_j|,    r_q = r_{q-1} - e^q_{k_q},    y ~ sum_q e^q_{k_q}

for each of L vectors y in R^D. With Q codebooks of K entries a vector is one of K^Q sums, at the cost of Q K entries. A
code holds the entries of all stages, z = (z_1, ..., z_Q) with z_q the L entries of stage q, and d = Q L D coordinates:
every stage is a choice of its own for traversals, chains and counts, the coarsest first. The decoder adds the stages
(see `stages` of `lsgen.nn.GridDecoder`); the gradient goes straight through the sum,

    d( z_1 + ... + z_Q ) / dy := I .

Reference: Zeghidour et al., "SoundStream" (2021), algorithm 1, https://arxiv.org/abs/2107.03312; Lee et al.,
"Autoregressive image generation using residual quantization" (2022), equations 2 to 5,
https://arxiv.org/abs/2203.01941.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import register_kl

from lsgen.latent.discrete.quantised import Quantised, QuantisedCodes, Quantiser, VectorQuantiser
from lsgen.latent.families.product import Joint
from lsgen.latent.manifolds.manifold import Manifold
from lsgen.latent.manifolds.product_manifolds import side_by_side

__all__ = ["ResidualCodes", "ResidualQuantiser"]


class ResidualCodes(QuantisedCodes):
    """The codes of all stages.

    Args:
        stages: the quantised codes of each, (B, L, D), whose `raw` is what the stages before it have left.

    """

    def __init__(self, stages: Sequence[Quantised]) -> None:
        self.stages = list(stages)
        size = sum(stage.event_shape[0] for stage in stages)
        super().__init__(stages[0].batch_shape, torch.Size((size,)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The code z, (B, Q L D); the gradient of the encoder's vectors passes through the first stage alone."""
        first, *others = self.stages
        return torch.cat([first.mean, *(stage.codes.flatten(1) for stage in others)], 1)

    @property
    def indices(self) -> Tensor:
        """The entries of all stages, (B, Q, L)."""
        return torch.stack([stage.indices for stage in self.stages], 1)

    @property
    def distance(self) -> Tensor:
        """The squared distances of the encoder's vectors from the sums of the first 1, 2, ... Q stages, added, (B,)."""
        return torch.stack([stage.distance for stage in self.stages]).sum(0)

    @property
    def batch_perplexity(self) -> Tensor:
        """exp of the entropy of the entries used in the batch, averaged over stages, between 1 and K, a scalar."""
        return torch.stack([stage.batch_perplexity for stage in self.stages]).mean()


class ResidualQuantiser(Quantiser):
    """A deterministic posterior that replaces the encoder's vectors by sums of entries, one of each stage.

    The encoder has d / Q outputs, the vectors that are quantised.

    Args:
        dim: latent dimension d = Q L D.
        stages: number Q of codebooks.
        entries: size K of each.
        entry_dim: dimension D of an entry.
        decay: see `VectorQuantiser`.
        restart_below: see `VectorQuantiser`.

    Raises:
        ValueError: stages or entry_dim do not divide dim, or a number is out of range.

    """

    def __init__(
        self,
        dim: int,
        stages: int = 4,
        entries: int = 512,
        entry_dim: int = 64,
        decay: float = 0.99,
        restart_below: float = 0.01,
    ) -> None:
        super().__init__()
        if stages < 1 or dim % stages:
            raise ValueError(f"expected a number of stages that divides the dimension {dim}, got {stages}")
        self.raw_dim = dim // stages
        each = (VectorQuantiser(self.raw_dim, entries, entry_dim, decay, restart_below) for _ in range(stages))
        self.stages = nn.ModuleList(each)

    @property
    def manifold(self) -> Manifold:
        """The product of the codes of the stages' current codebooks."""
        return side_by_side([stage.manifold for stage in self._each()], [self.raw_dim or 0] * len(self.stages))

    def forward(self, raw: Tensor) -> ResidualCodes:
        """Return the codes of raw outputs (B, d / Q)."""
        found, left = [], raw
        for stage in self._each():
            q = stage(raw=left)
            found.append(q)
            left = left - q.codes.flatten(1)
        return ResidualCodes(found)

    def uniform(self) -> Joint:
        """Return the uniform distribution over codes: independent stages of equally likely entries."""
        return Joint([stage.uniform() for stage in self._each()])

    def quantiles(self, u: Tensor) -> Tensor:
        """Return the quantiles u (N,) of the coordinates of the stages' entries, (N, d)."""
        return torch.cat([stage.quantiles(u) for stage in self._each()], 1)

    def update(self, q: QuantisedCodes) -> None:
        """Move every codebook one step of its averages, towards what the stages before it have left."""
        assert isinstance(q, ResidualCodes)
        for stage, codes in zip(self._each(), q.stages, strict=True):
            stage.update(codes)

    def _each(self) -> list[VectorQuantiser]:
        return [stage for stage in self.stages if isinstance(stage, VectorQuantiser)]


@register_kl(ResidualCodes, Joint)
def _kl_to_uniform_stages(q: ResidualCodes, p: Joint) -> Tensor:
    return -p.log_prob(q.mean.detach())
