r"""Maps in float64 that are written and weighted in float32, and metrics in place of maps.

What neighbouring codes differ by is lost where |f| eps exceeds it. The same map in float64, its weights widened when
they are used, leaves 1e-16 of |f| in place of 1e-7. Where a map computes in float32 whatever it is given, or float64 is
not enough, its metric g = J^T J takes the place of differences: derivatives hold no |f|.

Reference: Higham, "Accuracy and Stability of Numerical Algorithms" (2002), sections 1.7 and 3.1.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from copy import copy
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from lsgen.geometry.immersion import Immersion, SpaceMap
from lsgen.geometry.jets import widening
from lsgen.geometry.metric_field import MetricField, PulledBackInformation
from lsgen.geometry.metric_tensor import inner

__all__ = ["Double", "exact_if_close", "exacter", "in_double", "intrinsic", "rounded", "widens"]

CLOSE = 1e-4

IN_PLACE = {
    "__setitem__",
    *(f"__i{name}__" for name in ("add", "sub", "mul", "div", "truediv", "floordiv", "mod", "pow")),
}
WIDE = {torch.float32: torch.float64, torch.complex64: torch.complex128}
_made: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


class _Widening(TorchFunctionMode):
    """Gives every operation float64 in place of float32, and asks for float64 where float32 is asked for."""

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
    """A map in float64, with the weights that it has in float32 at the time of the call.

    Args:
        fn: the map.

    """

    widened = True

    def __init__(self, fn: Any) -> None:
        self.fn = fn

    def __call__(self, *args: Any) -> Any:
        """Return what the map returns of float64."""
        token = widening.set(True)
        try:
            with _Widening():
                return self.fn(*args)
        finally:
            widening.reset(token)


def in_double(im: Immersion | MetricField) -> Immersion | MetricField:
    """Return an immersion or metric in float64; the same one whenever it is asked for, so that its traces are kept."""
    made: Immersion | MetricField | None = _kept(im).get("double")
    if made is None:
        made = _kept(im)["double"] = _widened(im)
    return made


def _kept(im: Immersion | MetricField) -> dict[Any, Any]:
    """Return what was made of an immersion or metric so far, none of which refers to it."""
    return _made.setdefault(im, {})


def _widened(im: Immersion | MetricField) -> Immersion | MetricField:
    made: Any = copy(im)
    made.fn = _with_decoder(im.fn) if isinstance(im.fn, PulledBackInformation) else Double(im.fn)
    if isinstance(im, Immersion) and isinstance(im._local, SpaceMap):
        made._local = _with_decoder(im._local)
    return made


def _with_decoder(fn: Any) -> Any:
    """Return the map of a latent space whose decoder is one in float64; likelihoods follow the dtype of its outputs."""
    made = copy(fn)
    made.decoder, made.widened = Double(fn.decoder), True
    return made


def widens(im: Immersion | MetricField, z: Tensor) -> bool:
    """Whether a map in float32 has values in float64 at codes (N, d) of it."""
    try:
        with torch.no_grad():
            value: Tensor = in_double(im).fn(im.lifted(z[:1].double()))
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError):
        return False
    return isinstance(value, Tensor) and value.dtype == torch.float64


class _Gram:
    """z -> g(z), for codes in float64 and an immersion or metric of a dtype."""

    widened = True

    def __init__(self, im: Immersion | MetricField, dtype: torch.dtype) -> None:
        self.im, self.dtype = im, dtype

    def __call__(self, z: Tensor) -> Tensor:
        """Return the metric (N, d, d)."""
        if isinstance(self.im, MetricField):
            return self.im.matrices(z.to(self.dtype)).double()
        return inner(self.im, self.im.expansion(z.to(self.dtype), 1).t.movedim(0, 1).double())


def intrinsic(im: Immersion | MetricField, dtype: torch.dtype) -> MetricField:
    """Return the metric, for codes in float64, of an immersion or metric that computes in a dtype."""
    made: MetricField | None = _kept(im).get(dtype)
    if made is None:
        made = _kept(im)[dtype] = MetricField(_Gram(copy(im), dtype), im.dim)
        made.trusted = im.trusted
    return made


def exacter(im: Immersion | MetricField, z: Tensor) -> Iterator[Immersion | MetricField]:
    """Yield what takes codes like z (N, d) in float64, and has less of rounding than an immersion or metric itself."""
    exact = z.dtype == torch.float64
    if not exact and len(z) and widens(im, z):
        im, exact = in_double(im), True
        yield im
    if (isinstance(im, Immersion) or not exact) and len(z):
        yield intrinsic(im, torch.float64 if exact else z.dtype)


def exact_if_close(
    im: Immersion | MetricField, codes: Tensor, spread: Tensor | None = None
) -> tuple[Immersion | MetricField, Tensor]:
    """Return what measures sets of codes (..., n, d), and these: in float64 where float32 can hardly tell some apart.

    That is where rounding is more than CLOSE of the root mean square distance of codes from their centre, or of another
    spread (...) of the sets.
    """
    if codes.dtype == torch.float64:
        return im, codes
    if spread is None:
        spread = (codes - codes.mean(-2, keepdim=True)).square().sum(-1).mean(-1).sqrt()
    rounding = torch.finfo(codes.dtype).eps * codes.norm(dim=-1).amax(-1)
    if not bool(((rounding > CLOSE * spread) & (spread > 0)).any()):
        return im, codes
    return next(exacter(im, codes.reshape(-1, codes.shape[-1]))), codes.double()


def rounded(found: Any, dtype: torch.dtype) -> Any:
    """Return a named tuple with its numbers in a dtype."""
    return type(found)(*(x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in found))
