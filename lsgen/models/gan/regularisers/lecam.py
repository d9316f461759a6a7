r"""The LeCam regulariser: scores are held near the running mean of the scores of the other kind.

    R = E (C(x) - a_F)^2 + E (C(G(z)) - a_R)^2,
    m <- g m + (1 - g) E C,  n <- g n + (1 - g),  a = m/n    for either kind, before the penalty is taken,

so the anchors a_R (of real observations) and a_F (of generated ones) are averages from the first update on. The
authors' code penalises one side only, max(0, C(x) - a_F)^2 and max(0, a_R - C(G(z)))^2: `one_sided` chooses.
The name is that of the LeCam divergence, which the penalty of least-squares critics is bounded by.

Reference: Tseng et al., "Regularizing generative adversarial networks under limited data" (2021),
https://arxiv.org/abs/2104.03310, equations 3 and 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.models.gan.regularisers.base import ScoreRegulariser

__all__ = ["LeCam"]


class LeCam(ScoreRegulariser):
    """Squared distances of scores to the running mean of the scores of the other kind.

    Args:
        weight: factor, between 0.1 and 0.5 in the paper.
        decay: share g of the old running mean that every update keeps, 0.99 in the paper.
        one_sided: whether only scores beyond the anchor are penalised, as in the authors' code.
        every: see `Regulariser`; the anchors move in these updates.

    Attributes:
        sums: m of real and of generated observations, and n: a buffer (3,).

    Raises:
        ValueError: see `Regulariser`; the decay is not in [0, 1).

    """

    sums: Tensor

    def __init__(self, weight: float = 0.3, decay: float = 0.99, one_sided: bool = False, every: int = 1) -> None:
        super().__init__(weight, every)
        if not 0 <= decay < 1:
            raise ValueError(f"expected a decay in [0, 1), got {decay}")
        self.decay, self.one_sided = float(decay), bool(one_sided)
        self.register_buffer("sums", torch.zeros(3))

    @property
    def name(self) -> str:
        """The name of the penalty in logs."""
        return "lecam"

    def anchors(self) -> tuple[Tensor, Tensor]:
        """Return the running means of the scores of real and of generated observations, scalars."""
        real, fake = (self.sums[:2] / self.sums[2]).unbind()
        return real, fake

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """Move the anchors and return R."""
        means = torch.stack([real.detach().mean(), fake.detach().mean(), torch.ones_like(real[0])])
        self.sums.lerp_(means.to(self.sums), 1 - self.decay)
        of_real, of_fake = self.anchors()
        above, below = real - of_fake, of_real - fake
        if self.one_sided:
            above, below = torch.relu(above), torch.relu(below)
        return above.square().mean() + below.square().mean()
