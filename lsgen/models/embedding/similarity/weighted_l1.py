r"""The siamese loss: the cross entropy of a probability that two observations are of one class.

    p(same | i, j) = sigmoid(b - sum_k a_k |z_ik - z_jk|)

Reference: Koch, Zemel & Salakhutdinov, "Siamese neural networks for one-shot image recognition" (2015), section 3.1,
without a bias b.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lsgen.latent.distances import WeightedL1Distance
from lsgen.models.embedding.similarity.pairs import balanced, pair_masks

__all__ = ["WeightedL1"]


class WeightedL1(nn.Module):
    """The loss of all pairs of a batch, in nats; either kind of pairs has half of the weight.

    Args:
        dim: dimension d of codes; each has a weight a_k that is learned, 1 at the start.

    Raises:
        ValueError: dim is not positive.

    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"expected a dimension of at least 1, got {dim}")
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.ones(()))

    def logit(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the log-odds (B,) that codes a and b, (B, d) both, are of one class."""
        return self.bias - (a - b).abs() @ self.weight

    def distance(self) -> WeightedL1Distance:
        """Return sum_k a_k |z_ik - z_jk| with the weights as they stand, which orders pairs as the log-odds do."""
        return WeightedL1Distance(self.weight.detach().double())

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar, of codes (B, d) with labels (B,)."""
        logit = self.logit(codes[:, None], codes[None])
        return balanced(functional.softplus(-logit), functional.softplus(logit), pair_masks(labels))
