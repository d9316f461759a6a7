r"""The VAE-GAN: a variational autoencoder whose reconstruction is judged by the features of a critic.

    L_prior    = KL( q(z|x) || p(z) )
    L_features = E_q[ 1/2 |phi(x) - phi(G(z))|^2 ],   phi(x) features within the critic
    L_GAN      = the adversarial loss, generated observations being G(z) and G(z_q), z ~ p(z), z_q ~ q(z|x)

    encoder minimises L_prior + L_features,   generator  gamma L_features + L_GAN,   critic  its side of L_GAN.

Reference: Larsen et al., "Autoencoding beyond pixels using a learned similarity metric" (2016),
https://arxiv.org/abs/1512.09300, algorithm 1 and section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lsgen.latent import EncodableLatentSpace, Posterior, Prior
from lsgen.likelihoods import Likelihood
from lsgen.models.base import Batch
from lsgen.models.divergence import kl_terms
from lsgen.models.gan.adversarial import AdversarialModel
from lsgen.models.gan.losses import AdversarialLoss, NonSaturating
from lsgen.models.gan.space import EncodableGeneratorSpace, RescaledGenerator
from lsgen.models.gan.updates import Updates
from lsgen.models.parts import check_posterior, check_prior, check_value_range

__all__ = ["VAEGAN", "SimilarityLoss"]


@dataclass(frozen=True)
class SimilarityLoss:
    """Options of the losses of a VAE-GAN: the adversarial loss, and the weight of the features' reconstruction.

    Attributes:
        gamma: weight of the features' reconstruction for the generator.
        adversarial: the adversarial loss L_GAN; non-saturating unless another is given.

    Raises:
        ValueError: gamma is not positive.

    """

    gamma: float = 1e-2
    adversarial: AdversarialLoss = field(default_factory=NonSaturating)

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ValueError(f"expected gamma above 0, got {self.gamma}")


class VAEGAN(AdversarialModel):
    """An encoder and a generator with a learned similarity.

    Args:
        encoder: observations in data units (N, *shape) -> posterior parameters (N, posterior.heads * d).
        generator: codes (N, d) -> observations (N, *shape).
        critic: observations (N, *shape) -> scores (N,), with `features`: observations -> features (N, ...).
        likelihood: what lends the latent space its geometry.
        prior: p(z); one with parameters learns from the KL alone, as the encoder does.
        loss: the adversarial loss, and the weight of the features' reconstruction for the generator.
        posterior: family of q(z|x); a diagonal normal unless another is given.
        value_range: data values that generator and critic see as -1 and 1.
        updates: optimisers of both players, and how their updates alternate; the encoder learns with the generator.
        max_steps: see `AdversarialModel`.

    Raises:
        ValueError: the generator's loss is relative to real scores.
        TypeError: the critic has no `features`, or the KL of posterior and prior cannot be trained.

    """

    latent_space: EncodableLatentSpace

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        critic: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        loss: SimilarityLoss | None = None,
        posterior: Posterior | None = None,
        value_range: Sequence[float] | None = None,
        updates: Updates = Updates(),
        max_steps: int | None = None,
    ) -> None:
        decoder = RescaledGenerator(generator, check_value_range(value_range))
        space = EncodableGeneratorSpace(encoder, decoder, likelihood, prior, posterior)
        check_posterior("VAEGAN", space.posterior, density=True)
        check_prior("VAEGAN", space, density=True, draws=False)
        super().__init__(space, updates, max_steps)
        loss = SimilarityLoss() if loss is None else loss
        self.adversarial, self.gamma = loss.adversarial, loss.gamma
        if self.adversarial.relative:
            raise ValueError(f"VAEGAN expected a loss of single scores, got {type(self.adversarial).__name__}")
        if not callable(getattr(critic, "features", None)):
            raise TypeError(f"VAEGAN expected a critic with features, got {type(critic).__name__} without")
        self.critic = critic

    def features(self, x: Tensor) -> Tensor:
        """Return the critic's features of observations (N, *shape)."""
        features: Callable[[Tensor], Tensor] = self.critic.features  # type: ignore[assignment]
        return features(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return reconstructions (N, *shape), in data units, through the posterior mean."""
        return self.latent_space.raw(self.latent_space.encode(x).mean)

    def players(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters of the critic, and those of generator, encoder, posterior and prior."""
        return list(self.critic.parameters()), [*self.generator.parameters(), *self.code_parameters()]

    def critic_terms(self, batch: Batch, updates: int | None) -> Mapping[str, Tensor]:
        """Return the critic's loss; half of the generated observations are reconstructions."""
        with torch.no_grad():
            z = self.latent_space.encode(batch["x"]).rsample()
            fake = self.generator(torch.cat([z, self.codes(len(z))]))
        return {
            "adversarial": self.adversarial.critic(self.critic(self.decoder.inverse(batch["x"])), self.critic(fake))
        }

    def generator_terms(self, batch: Batch, updates: int) -> Mapping[str, Tensor]:
        """Return the terms of generator and encoder; encoder and prior get no gradient of the adversarial one.

        The divergence is in closed form where there is one, else log q(z|x) - log p(z) at the code that is decoded.
        """
        real, q = self.decoder.inverse(batch["x"]), self.latent_space.encode(batch["x"])
        z = q.rsample()
        difference = self.features(real) - self.features(self.generator(_scaled(z, 1 / self.gamma)))
        codes = torch.cat([z, self.codes(len(z))]).detach()
        scores = self.critic(self.generator(codes))
        return {
            "adversarial": self.adversarial.generator(scores, scores),
            "features": self.gamma * difference.flatten(1).square().sum(1).mean() / 2,
            "kl": kl_terms(q, self.latent_space.prior(), z).sum(-1).mean(),
        }


def _scaled(z: Tensor, factor: float) -> Tensor:
    """Return z, whose gradient is multiplied by a factor on its way back."""
    return z.detach() + factor * (z - z.detach())
