r"""Maps that draw random numbers: how they are noticed, refused, or held fixed.

A geometry belongs to one function of the codes. A map that draws numbers in its forward pass (noise injection, dropout
by a function, a sampled relaxation) is another function at every call; one that seeds its generator anew at every call
draws the same numbers each time, but other ones for each place in a batch. Both are refused, as is whatever else makes
the value at a code depend on its batch. `FrozenNoise` makes one function of such a map: every code gets the draws

    xi_k ~ p_k,  k = 1, 2, ...,  of a batch of one code and a given seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsgen.geometry.compat import (
    TorchDispatchMode,
    has_values,
    is_fake,
    math_attention,
    outside_modes,
    outside_transforms,
    schema_of,
    unwrapped,
)
from lsgen.geometry.jets.fingerprint import fingerprint_of, once

__all__ = ["FrozenNoise", "check_deterministic", "draws_numbers", "random_sentence"]


def draws_numbers(op: Any, args: Any, kwargs: Any) -> bool:
    """Return whether an operation of PyTorch draws random numbers when it is called with these arguments."""
    if torch.Tag.nondeterministic_seeded not in getattr(op, "tags", ()):
        return False
    given = _named(op, args, kwargs)
    if given.get("train") is False or given.get("training") is False:
        return False
    share = given.get("dropout_p", given.get("dropout"))  # attention and recurrent networks, whose tag is on without it
    return share is None or share > 0


def random_sentence(op: Any) -> str:
    """Return the sentence that refuses a map for an operation that draws random numbers."""
    return (
        f"expected a deterministic map, got one that draws random numbers ({op}): switch that off, or hold one draw "
        "fixed for all codes by FrozenNoise(map, seed)"
    )


@once
def check_deterministic(fn: Callable[[Tensor], Tensor], z: Tensor) -> None:
    """Refuse a map whose value at a code depends on random numbers, or on the other codes of its batch.

    It is called twice, with three codes at most, and once only as long as neither it nor what it refers to changes. The
    states of all global generators stay as they were. Maps that cannot be called so are left to later checks.

    Args:
        fn: a map (N, d) -> (N, ...).
        z: codes (N, d).

    Raises:
        ValueError: the map draws random numbers, or its value at a code is not the same in all batches.

    """
    if not len(z):
        return
    with _states_kept(z):
        if fingerprint_of(fn).wrapped:  # a transform follows its weights, and has to see what is done with them
            _called(fn, z[:2])
        else:
            z = unwrapped(z)
            with outside_transforms(z), torch.inference_mode(False), torch.no_grad():
                _compare(fn, z[[0, min(1, len(z) - 1)]].clone())


def _compare(fn: Callable[[Tensor], Tensor], pair: Tensor) -> None:
    """Compare the values of two codes in a batch of two with those in a batch of three, in other places."""
    first = _called(fn, pair)
    if not has_values(pair):
        return
    other = _called(fn, pair[[1, 0, 0]])
    if not (_far(first, other, [1, 0], [0, 1]) or _far(other, other, [1], [2])):
        return
    if _far(first, _called(fn, pair), [0, 1], [0, 1]):
        raise ValueError("expected a deterministic map, got one with other values when it is called again")
    raise ValueError(
        "expected a map that treats every point by itself, got one whose values depend on the place of a code in its "
        "batch or on the other codes there"
    )


def _called(fn: Callable[[Tensor], Tensor], z: Tensor) -> Tensor | None:
    """Return the values of a map (N, ...), None if it has none; refuse a map that draws random numbers."""
    try:
        with math_attention(), _Refusing():
            value = fn(z)
    except _Drawn as drawn:
        raise ValueError(random_sentence(drawn.args[0])) from None
    except Exception:  # noqa: BLE001 (whatever is wrong with the map is told when it is called for its values)
        return None
    fit = isinstance(value, Tensor) and value.is_floating_point() and value.shape[:1] == z.shape[:1]
    return value.detach() if fit else None


def _far(a: Tensor | None, b: Tensor | None, rows: list[int], others: list[int]) -> bool:
    """Return whether rows of two results differ by more than rounding."""
    if a is None or b is None or a.shape[1:] != b.shape[1:]:
        return False
    x, y = a[rows], b[others]
    if not x.numel():
        return False
    size = torch.maximum(x.abs(), y.abs()).nan_to_num(0, 0, 0).amax()
    gap = (x - y).abs()
    return bool((gap > torch.finfo(x.dtype).eps ** 0.5 * size).any())


class _Drawn(Exception):
    """Tells that an operation was about to draw random numbers; the operation is the argument."""


class _Refusing(TorchDispatchMode):
    """Raises `_Drawn` before an operation draws random numbers."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if draws_numbers(func, args, kwargs or {}):
            raise _Drawn(func)
        return func(*args, **(kwargs or {}))


@contextmanager
def _states_kept(z: Tensor) -> Iterator[None]:
    """Restore the states of the global generators of PyTorch, NumPy and Python at the end."""
    devices = [z.device] if z.device.type == "cuda" and not is_fake(z) else []
    ours, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(theirs)  # noqa: NPY002


class FrozenNoise:
    """A map whose random draws are held fixed: the same for all codes, at every call, in batches of any size.

    The draws are those of a batch of one code. They follow from the seed and their order alone, on any device and in
    any precision. Generators that the map itself hands over or seeds have no influence on them.

    Args:
        fn: a map (N, d) -> (N, ...) that draws uniform, normal, exponential or Bernoulli numbers, or dropout.
        seed: the seed of the draws.

    Raises:
        TypeError: fn cannot be called, or the seed is not a whole number.
        ValueError: when it is called: numbers of another kind are drawn, or their shape is not that of one code, once
            or for each code.

    Example:
        >>> noisy = FrozenNoise(lambda z: z + torch.randn_like(z), seed=0)
        >>> bool((noisy(torch.zeros(2, 3)) == noisy(torch.zeros(3))).all())
        True

    """

    def __init__(self, fn: Callable[[Tensor], Tensor], seed: int = 0) -> None:
        if not callable(fn):
            raise TypeError(f"expected a map z -> f(z), got {type(fn).__name__}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"expected a seed that is a whole number, got {type(seed).__name__}")
        self.fn, self.seed = fn, seed
        if hasattr(fn, "manifold"):
            self.manifold = fn.manifold

    def __call__(self, z: Tensor) -> Tensor:
        """Return the values of the map at codes (N, d), or at one code (d,)."""
        if z.ndim == 1:
            return self(z[None])[0]
        shapes = None
        if len(z) != 1:
            single = _Holding(self.seed, z[:1], None)
            with single:
                self.fn(z[:1])
            shapes = single.shapes
        held = _Holding(self.seed, z, shapes if len(z) else None)
        with held:
            return self.fn(z)


class _Holding(TorchDispatchMode):
    """Replaces random draws by those of a seed, which are drawn for one code and repeated for the others.

    Args:
        seed: the seed.
        z: codes (N, d).
        shapes: the shapes of all draws for one code; None if N is 1.

    Attributes:
        shapes: the shapes of the draws so far.

    """

    def __init__(self, seed: int, z: Tensor, shapes: list[torch.Size] | None) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)
        self.n, self.single, self.shapes = len(z), shapes, list[torch.Size]()
        self.fake = is_fake(z)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not draws_numbers(func, args, kwargs):
            return func(*args, **kwargs)
        name = func.overloadpacket.__name__
        make = _DRAWS.get(name.removesuffix("_"))
        if make is None:
            raise ValueError(f"expected draws that can be held fixed, got those of {func}")
        given = _named(func, args, kwargs)
        made = make(self, given)
        return given["self"].copy_(made) if name.endswith("_") else made

    def uniform(self, shape: Any, like: dict[str, Any], normal: bool = False) -> Tensor:
        """Return uniform numbers in [0, 1), or standard normal ones, of a shape with the dtype and device given."""
        shape = torch.Size(shape)
        one = shape if self.single is None else self._single(shape)
        self.shapes.append(shape)
        draw = torch.randn if normal else torch.rand
        dtype, device = like.get("dtype") or torch.get_default_dtype(), like.get("device") or "cpu"
        if self.fake:
            drawn = torch.zeros(one, dtype=dtype, device=device)
        else:
            with outside_modes():
                drawn = draw(one, generator=self.generator, dtype=torch.float64).to(device, dtype)
        return self._repeated(drawn, shape)

    def _single(self, shape: torch.Size) -> torch.Size:
        known, k = self.single or [], len(self.shapes)
        if k >= len(known):
            raise ValueError("expected a map that draws as often for many codes as for one, got more draws")
        return known[k]

    def _repeated(self, drawn: Tensor, shape: torch.Size) -> Tensor:
        """Repeat a draw for one code along the dimension that is N times as long for N codes."""
        one = drawn.shape
        long = [i for i, (a, b) in enumerate(zip(one, shape, strict=False)) if a != b]
        if len(one) != len(shape) or len(long) > 1 or any(one[i] * self.n != shape[i] for i in long):
            raise ValueError(
                f"expected draws of one shape, or one for each code, got {tuple(one)} for one code and "
                f"{tuple(shape)} for {self.n}"
            )
        return drawn.repeat([self.n if i in long else 1 for i in range(len(one))]) if long else drawn


def _named(op: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return the arguments of an operation by name, with their defaults."""
    arguments = getattr(schema_of(op), "arguments", ())
    given = {a.name: a.default_value for a in arguments if a.has_default_value()}
    return {**given, **{a.name: x for a, x in zip(arguments, args, strict=False)}, **kwargs}


def _like(given: dict[str, Any]) -> dict[str, Any]:
    x = given["self"]
    return {"dtype": given.get("dtype") or x.dtype, "device": given.get("device") or x.device}


def _shape(given: dict[str, Any]) -> Any:
    return given["size"] if "size" in given else given["self"].shape


def _options(given: dict[str, Any]) -> dict[str, Any]:
    return given if "size" in given else _like(given)


def _draw_normal(held: _Holding, given: dict[str, Any]) -> Tensor:
    if "self" not in given and "size" not in given:
        raise ValueError(
            "expected draws that can be held fixed, got torch.normal of tensors, whose derivatives PyTorch takes for "
            "zero: write mean + std * torch.randn_like(mean)"
        )
    return given["mean"] + given["std"] * held.uniform(_shape(given), _options(given), normal=True)


def _draw_integers(held: _Holding, given: dict[str, Any]) -> Tensor:
    options, low = _options(given), given.get("low") or 0
    u = held.uniform(_shape(given), {"dtype": torch.float64, "device": options.get("device")})
    dtype = options.get("dtype")
    return (low + (u * (given["high"] - low)).floor()).to(dtype if isinstance(dtype, torch.dtype) else torch.int64)


def _draw_bernoulli(held: _Holding, given: dict[str, Any]) -> Tensor:
    x = given["self"]
    share = given.get("p", x)
    u = held.uniform(x.shape, {"dtype": torch.float64, "device": x.device})
    return (u < share).to(x.dtype)


def _draw_dropout(held: _Holding, given: dict[str, Any]) -> tuple[Tensor, Tensor]:
    x, p = given["input"], given["p"]
    kept = held.uniform(x.shape, {"dtype": torch.float64, "device": x.device}) >= p
    return x * kept.to(x.dtype) * (1 / (1 - p) if p < 1 else 0.0), kept


def _draw_exponential(held: _Holding, given: dict[str, Any]) -> Tensor:
    x = given["self"]
    u = held.uniform(x.shape, {"dtype": torch.float64, "device": x.device})
    return (-torch.log1p(-u) / given["lambd"]).to(x.dtype)


_DRAWS: dict[str, Callable[[_Holding, dict[str, Any]], Any]] = {
    "rand": lambda held, given: held.uniform(given["size"], given),
    "randn": lambda held, given: held.uniform(given["size"], given, normal=True),
    "rand_like": lambda held, given: held.uniform(_shape(given), _like(given)),
    "randn_like": lambda held, given: held.uniform(_shape(given), _like(given), normal=True),
    "randint": _draw_integers,
    "randint_like": _draw_integers,
    "normal": _draw_normal,
    "normal_functional": _draw_normal,
    "uniform": lambda held, given: (
        given["from"] + (given["to"] - given["from"]) * held.uniform(_shape(given), _like(given))
    ),
    "exponential": _draw_exponential,
    "bernoulli": _draw_bernoulli,
    "native_dropout": _draw_dropout,
}
