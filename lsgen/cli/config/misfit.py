"""Say in one sentence that a network does not fit its data, where PyTorch says it with a page of frames."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsgen.cli.config.build import Parts

__all__ = ["misfit"]

_ABOUT_SHAPES = re.compile(r"\b(shapes?|sizes?|channels?|broadcast|dimensions?|mat1)\b", re.IGNORECASE)


def misfit(error: BaseException, parts: Parts | None) -> str | None:
    """Return a sentence that names the layer which refused a tensor for its shape; None where none did.

    Args:
        error: what ended the run before its first step.
        parts: the run's objects, as far as they were made.

    """
    if (
        parts is None
        or type(error) not in (RuntimeError, ValueError, IndexError)
        or not _ABOUT_SHAPES.search(str(error))
    ):
        return None
    names = {id(module): name for name, module in parts.model.named_modules() if name}
    frames = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside: list[Any] = [layer for layer in frames if id(layer) in names]
    if not inside:
        return None
    layer, said = inside[-1], str(error).splitlines()[0]
    return (
        f"the networks do not fit data of shape {_shape(parts.data)}: model.{names[id(layer)]}, a "
        f"{type(layer).__name__}, was given a tensor of another shape than it expects ({said})"
    )


def _shape(data: Any) -> str:
    return str(tuple(shape)) if (shape := getattr(data, "shape", None)) is not None else "unknown"
