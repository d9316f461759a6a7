"""The latent spaces W and W+ of a style-based generator, in which images vary more evenly than in Z.

A code of W+ has a style for each of the L layers, side by side, (N, L w); a code of W stands for L equal ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lsgen.latent import ImplicitPrior, LatentSpace, Prior
from lsgen.models.gan.adversarial import AdversarialModel
from lsgen.models.gan.space import GeneratorSpace, RescaledGenerator
from lsgen.nn.adversarial.stylegan import StyleGenerator, Synthesis

__all__ = ["Styles", "style_space"]


class Styles(ImplicitPrior):
    """The distribution of w = f(z), z from another prior.

    Args:
        prior: p(z).
        generator: whose mapping network is f; truncated as it says.
        layers: how often w stands in a code: 1 for W, all of `generator.synthesis.layers` for W+.

    """

    def __init__(self, prior: Prior, generator: StyleGenerator, layers: int = 1) -> None:
        super().__init__(layers * generator.synthesis.dim)
        self.prior, self.generator, self.layers = prior, generator, layers

    def forward(self) -> Distribution:
        """Return p(w)."""
        return _Mapped(self.prior(), self.generator, self.layers)


class _Mapped(Distribution):
    """The image of a distribution under a mapping network; `log_prob` raises NotImplementedError."""

    arg_constraints = {}  # noqa: RUF012 (the name and the type are those of torch.distributions)

    def __init__(self, base: Distribution, generator: StyleGenerator, layers: int) -> None:
        self.base, self.generator, self.layers = base, generator, layers
        super().__init__(torch.Size(), torch.Size([layers * generator.synthesis.dim]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The running mean of w, (layers width,)."""
        return self.generator.mapping.mean.repeat(self.layers)

    @property
    def variance(self) -> Tensor:
        """The variance of w, (layers width,), estimated from 4,096 codes."""
        return self.sample((4096,)).var(0)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return styles (*sample_shape, layers width)."""
        with torch.no_grad():
            z = self.base.sample(torch.Size(sample_shape))
            w: Tensor = self.generator.styles(z.reshape(-1, z.shape[-1]))
            return w.repeat(1, self.layers).reshape(*z.shape[:-1], -1)


class _PerLayer(nn.Module):
    """Codes of W+ (N, L w) -> images (N, C, S, S)."""

    def __init__(self, synthesis: Synthesis) -> None:
        super().__init__()
        self.synthesis, self.dim = synthesis, synthesis.layers * synthesis.dim

    def forward(self, z: Tensor) -> Tensor:
        image: Tensor = self.synthesis(z.unflatten(1, (self.synthesis.layers, self.synthesis.dim)))
        return image


def style_space(of: AdversarialModel | LatentSpace, plus: bool = False) -> LatentSpace:
    """Return the latent space W of a model with a `StyleGenerator`; it shares the weights that `latent_space` shows.

    Args:
        of: a GAN, or its latent space.
        plus: return W+ instead, with a style for every layer.

    Raises:
        TypeError: the generator is not style-based.

    """
    z = of if isinstance(of, LatentSpace) else of.latent_space
    generator = z.decoder.generator if isinstance(z.decoder, RescaledGenerator) else z.decoder
    if not isinstance(generator, StyleGenerator) or not isinstance(z.decoder, RescaledGenerator):
        raise TypeError(f"expected a model with a StyleGenerator, got {type(generator).__name__}")
    synthesis = generator.synthesis
    decoder = RescaledGenerator(_PerLayer(synthesis) if plus else synthesis, z.decoder.value_range)
    space = GeneratorSpace(decoder, z.likelihood, Styles(z.prior, generator, synthesis.layers if plus else 1))
    space.train(z.training)
    return space
