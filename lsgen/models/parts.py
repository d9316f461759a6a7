"""Checks of a model's parts before training, the range of values that networks see, and frozen parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeGuard

from torch import Tensor, nn

from lsgen.latent import (
    CodebookPrior,
    DiscretePosterior,
    DiscretePrior,
    EncodableLatentSpace,
    EncoderDependentPrior,
    ImplicitPrior,
    LatentSpace,
    PointPosterior,
    Posterior,
    Prior,
    Product,
    Quantiser,
)

__all__ = [
    "check_discrete",
    "check_posterior",
    "check_prior",
    "check_sizes",
    "check_value_range",
    "from_unit_range",
    "frozen_parameters",
    "is_product",
    "to_unit_range",
]


def check_posterior(model: str, posterior: Posterior, *, density: bool, factorised: bool = False) -> None:
    """Refuse a posterior that a model cannot train.

    Args:
        model: name of the model, or of its objective.
        posterior: family of q(z|x).
        density: whether the loss holds log q(z|x).
        factorised: whether latent dimensions must be independent given x.

    Raises:
        TypeError: codes carry no gradient, have no density, or are not independent over dimensions.

    """
    name = type(posterior).__name__
    if isinstance(posterior, Quantiser):
        raise TypeError(f"{model} expected a posterior that learns by gradients, got {name}: use VQVAE")
    if not posterior.reparameterised:
        raise TypeError(f"{model} expected a posterior whose codes carry a gradient, got {name}")
    if density and isinstance(posterior, PointPosterior):
        raise TypeError(f"{model} expected a posterior with a density, got {name}, whose KL is infinite")
    if factorised and not posterior.factorised:
        raise TypeError(f"{model} expected a posterior that factorises over latent dimensions, got {name}")


def check_discrete(model: str, space: EncodableLatentSpace) -> None:
    """Refuse a latent space whose prior and posterior are not random discrete codes.

    Raises:
        TypeError: one of them is something else.

    """
    if not isinstance(space.posterior, DiscretePosterior) or not isinstance(space.prior, DiscretePrior):
        got = f"{type(space.posterior).__name__} and {type(space.prior).__name__}"
        raise TypeError(
            f"{model} expected a BernoulliPosterior and a BernoulliPrior, or a CategoricalPosterior and a "
            f"CategoricalPrior, got {got}"
        )


def check_prior(model: str, space: LatentSpace, *, density: bool, draws: bool) -> None:
    """Refuse a prior that a model cannot train.

    Args:
        model: name of the model, or of its objective.
        space: the latent space that the prior belongs to.
        density: whether the loss holds log p(z) at codes that may lie anywhere.
        draws: whether codes drawn from the prior pass their gradient on to it.

    Raises:
        TypeError: the prior needs a part that there is not, has parameters that would learn nothing, or is zero where
            codes can lie.

    """
    prior, name = space.prior, type(space.prior).__name__
    if isinstance(prior, EncoderDependentPrior) and not isinstance(space, EncodableLatentSpace):
        raise TypeError(f"{model} expected a prior that needs no encoder, got {name}")
    if isinstance(prior, CodebookPrior):
        raise TypeError(f"{model} expected a prior that needs no codebook, got {name}")
    if density and isinstance(prior, ImplicitPrior):
        raise TypeError(f"{model} expected a prior with a density, got {name}")
    if density and isinstance(space, EncodableLatentSpace) and prior.manifold != space.posterior.manifold:
        reach = type(space.posterior).__name__
        raise TypeError(f"{model} expected a prior wherever {reach} puts codes, got {name}: the KL is infinite")
    if density or not any(True for _ in prior.parameters()):
        return
    if not draws:
        raise TypeError(f"{model} expected a prior without parameters, as its loss teaches it nothing, got {name}")
    if not prior.reparameterised:
        raise TypeError(f"{model} expected a prior whose draws carry the gradient of its parameters, got {name}")


def is_product(prior: Prior, *kinds: type[Prior]) -> TypeGuard[Product]:
    """Return whether a prior is a product of parts of these types, in this order."""
    return isinstance(prior, Product) and [type(part) for part in prior.parts] == list(kinds)


def check_sizes(posterior: str, sizes: Sequence[int], prior: Prior) -> None:
    """Refuse a prior whose parts have other sizes than those of a posterior.

    Raises:
        ValueError: they are not.

    """
    found = list(getattr(prior, "sizes", [prior.dim]))
    if list(sizes) != found:
        raise ValueError(f"expected prior.parts of the dimensions {list(sizes)} of {posterior}, got {found}")


def check_value_range(value_range: Sequence[float] | None) -> tuple[float, float] | None:
    """Return the range as a pair of floats.

    Raises:
        ValueError: it is not a lower and a higher value.

    """
    if value_range is None:
        return None
    if len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise ValueError(f"expected a value_range of a lower and a higher value, got {list(value_range)}")
    return float(value_range[0]), float(value_range[1])


def to_unit_range(x: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    """Return data values as networks see them, in [-1, 1]; as they are where there is no range."""
    if value_range is None:
        return x
    low, high = value_range
    return (x - low) * (2 / (high - low)) - 1


def from_unit_range(x: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    """Return what networks make, in [-1, 1], as data values: the inverse of `to_unit_range`."""
    if value_range is None:
        return x
    low, high = value_range
    return (x + 1) * ((high - low) / 2) + low


@contextmanager
def frozen_parameters(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Keep parameters from getting gradients; gradients still flow through them to what they are applied to."""
    held = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)
