r"""The contrastive loss with a margin: pairs of one class attract, others repel up to a distance.

    L(i, j) = 1/2 D^2                      if i and j are alike,         D = |z_i - z_j|
            = 1/2 max(0, m - D)^2          if they are not

Reference: Hadsell, Chopra & LeCun, "Dimensionality reduction by learning an invariant mapping" (CVPR 2006), equation 4.
pytorch-metric-learning's ContrastiveLoss is of first order in D.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lsgen.models.embedding.similarity.pairs import balanced, pair_masks

__all__ = ["MarginContrastive"]


class MarginContrastive(nn.Module):
    """The loss of all pairs of a batch; either kind of pairs has half of the weight, however many there are.

    Args:
        margin: m, the distance from which pairs that are not alike leave each other alone.

    Raises:
        ValueError: the margin is not positive.

    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        if not margin > 0:
            raise ValueError(f"expected a margin above 0, got {margin}")
        self.margin = float(margin)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar, of codes (B, d) with labels (B,).

        The gradient of D is 0 where two codes coincide.
        """
        masks = pair_masks(labels)
        square = (codes[:, None] - codes).square().sum(-1)
        apart = square > 0
        distance = torch.where(apart, square, 1).sqrt() * apart
        return balanced(square / 2, (self.margin - distance).clamp(min=0).square() / 2, masks)
