r"""Evaluation in float64 of maps whose weights and code are in float32.

The same map in float64, its weights widened when they are used, leaves 1e-16 of |f| as rounding in place of 1e-7.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Self, cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lsgen.geometry.compat import tree_map
from lsgen.geometry.jets import FrozenNoise, widening
from lsgen.geometry.surroundings import Retracted, surrounded
from lsgen.latent import LatentSpace
from lsgen.likelihoods import FlatLikelihood, Likelihood

__all__ = ["DecoderMap", "DistanceBound", "Double", "widened_map"]

IN_PLACE = {
    "__setitem__",
    *(f"__i{name}__" for name in ("add", "sub", "mul", "div", "truediv", "floordiv", "mod", "pow")),
}
WIDE = {torch.float32: torch.float64, torch.complex64: torch.complex128}


class _Widening(TorchFunctionMode):
    """Mode in which every operation gets float64 in place of float32 tensors, and makes float64 ones."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.float:
            return _wide(args[0])
        written = kwargs.get("out", args[0] if args and _writes(func.__name__) else None)
        if isinstance(written, Tensor) and written.dtype in WIDE:
            raise RuntimeError(f"a float32 tensor is changed in place ({func.__name__})")
        return tree_map(_wide, func(*tree_map(_wide, args), **tree_map(_wide, kwargs)))


def _wide(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.to(WIDE[x.dtype]) if x.dtype in WIDE else x
    return WIDE.get(x, x) if isinstance(x, torch.dtype) else x


def _writes(name: str) -> bool:
    return name in IN_PLACE or (name.endswith("_") and not name.endswith("__"))


class Double:
    """A float32 map evaluated in float64; its weights are converted at every call.

    Args:
        fn: the map.

    """

    widened = True

    def __init__(self, fn: Any) -> None:
        self.fn = fn

    def __call__(self, *args: Any) -> Any:
        """Evaluate the map in float64."""
        token = widening.set(True)
        try:
            with _Widening():
                return self.fn(*args)
        finally:
            widening.reset(token)


class DecoderMap:
    """A map of codes through the decoder of a latent space, or of the points near its manifold if that is curved.

    Args:
        space: the latent space.

    """

    widened = False
    decoder: Any
    likelihood: Likelihood

    def __init__(self, space: LatentSpace) -> None:
        self.owner: Any = space.decoder
        self.family, self.manifold = space.likelihood, space.manifold
        self.decoder, self.likelihood = space.decoder, space.likelihood
        self.near: Retracted | None = None
        if normals := self.manifold.normal_coordinates(torch.zeros(1, space.dim)).shape[1]:
            self.decoder = self.near = Retracted(space.decoder, self.manifold)
            self.likelihood = surrounded(space.likelihood, space.likelihood.raw_shape, normals)

    @property
    def normal_length(self) -> float:
        """The length of a unit vector across the manifold; 0 where there is none."""
        return 0.0 if self.near is None else self.near.length

    def with_frozen_noise(self, seed: int | None) -> Self:
        """Return the map with the random draws of its decoder held fixed; itself if no seed is given."""
        if seed is None:
            return self
        made = copy(self)
        made.decoder = FrozenNoise(self.decoder, seed)
        made.owner = made.decoder
        return made

    def in_double(self) -> Self:
        """Return the map with its decoder in float64; likelihoods follow the dtype of its outputs."""
        made: Any = copy(self)
        made.decoder, made.widened = Double(self.decoder), True
        made.owner = made.decoder
        return made


class DistanceBound(DecoderMap):
    """A lower bound of the Fisher-Rao length of any curve between two codes, from what they decode to.

    Whatever a curve of codes does, it decodes to a curve of distributions, none of which is shorter than the Fisher-Rao
    distance of its ends.
    """

    def __call__(self, start: Tensor, end: Tensor) -> Tensor:
        """Return the bound (N,) for codes (N, d); NaN where the likelihood has none."""
        likelihood = cast(FlatLikelihood, self.likelihood)
        return likelihood.distance_bound(self.decoder(start), self.decoder(end))


def widened_map(fn: Any) -> Any:
    """Return a map in float64."""
    return fn.in_double() if isinstance(fn, DecoderMap) else Double(fn)
