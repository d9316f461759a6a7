"""Descriptions of manifolds that a file can hold, and a test of whether points lie on one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lsgen.latent.manifolds.manifold import Manifold
from lsgen.latent.manifolds.product_manifolds import ProductManifold
from lsgen.latent.manifolds.supports import Simplex

__all__ = ["describe", "lies_on", "manifold_from"]


def describe(manifold: Manifold) -> dict[str, Any]:
    """Return the type of a manifold and the arguments of its constructor, as JSON can hold them."""
    return {"type": type(manifold).__name__, "arguments": [_plain(value) for value in manifold.arguments()]}


def manifold_from(description: Any) -> Manifold:
    """Return the manifold with a description made by `describe`.

    Raises:
        ValueError: there is no such manifold, or it has other arguments.

    """
    if not isinstance(description, dict) or not isinstance(description.get("arguments"), list):
        raise ValueError(f"expected the type and the arguments of a manifold, got {description!r:.80}")
    name = description.get("type")
    kinds = {kind.__name__: kind for kind in _kinds(Manifold)}  # type: ignore[type-abstract]
    if name not in kinds:
        raise ValueError(f"expected a manifold out of {', '.join(sorted(kinds))}, got {name!r:.80}")
    try:
        return kinds[name](*(_made(value) for value in description["arguments"]))
    except (TypeError, AttributeError) as error:
        raise ValueError(f"expected the arguments of a {name}, got {description['arguments']!r:.80}") from error


def lies_on(manifold: Manifold, z: Tensor) -> Tensor:
    """Return whether points (N, d) lie on a manifold up to rounding, (N,).

    Beside its codes these are, for a simplex, the mixtures of its corners: probability vectors.

    Raises:
        ValueError: the manifold has another number of coordinates.

    """
    if manifold.coordinates not in (None, z.shape[-1]):
        raise ValueError(f"expected codes of {manifold.coordinates} coordinates on {manifold}, got {z.shape[-1]}")
    if isinstance(manifold, ProductManifold):
        parts = zip(manifold.parts, z.split(manifold.sizes, -1), strict=True)
        return torch.stack([lies_on(part, piece) for part, piece in parts]).all(0)
    if isinstance(manifold, Simplex):
        slack = torch.finfo(z.dtype).eps ** 0.5
        return (z >= -slack).all(-1) & ((z.sum(-1) - 1).abs() <= slack * z.shape[-1] ** 0.5)
    return manifold.contains(z)


def _kinds(kind: type[Manifold]) -> Iterator[type[Manifold]]:
    for derived in kind.__subclasses__():
        if not getattr(derived, "__abstractmethods__", None):
            yield derived
        yield from _kinds(derived)


def _plain(value: Any) -> Any:
    if isinstance(value, Manifold):
        return describe(value)
    if isinstance(value, Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _made(value: Any) -> Any:
    if isinstance(value, dict) and "tensor" in value:
        return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"]))
    if isinstance(value, dict):
        return manifold_from(value)
    return tuple(_made(item) for item in value) if isinstance(value, list) else value
