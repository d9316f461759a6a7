r"""Adversarially learned inference: a generator and an encoder become inverse to each other against a critic of pairs.

    critic      pairs (x, E(x)) against pairs (G(z), z)
    players     G wants (G(z), z) to score high, E wants (x, E(x)) to score low

At the optimum the joint distributions agree, so G and E invert each other. A deterministic encoder makes a BiGAN, a
stochastic one ALI; which of the two is the posterior's business.

Reference: Donahue, Krahenbuhl & Darrell (2017), https://arxiv.org/abs/1605.09782; Dumoulin et al. (2017),
https://arxiv.org/abs/1606.00704.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lsgen.latent import Deterministic, EncodableLatentSpace, Posterior, Prior
from lsgen.likelihoods import Likelihood
from lsgen.models.base import Batch
from lsgen.models.gan.adversarial import AdversarialModel
from lsgen.models.gan.losses import AdversarialLoss, NonSaturating
from lsgen.models.gan.space import EncodableGeneratorSpace, RescaledGenerator
from lsgen.models.gan.updates import Updates
from lsgen.models.parts import check_posterior, check_prior, check_value_range

__all__ = ["BiGAN"]


class BiGAN(AdversarialModel):
    """A generator and an encoder against a critic of pairs.

    Args:
        encoder: observations in data units (N, *shape) -> posterior parameters (N, posterior.heads * d).
        generator: codes (N, d) -> observations (N, *shape).
        critic: observations (N, *shape) and codes (N, d) -> scores (N,).
        likelihood: what lends the latent space its geometry.
        prior: p(z); one with parameters is trained with the generator, through the codes.
        posterior: family of q(z|x); a point (BiGAN) unless another is given (ALI).
        loss: what the players minimise; non-saturating unless another is given.
        value_range: data values that generator and critic see as -1 and 1.
        updates: optimisers of both players, and how their updates alternate; the encoder learns with the generator.
        max_steps: see `AdversarialModel`.

    Raises:
        ValueError: the loss is not symmetric in the two kinds of pairs.
        TypeError: codes of the posterior, or of a prior with parameters, carry no gradient.

    """

    latent_space: EncodableLatentSpace

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        critic: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        posterior: Posterior | None = None,
        loss: AdversarialLoss | None = None,
        value_range: Sequence[float] | None = None,
        updates: Updates = Updates(),
        max_steps: int | None = None,
    ) -> None:
        decoder = RescaledGenerator(generator, check_value_range(value_range))
        point = Deterministic() if posterior is None else posterior
        space = EncodableGeneratorSpace(encoder, decoder, likelihood, prior, point)
        check_posterior("BiGAN", space.posterior, density=False)
        check_prior("BiGAN", space, density=False, draws=True)
        super().__init__(space, updates, max_steps)
        self.critic = critic
        self.adversarial = NonSaturating() if loss is None else loss
        if not self.adversarial.symmetric:
            raise ValueError(f"BiGAN expected a loss symmetric in its pairs, got {type(self.adversarial).__name__}")

    def forward(self, x: Tensor) -> Tensor:
        """Return reconstructions (N, *shape), G(E(x)), in data units."""
        return self.latent_space.raw(self.latent_space.encode(x).mean)

    def players(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters of the critic, and those of generator, encoder, posterior and prior."""
        return list(self.critic.parameters()), [*self.generator.parameters(), *self.code_parameters()]

    def critic_terms(self, batch: Batch, updates: int | None) -> Mapping[str, Tensor]:
        """Return the critic's loss on pairs."""
        with torch.no_grad():
            pairs = self._pairs(batch)
        return {"adversarial": self.adversarial.critic(*(self.critic(x, z) for x, z in pairs))}

    def generator_terms(self, batch: Batch, updates: int) -> Mapping[str, Tensor]:
        """Return the losses of the generator and of the encoder."""
        real, fake = (self.critic(x, z) for x, z in self._pairs(batch))
        return {
            "adversarial": self.adversarial.generator(real, fake),
            "encoder": self.adversarial.generator(-fake, -real),
        }

    def _pairs(self, batch: Batch) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return (x, E(x)) and (G(z), z)."""
        z = self.codes(len(batch["x"]))
        inferred = self.latent_space.encode(batch["x"]).rsample()
        return (self.decoder.inverse(batch["x"]), inferred), (self.generator(z), z)
