"""Checks of the arguments of geometry. A refusal is one sentence that says what was expected and what was given."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from lsgen.geometry.compat import has_values, tensor_tables
from lsgen.geometry.dtypes import dtype_name
from lsgen.geometry.jets import modules_of, once
from lsgen.latent import Euclidean, Manifold
from lsgen.latent.manifolds.supports import bounded

__all__ = [
    "check_codes",
    "check_map",
    "check_moves",
    "check_on_manifold",
    "check_signature",
    "check_tangent",
    "check_vectors",
]


def check_map(fn: Any, dim: Any) -> None:
    """Refuse a map that cannot be called, or a latent dimension below 1."""
    if not callable(fn):
        raise TypeError(f"expected a map z -> f(z), got {type(fn).__name__}")
    if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
        raise ValueError(f"expected a latent dimension of at least 1, got {dim!r}")


def check_signature(signature: Tensor | Sequence[float]) -> Tensor:
    """Return the signature as a tensor (m,) of +1 and -1."""
    signs = torch.as_tensor(signature, dtype=torch.get_default_dtype())
    if signs.ndim != 1 or not bool((signs.abs() == 1).all()):
        raise ValueError(
            f"expected a signature (m,) of values +1 and -1, got shape {tuple(signs.shape)} with values "
            f"{sorted(set(signs.flatten().tolist()))[:5]}"
        )
    return signs


def check_codes(fn: Callable[[Tensor], Tensor], dim: int, z: Tensor) -> Tensor:
    """Return codes (B, d) as (N, d), or refuse them.

    Raises:
        TypeError: z is no tensor, neither float32 nor float64, or of another dtype than the map's weights.
        ValueError: z has another shape, is not finite, is on another device, or a module of the map is in train mode.

    """
    if not isinstance(z, Tensor):
        raise TypeError(f"expected codes as a tensor, got {type(z).__name__}")
    if z.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"expected codes of dtype float32 or float64, got {dtype_name(z.dtype)}")
    if z.ndim < 1 or z.shape[-1] != dim:
        raise ValueError(f"expected codes of shape (B, {dim}), got {tuple(z.shape)}")
    if has_values(z) and not isfinite(z.sum().item()) and not bool(torch.isfinite(z).all()):
        bad = int((~torch.isfinite(z)).any(-1).sum())
        raise ValueError(f"expected finite codes, got {bad} of {z[..., 0].numel()} that are not")
    check_modules(fn, z)
    return z.reshape(-1, dim)


def check_moves(fn: Callable[[Tensor], Tensor], walls: bool = False, curved: bool = False) -> None:
    """Refuse a map of a latent space whose codes a solver cannot move.

    Args:
        fn: the map.
        walls: whether the solver knows walls of bounded codes.
        curved: whether the solver knows manifolds such as spheres and their products.

    Raises:
        TypeError: steps in coordinates would leave the manifold of the codes.

    """
    manifold = getattr(fn, "manifold", None)
    if not isinstance(manifold, Manifold):
        return
    if curved and not bounded(manifold):
        return
    if not (isinstance(manifold, Euclidean) if walls else manifold == Euclidean()):
        raise TypeError(f"expected codes that fill flat space, got those of {manifold}, which steps of a solver leave")


def check_on_manifold(manifold: Manifold, z: Tensor) -> None:
    """Refuse codes (N, d) of which some do not lie on their manifold.

    Raises:
        ValueError: some do not.

    """
    if not has_values(z):
        return
    good = manifold.contains(z) & manifold.conformal_factor(z).isfinite().all(-1)
    if not bool(good.all()):
        raise ValueError(f"expected codes on {manifold}, got {int((~good).sum())} of {len(z)} that are not")


def check_tangent(manifold: Manifold, z: Tensor, v: Tensor) -> None:
    """Refuse vectors (N, d) at codes (N, d) of which some are not tangent to the manifold.

    Raises:
        ValueError: some are not.

    """
    if not has_values(v):
        return
    across = (v - manifold.tangent(z, v)).norm(dim=-1)
    bad = across > 10 * torch.finfo(v.dtype).eps ** 0.5 * v.norm(dim=-1)
    if bool(bad.any()):
        raise ValueError(f"expected tangent vectors of {manifold}, got {int(bad.sum())} of {len(v)} that leave it")


def check_vectors(name: str, v: Tensor, z: Tensor) -> Tensor:
    """Return tangent vectors (B, d) at codes (B, d) as (N, d), or refuse them."""
    if not isinstance(v, Tensor) or v.dtype != z.dtype or v.shape != z.shape:
        got = f"{dtype_name(v.dtype)} {tuple(v.shape)}" if isinstance(v, Tensor) else type(v).__name__
        raise ValueError(
            f"expected {name} of dtype {dtype_name(z.dtype)} and shape {tuple(z.shape)} like the codes, got {got}"
        )
    if has_values(v) and not bool(torch.isfinite(v).all()):
        raise ValueError(f"expected finite {name}, got values that are not")
    return v.reshape(-1, z.shape[-1])


@once
def check_modules(fn: Callable[[Tensor], Tensor], z: Tensor) -> None:
    """Refuse modules in train mode whose results differ from eval mode, and weights of another dtype or device.

    A map that is `widened` takes float64 whatever its weights are.
    """
    any_dtype = getattr(fn, "widened", False)
    for module in modules_of(fn):
        kind: Any = type(module)
        if module.training and _depends_on_mode(kind):
            raise ValueError(f"expected a map in eval mode, got {kind.__name__} in train mode: call .eval() first")
        for weight in (w for w in tensor_tables(module)[0].values() if w is not None):
            if weight.is_floating_point() and weight.dtype != z.dtype and not any_dtype:
                raise TypeError(
                    f"expected codes of dtype {dtype_name(weight.dtype)} like the weights, got {dtype_name(z.dtype)}"
                )
            if weight.device != z.device:
                raise ValueError(f"expected codes on {weight.device} like the weights, got {z.device}")


@cache
def _depends_on_mode(kind: Hashable) -> bool:
    """Whether the code of a module class reads the attribute `training`."""
    assert isinstance(kind, type)
    for base in kind.__mro__:
        if base is nn.Module:
            break
        methods = (m for m in vars(base).values() if hasattr(m, "__code__"))
        if any("training" in m.__code__.co_names for m in methods):
            return True
    return False
