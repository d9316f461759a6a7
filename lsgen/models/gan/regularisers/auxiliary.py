r"""AC-GAN: the critic also classifies its input, and both players minimise the classification loss.

    critic      L_S' + w ( E H(c, P(c|x)) + E H(c, P(c|G(z, c))) )
    generator   L_S  + w   E H(c, P(c|G(z, c)))

with L_S the adversarial losses, H(c, P) = -log P_c the cross-entropy in nats, and P(c|.) the second head of an
`AuxiliaryCritic`. The generator is conditional: codes end in the one-hot label.

Reference: Odena, Olah & Shlens, "Conditional image synthesis with auxiliary classifier GANs" (2017),
https://arxiv.org/abs/1610.09585, equations 2 and 3.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from lsgen.models.gan.regularisers.base import Regulariser

__all__ = ["AuxiliaryClassification"]


class AuxiliaryClassification(Regulariser):
    """The cross-entropy of the critic's classifier, in the losses of both players.

    Args:
        weight: the factor w, 1 in the paper.
        every: see `Regulariser`.

    """

    def __init__(self, weight: float = 1.0, every: int = 1) -> None:
        super().__init__(weight, every)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return E H(c, P(c|x)) of logits (N, K) and one-hot labels (N, K), a scalar in nats."""
        return cross_entropy(logits, label)
