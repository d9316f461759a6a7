"""The second latent space of a style-based generator: W, in which images vary more evenly than in Z."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen.latent import LatentSpace, Prior
from lsgen.models.gan.adversarial import AdversarialModel
from lsgen.models.gan.space import DataUnits, GeneratorSpace
from lsgen.nn.stylegan import StyleGenerator

__all__ = ["Styles", "style_space"]


class Styles(Prior):
    """The distribution of w = f(z), z from another prior; it can be sampled and has no density.

    Args:
        prior: p(z).
        generator: whose mapping network is f; truncated as it says.

    """

    def __init__(self, prior: Prior, generator: StyleGenerator) -> None:
        super().__init__(generator.synthesis.dim)
        self.prior, self.generator = prior, generator

    def forward(self) -> Distribution:
        """Return p(w)."""
        return _Mapped(self.prior(), self.generator)


class _Mapped(Distribution):
    """The image of a distribution under a mapping network; `log_prob` raises NotImplementedError."""

    arg_constraints = {}  # noqa: RUF012 (the name and the type are those of torch.distributions)

    def __init__(self, base: Distribution, generator: StyleGenerator) -> None:
        self.base, self.generator = base, generator
        super().__init__(torch.Size(), torch.Size([generator.synthesis.dim]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The running mean of w, (width,)."""
        return self.generator.mapping.mean

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return styles (*sample_shape, width)."""
        with torch.no_grad():
            z = self.base.sample(torch.Size(sample_shape))
            w: Tensor = self.generator.styles(z.reshape(-1, z.shape[-1]))
            return w.reshape(*z.shape[:-1], w.shape[-1])


def style_space(model: AdversarialModel) -> LatentSpace:
    """Return the latent space W of a model with a `StyleGenerator`; it shares the weights that `latent_space` shows.

    Raises:
        TypeError: the generator is not style-based.

    """
    generator = model.decoder.generator
    if not isinstance(generator, StyleGenerator):
        raise TypeError(f"expected a model with a StyleGenerator, got {type(generator).__name__}")
    decoder = DataUnits(generator.synthesis, model.decoder.value_range)
    space = GeneratorSpace(decoder, model.latent_space.likelihood, Styles(model.latent_space.prior, generator))
    space.train(model.latent_space.training)
    return space
