r"""The contract of a regulariser of the metric, a penalty that joins the loss of any model with a decoder.

    loss + weight * penalty(g, z),    g the metric that the decoder induces,  z codes

Codes are those of the batch where the model has an encoder, draws of q(z|x), and draws of the prior elsewhere. They
carry no graph: the decoder learns from the penalty, the encoder does not. Between them, codes are mixed,

    z = z_i + a (z_j - z_i),    a ~ U(-e, 1 + e),

with j the neighbour of i in the batch, so that the metric is regular beyond the codes too.

Networks are in eval mode while a penalty is taken: dropout is off and batch normalisation uses its running statistics,
so that each code has a metric by itself, the one that geometry finds after training. Running statistics do not move.
The penalty is computed in the precision of the weights, also under mixed precision.

Lazy regularisation takes a penalty at every `every`-th generator step only, there with `every * weight`.

Reference: Chen et al., "Learning flat latent manifolds with VAEs" (2020), https://arxiv.org/abs/2002.04881, equation 9,
for the mixture of codes; Karras et al. (2020), https://arxiv.org/abs/1912.04958, for lazy regularisation.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lsgen.geometry.estimators import Differential, differential
from lsgen.geometry.jets import kinks
from lsgen.latent import EncodableLatentSpace, Euclidean, LatentSpace
from lsgen.models.schedules import Constant, Schedule, as_schedule

__all__ = ["MetricRegulariser", "MetricSampling", "Penalty", "evaluating", "penalties"]


@dataclass(frozen=True)
class MetricSampling:
    """Options of where and when the metric is regularised.

    Attributes:
        kind: metric of the decoder, "fisher" for that of its likelihood or "euclidean" for that of the mean of p(x|z).
        codes: number of codes of each batch, which the cost is proportional to; all where it is not given.
        extrapolation: e, how far mixed codes reach beyond two codes, in parts of their distance; codes are not mixed
            where it is not given.
        every: the penalty is taken at every `every`-th generator step, there with `every * weight`.

    Raises:
        TypeError: codes or every are not whole numbers.
        ValueError: another kind, a number that is not positive, or a negative extrapolation.

    """

    kind: Literal["fisher", "euclidean"] = "fisher"
    codes: int | None = None
    extrapolation: float | None = 0.2
    every: int = 1

    def __post_init__(self) -> None:
        if self.kind not in ("fisher", "euclidean"):
            raise ValueError(f'expected kind "fisher" or "euclidean", got {self.kind!r}')
        for name, number in (("codes", self.codes), ("every", self.every)):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
                raise TypeError(f"expected a whole number as {name}, got {number!r}")
        if self.codes is not None and self.codes < 1:
            raise ValueError(f"expected at least 1 code of each batch, got codes = {self.codes}")
        if self.extrapolation is not None and not 0 <= self.extrapolation < float("inf"):
            raise ValueError(f"expected an extrapolation of at least 0, got {self.extrapolation}")
        if self.every < 1:
            raise ValueError(f"expected a regulariser at every 1st or later step, got every = {self.every}")


@dataclass(frozen=True)
class Penalty:
    """The value of a regulariser at one generator step.

    Attributes:
        value: the penalty, a scalar with its graph.
        factor: the weight that it enters the loss with.

    """

    value: Tensor
    factor: float

    @property
    def term(self) -> Tensor:
        """The term of the loss."""
        return self.factor * self.value


class MetricRegulariser(ABC):
    """Abstract penalty on the metric that a decoder induces.

    Args:
        weight: factor of the penalty in the loss, a number or a schedule in generator steps.
        sampling: at which codes and steps the metric is regularised.

    Attributes:
        least_codes: the number of codes that the penalty is defined for.
        encodes: whether the penalty compares codes with observations, so that the encoder learns from it too.

    Raises:
        ValueError: the weight is negative.
        TypeError: the weight is neither a number nor a schedule.

    """

    least_codes: ClassVar[int] = 1
    encodes: bool = False

    def __init__(self, weight: float | Schedule, sampling: MetricSampling) -> None:
        self.weight, self.sampling = as_schedule(weight), sampling
        self._made: tuple[nn.Module, nn.Module, Differential] | None = None
        if isinstance(self.weight, Constant) and not 0 <= self.weight.value < float("inf"):
            raise ValueError(f"expected a weight of at least 0, got {weight}")
        if sampling.codes is not None and sampling.codes < self.least_codes:
            name = type(self).__name__
            raise ValueError(f"{name} expected at least {self.least_codes} codes of each batch, got {sampling.codes}")

    @abstractmethod
    def penalty(self, f: Differential, z: Tensor) -> Tensor:
        """Return the penalty without its weight, a scalar, at codes (N, d)."""

    def check(self, space: LatentSpace) -> None:
        """Refuse a latent space whose metric cannot be regularised, before any step is taken.

        Raises:
            TypeError: its codes do not fill flat space.
            ValueError: mixed codes would leave the manifold of the codes.

        """
        name, manifold = type(self).__name__, space.manifold
        if not isinstance(manifold, Euclidean):
            raise TypeError(f"{name} expected codes that fill flat space, got those of {manifold}")
        if self.sampling.extrapolation and manifold != Euclidean():
            raise ValueError(
                f"{name} expected an extrapolation of 0 for codes of {manifold}, got {self.sampling.extrapolation}"
            )
        if self.encodes and not isinstance(space, EncodableLatentSpace):
            raise TypeError(f"{name} expected a model with an encoder, got one without")
        self.differential(space)

    def differential(self, space: LatentSpace) -> Differential:
        """Return the differential of the decoder, which is kept: the host reads the signs of its target to make it."""
        made = self._made
        if made is None or made[0] is not space.decoder or made[1] is not space.likelihood:
            made = self._made = space.decoder, space.likelihood, differential(space, self.sampling.kind)
        return made[2]

    def check_bending(self, space: LatentSpace) -> None:
        """Refuse a metric that no map into Euclidean space induces, and warn of a piecewise linear decoder.

        Raises:
            TypeError: the image of the decoder does not lie in Euclidean space.

        """
        name, f = type(self).__name__, self.differential(space)
        if not f.flat:
            family = type(space.likelihood).__name__
            raise TypeError(f'{name} expected kind "euclidean" for a likelihood like {family}, got "fisher"')
        like = next(iter(space.decoder.parameters()), torch.zeros(()))
        with evaluating(space):
            names = kinks(f.map.local, torch.zeros(2, space.dim, dtype=like.dtype, device=like.device))
        if names:
            warnings.warn(
                f"{name} learns nothing from {' and '.join(names)}, whose second derivatives are zero almost "
                "everywhere: use a smooth activation such as SiLU",
                stacklevel=4,
            )

    def factor(self, step: int) -> float:
        """Return the factor of the penalty after `step` generator steps; 0 where it is left out."""
        return self.weight_at(step) * self.sampling.every if step % self.sampling.every == 0 else 0.0

    def weight_at(self, step: int) -> float:
        """Return the weight after `step` generator steps.

        Raises:
            ValueError: a schedule gives a weight that is negative or not finite.

        """
        value = self.weight(step)
        if not 0 <= value < float("inf"):
            raise ValueError(f"expected a weight of at least 0, got {value} after {step} generator steps")
        return value

    def at(self, space: LatentSpace, z: Tensor, x: Tensor) -> Tensor:
        """Return the penalty of a latent space at codes (N, d) of observations (N, *shape), or of the prior."""
        return self.penalty(self.differential(space), self._mixed(z[: self.sampling.codes]))

    def _mixed(self, z: Tensor) -> Tensor:
        e = self.sampling.extrapolation
        if e is None:
            return z
        a = torch.rand(len(z), 1, dtype=z.dtype, device=z.device) * (1 + 2 * e) - e
        return torch.lerp(z, z.roll(1, 0), a)


def penalties(
    regularisers: Mapping[str, MetricRegulariser],
    space: LatentSpace,
    codes: Callable[[], Tensor],
    batch: Mapping[str, Tensor],
    step: int,
    training: bool,
) -> dict[str, Penalty]:
    """Return the penalties that are due, by name.

    Args:
        regularisers: the regularisers by name.
        space: the latent space whose decoder is trained, in eval mode.
        codes: returns codes (N, d), with their graph where there is one.
        batch: the batch, with observations "x" (N, *shape).
        step: completed generator steps.
        training: whether the model is trained; in evaluation every penalty is taken, with its weight.

    """
    factors = {name: one.factor(step) if training else one.weight_at(step) for name, one in regularisers.items()}
    due = {name: one for name, one in regularisers.items() if factors[name]}
    if not due:
        return {}
    x, encodes = batch["x"], any(one.encodes for one in due.values())
    with torch.autocast(x.device.type, enabled=False):
        with torch.set_grad_enabled(torch.is_grad_enabled() and encodes):
            z = codes()
        values = {name: one.at(space, z if one.encodes else z.detach(), x) for name, one in due.items()}
    return {name: Penalty(value, factors[name]) for name, value in values.items()}


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Put modules and their parts into eval mode, and back into the mode that each of them was in."""
    trained = [part for module in modules for part in module.modules() if part.training]
    for part in trained:
        part.training = False
    try:
        yield
    finally:
        for part in trained:
            part.training = True
