"""Modalities whose evidence, and posterior given any of them, are known.

z ~ N(0, I_d),  x_i | z ~ N(W_i z, s_i^2 I),  the columns of each W_i orthogonal:  p(z|x_A) is a diagonal normal with
precision 1 + sum_A |W_i|^2 / s_i^2.
"""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from lsgen.latent import Prior, StandardNormal
from lsgen.latent.multimodal import JointPosterior, MultimodalSpace
from lsgen.likelihoods import FixedGaussian, modalities_likelihood

SIZES = {"a": 3, "b": 4, "c": 2}


@dataclass(frozen=True)
class LinearModalities:
    """The model with the first M of three modalities.

    Attributes:
        count: M.
        d: latent dimension.
        prior_expert: whether experts are p(z|x_i); else without the prior's part, so that products with it are exact.
        shift: standard deviations by which the means of experts are off.
    """

    count: int = 3
    d: int = 2
    prior_expert: bool = True
    shift: float = 0.0

    @property
    def names(self) -> list[str]:
        return list(SIZES)[: self.count]

    @property
    def sizes(self) -> dict[str, int]:
        return {name: SIZES[name] for name in self.names}

    @property
    def W(self) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)
        found = {}
        for name in self.names:
            raw = torch.randn(SIZES[name], self.d, dtype=torch.float64, generator=generator)
            found[name] = torch.linalg.qr(raw)[0] * torch.tensor([1.5, 0.7], dtype=torch.float64)[: self.d]
        return found

    @property
    def s(self) -> dict[str, float]:
        return dict(zip(self.names, (0.7, 0.9, 0.6), strict=False))

    def precision(self, name: str) -> Tensor:
        return self.W[name].square().sum(0) / self.s[name] ** 2

    def encoder(self, name: str, others: float) -> nn.Linear:
        """Return x -> mean and log variance of the normal of precision `others` + that of a modality."""
        encoder, precision = nn.Linear(SIZES[name], 2 * self.d).double(), others + self.precision(name)
        with torch.no_grad():
            mean = self.W[name].T / self.s[name] ** 2 / precision[:, None]
            encoder.weight.copy_(torch.cat([mean, torch.zeros_like(mean)]))
            encoder.bias.copy_(torch.cat([self.shift / precision.sqrt(), -precision.log()]))
        return encoder

    def decoder(self, name: str) -> nn.Linear:
        decoder = nn.Linear(self.d, SIZES[name], bias=False).double()
        with torch.no_grad():
            decoder.weight.copy_(self.W[name])
        return decoder

    def space(self, joint: JointPosterior, prior: Prior | None = None) -> MultimodalSpace:
        encoders = {name: self.encoder(name, float(self.prior_expert)) for name in self.names}
        decoders = {name: self.decoder(name) for name in self.names}
        likelihood = modalities_likelihood({name: FixedGaussian((SIZES[name],), self.s[name]) for name in self.names})
        return MultimodalSpace(encoders, decoders, likelihood, prior or StandardNormal(self.d), joint).double()

    def x(self, n: int, seed: int = 1) -> Tensor:
        """Return n observations of the model, packed."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self.d, dtype=torch.float64, generator=generator)
        parts = [
            z @ self.W[name].T + self.s[name] * torch.randn(n, SIZES[name], dtype=torch.float64, generator=generator)
            for name in self.names
        ]
        return torch.cat(parts, 1)

    def slices(self, names: list[str]) -> Tensor:
        """Return the places of some modalities in packed observations."""
        ends = torch.tensor([0, *[SIZES[name] for name in self.names]]).cumsum(0)
        return torch.cat([torch.arange(ends[self.names.index(n)], ends[self.names.index(n) + 1]) for n in names])

    def evidence(self, x: Tensor, names: list[str] | None = None) -> Tensor:
        """Return log p(x_A)."""
        names = self.names if names is None else names
        W = torch.cat([self.W[name] for name in names])
        noise = torch.cat([torch.full((SIZES[name],), self.s[name] ** 2, dtype=torch.float64) for name in names])
        return MultivariateNormal(torch.zeros(len(W), dtype=torch.float64), W @ W.T + noise.diag()).log_prob(
            x[:, self.slices(names)]
        )

    def posterior(self, x: Tensor, names: list[str]) -> tuple[Tensor, Tensor]:
        """Return mean (n, d) and log variance (d,) of p(z|x_A)."""
        precision = 1 + torch.stack([self.precision(name) for name in names]).sum(0)
        score = [x[:, self.slices([name])] @ self.W[name] / self.s[name] ** 2 for name in names]
        return torch.stack(score).sum(0) / precision, -precision.log()


@pytest.fixture
def linear_modalities() -> type[LinearModalities]:
    return LinearModalities
