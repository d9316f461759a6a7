"""Shape mismatch between a network and its data, in one sentence instead of PyTorch's traceback."""

from __future__ import annotations

import re
import traceback
from typing import Any

from lsgen.cli.refusals.run_objects import RunObjects

__all__ = ["mismatched_layer"]

_ABOUT_SHAPES = re.compile(r"\b(shapes?|sizes?|channels?|broadcast|dimensions?|mat1)\b", re.IGNORECASE)


def mismatched_layer(error: BaseException, objects: RunObjects | None) -> str | None:
    """Return a sentence that names the layer which got a tensor of another shape; None if no layer did.

    Args:
        error: the exception that ended the run before its first step.
        objects: the objects of the run; None if none were built yet.

    """
    if (
        objects is None
        or type(error) not in (RuntimeError, ValueError, IndexError)
        or not _ABOUT_SHAPES.search(str(error))
    ):
        return None
    names = {id(module): name for name, module in objects.model.named_modules() if name}
    frames = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside: list[Any] = [layer for layer in frames if id(layer) in names]
    if not inside:
        return None
    layer, said = inside[-1], str(error).splitlines()[0]
    return (
        f"the networks do not fit data of shape {_shape(objects.data)}: model.{names[id(layer)]}, a "
        f"{type(layer).__name__}, was given a tensor of another shape than it expects ({said})"
    )


def _shape(data: Any) -> str:
    return str(tuple(shape)) if (shape := getattr(data, "shape", None)) is not None else "unknown"
