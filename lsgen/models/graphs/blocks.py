r"""Logits of links between members of blocks: the stochastic block model of nodes with mixed memberships.

    p = theta . B theta',    h = log( theta . B theta' ) - log( theta . (1 - B) theta' ),
    degree-corrected:    lambda = exp(a + a') theta . Omega theta',    p = 1 - exp(-lambda),    h = log(exp(lambda) - 1)

for memberships theta, probability vectors over K blocks, and activities a. At the corners of the simplex a node belongs
to one block, as in the block model itself. With activities, the number of links of a pair is a Poisson variable of mean
lambda, of which p asks whether there is any; in sparse networks p is lambda.

Reference: Airoldi et al., "Mixed membership stochastic blockmodels" (2008), section 2, where both memberships are drawn
for every pair, of which p is the expectation; Karrer & Newman, "Stochastic blockmodels and community structure in
networks" (2011), equation 7, https://arxiv.org/abs/1008.3926, for the correction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from lsgen.latent import Euclidean, Simplex
from lsgen.latent.manifolds.product_manifolds import side_by_side
from lsgen.models.graphs.decoders import LinkDecoder

__all__ = ["BlockLinks"]


class BlockLinks(LinkDecoder):
    """Logits of p = theta . B theta' for codes theta, or of the degree-corrected p for codes (theta, a).

    Args:
        nodes: number N of nodes.
        blocks: number K of blocks.
        corrected: whether nodes have activities, which their degrees follow; codes then have K + 1 coordinates.
        directed: whether B may depend on the direction of links.

    Attributes:
        affinity: the logits of B, or the logarithms of Omega, (K, K); of an undirected network their symmetric part
            counts. At first it is 2 within blocks and 0 between them: were it the same for all, no membership would
            have a gradient.

    Raises:
        ValueError: there are fewer than 2 blocks, or see `LinkDecoder`.

    """

    def __init__(self, nodes: int, blocks: int, corrected: bool = False, directed: bool = False) -> None:
        if blocks < 2:
            raise ValueError(f"expected at least 2 blocks, got {blocks}")
        simplex = Simplex(blocks, mixtures=True)
        manifold = side_by_side([simplex, Euclidean()], [blocks, 1]) if corrected else simplex
        super().__init__(nodes, blocks + bool(corrected), manifold)
        self.blocks, self.corrected, self._directed = int(blocks), bool(corrected), bool(directed)
        self.affinity = nn.Parameter(2 * torch.eye(blocks))

    @property
    def directed(self) -> bool:
        """Whether the logit of a link may depend on its direction."""
        return self._directed

    def probabilities(self) -> Tensor:
        """Return B, or Omega, (K, K)."""
        return self._affinity().exp() if self.corrected else self._affinity().sigmoid()

    def pair(self, z: Tensor, w: Tensor) -> Tensor:
        """Return the logits of p."""
        k, affinity = self.blocks, self._affinity()
        if self.corrected:
            logs = self._log_sum(z, w, affinity) + z[..., k] + w[..., k]
            return self._of_rate(logs)
        return self._log_sum(z, w, logsigmoid(affinity)) - self._log_sum(z, w, logsigmoid(-affinity))

    def between(self, z: Tensor, w: Tensor) -> Tensor:
        """Return the logits of all pairs."""
        k, affinity = self.blocks, self._affinity()
        if self.corrected:
            return self._of_rate(self._log_product(z, w, affinity) + z[:, k, None] + w[:, k])
        return self._log_product(z, w, logsigmoid(affinity)) - self._log_product(z, w, logsigmoid(-affinity))

    def _affinity(self) -> Tensor:
        return self.affinity if self._directed else (self.affinity + self.affinity.mT) / 2

    def _log_sum(self, z: Tensor, w: Tensor, logs: Tensor) -> Tensor:
        """Return log(theta . exp(logs) theta') of codes (B, d) and (B, d), (B,)."""
        top = logs.max()
        return ((z[..., : self.blocks] @ (logs - top).exp()) * w[..., : self.blocks]).sum(-1).log() + top

    def _log_product(self, z: Tensor, w: Tensor, logs: Tensor) -> Tensor:
        """Return that of all pairs, (B, M)."""
        top = logs.max()
        return (z[:, : self.blocks] @ (logs - top).exp() @ w[:, : self.blocks].mT).log() + top

    @staticmethod
    def _of_rate(log_rate: Tensor) -> Tensor:
        """Return log(exp(lambda) - 1) of log lambda."""
        rate = log_rate.exp()
        return torch.where(rate < 1e-4, log_rate + rate / 2, rate + torch.log(-torch.expm1(-rate.clamp(min=1e-5))))
