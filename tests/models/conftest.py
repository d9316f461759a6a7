"""A model whose evidence and posterior are known.

z ~ N(0, I),  x | z ~ N(W z, s^2 I)   =>   log p(x) = log N(x; 0, W W^T + s^2 I),
p(z|x) = N(M^-1 W^T x / s^2, M^-1),  M = I + W^T W / s^2,  diagonal where the columns of W are orthogonal.
"""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian


@dataclass(frozen=True)
class LinearGaussian:
    """The exact posterior, its mean moved by `shift` standard deviations in every dimension."""

    shift: float
    D: int = 6
    d: int = 2
    s: float = 0.7

    @property
    def W(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        orthogonal, _ = torch.linalg.qr(torch.randn(self.D, self.d, dtype=torch.float64, generator=generator))
        return orthogonal * torch.tensor([1.5, 0.4], dtype=torch.float64)

    @property
    def M(self) -> Tensor:
        return torch.eye(self.d, dtype=torch.float64) + self.W.T @ self.W / self.s**2

    @property
    def space(self) -> EncodableLatentSpace:
        decoder = nn.Linear(self.d, self.D, bias=False).double()
        encoder = nn.Linear(self.D, 2 * self.d).double()
        with torch.no_grad():
            decoder.weight.copy_(self.W)
            mean = torch.linalg.solve(self.M, self.W.T) / self.s**2
            encoder.weight.copy_(torch.cat([mean, torch.zeros_like(mean)]))
            encoder.bias.copy_(torch.cat([self.shift / self.M.diagonal().sqrt(), -self.M.diagonal().log()]))
        return EncodableLatentSpace(encoder, decoder, FixedGaussian((self.D,), self.s), StandardNormal(self.d)).double()

    def evidence(self, x: Tensor) -> Tensor:
        covariance = self.W @ self.W.T + self.s**2 * torch.eye(self.D, dtype=torch.float64)
        return MultivariateNormal(torch.zeros(self.D, dtype=torch.float64), covariance).log_prob(x)

    @property
    def x(self) -> Tensor:
        return torch.randn(self.D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def linear_gaussian() -> type[LinearGaussian]:
    return LinearGaussian
