r"""Priors that are mixtures of K components, learned with the model.

    p(z) = sum_k pi_k N(z; m_k, diag(s_k^2))                  mixture of normals
    p(z) = 1/K sum_k q(z | u_k)                               VampPrior: posteriors of learned pseudo-inputs u_k

Draws carry the gradient of all parameters, of a variance that grows where components lie far apart. A code z of the
mixture of normals is, for fixed uniform numbers u, a function of them by F(z) = u, where F_i is the distribution
function of z_i given the coordinates before it; so

    dz/dtheta = -(dF/dz)^{-1} dF/dtheta,    F_i = sum_k w_ki Phi( (z_i - m_ki)/s_ki ),    w_ki ~ pi_k prod_{j<i} N(z_j).

The VampPrior is the aggregate posterior, the prior that is best for the ELBO, made of K observations that are learned
instead of all N. It is bound to the encoder of its latent space.

Reference: Dilokthanakul et al. (2016), https://arxiv.org/abs/1611.02648; Tomczak & Welling, "VAE with a VampPrior"
(2018), equation 9, https://arxiv.org/abs/1705.07120; Figurnov, Mohamed & Mnih, "Implicit reparameterization gradients"
(2018), section 3, https://arxiv.org/abs/1805.08498.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from lsgen.latent.priors import EncoderDependentPrior, Prior

__all__ = ["MixtureOfNormals", "VampPrior"]


class MixtureOfNormals(Prior):
    """A mixture of diagonal normals with learned weights, means and scales.

    Args:
        dim: latent dimension d.
        components: number K of normals.
        spread: standard deviation of the means that training starts from.

    Raises:
        ValueError: dim or components is not positive.

    """

    def __init__(self, dim: int, components: int = 10, spread: float = 1.0) -> None:
        super().__init__(dim)
        _check(components)
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(spread * torch.randn(components, dim))
        self.log_scales = nn.Parameter(torch.zeros(components, dim))

    def forward(self) -> Distribution:
        """Return the mixture."""
        normals = Normal(self.means, self.log_scales.exp(), validate_args=False)
        weights = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(weights, Independent(normals, 1, validate_args=False), validate_args=False)

    @property
    def reparameterised(self) -> bool:
        """True: gradients follow from implicit reparameterisation."""
        return True

    def draw(self, n: int) -> Tensor:
        """Return n codes, (n, d), with the gradient of weights, means and scales."""
        z = self().sample((n,))
        if not torch.is_grad_enabled():
            return z
        uniform, slope = self._uniform(z.double())
        moved = torch.linalg.solve_triangular(slope, (uniform - uniform.detach()).unsqueeze(-1), upper=False)
        return z - moved.squeeze(-1).to(z)

    def _uniform(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return F(z), (n, d), with its graph, and dF/dz, (n, d, d), lower triangular, without."""
        normals = Normal(self.means.double(), self.log_scales.double().exp(), validate_args=False)
        z = z.unsqueeze(1)
        log_densities, shares = normals.log_prob(z), normals.cdf(z)
        before = log_densities.cumsum(-1) - log_densities
        weights = (self.logits.double().log_softmax(0).unsqueeze(-1) + before).softmax(1)
        uniform = (weights * shares).sum(1)
        with torch.no_grad():
            scores = (normals.loc - z) / normals.variance
            slope = torch.einsum("nki,nkj->nij", weights * (shares - uniform.unsqueeze(1)), scores).tril(-1)
            slope = slope + torch.diag_embed((weights * log_densities.exp()).sum(1))
        return uniform, slope


class VampPrior(EncoderDependentPrior):
    """The mixture of the posteriors of learned pseudo-inputs.

    Pseudo-inputs lie between `low` and `high`, through a sigmoid, and start at random.

    Args:
        dim: latent dimension d.
        shape: shape of one observation.
        components: number K of pseudo-inputs.
        low: least value of an observation.
        high: largest value of an observation.

    Raises:
        ValueError: dim or components is not positive, or low is not below high.

    """

    def __init__(
        self, dim: int, shape: Sequence[int], components: int = 500, low: float = 0.0, high: float = 1.0
    ) -> None:
        super().__init__(dim)
        _check(components)
        if not low < high:
            raise ValueError(f"expected low below high, got {low} and {high}")
        self.low, self.high = float(low), float(high)
        self.logits = nn.Parameter(torch.randn(components, *shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """The pseudo-inputs u, (K, *shape)."""
        return self.low + (self.high - self.low) * torch.sigmoid(self.logits)

    @property
    def reparameterised(self) -> bool:
        """True: a draw is one from the posterior of a random pseudo-input."""
        return True

    def draw(self, n: int) -> Tensor:
        """Return n codes, (n, d), with the gradient of pseudo-inputs and encoder."""
        which = torch.randint(len(self.logits), (n,), device=self.logits.device)
        codes: Tensor = self.encoder(self.pseudo_inputs[which]).rsample()
        return codes

    def given(self, encode: Callable[[Tensor], Distribution]) -> Distribution:
        """Return the mixture of the posteriors of the pseudo-inputs."""
        posteriors = encode(self.pseudo_inputs)
        weights = Categorical(logits=posteriors.mean.new_zeros(len(self.logits)), validate_args=False)
        return MixtureSameFamily(weights, posteriors, validate_args=False)


def _check(components: int) -> None:
    if components < 1:
        raise ValueError(f"expected at least 1 component, got {components}")
