"""Generative models and the geometry of the latent space they learn."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lsgen.version import __version__

__all__ = ["__version__", "inspect", "load", "wrap"]

if TYPE_CHECKING:
    from lsgen.cli.inspecting import inspect
    from lsgen.cli.loading import load
    from lsgen.latent.wrapping import wrap

_HOMES = {"inspect": "lsgen.cli.inspecting", "load": "lsgen.cli.loading", "wrap": "lsgen.latent.wrapping"}


def __getattr__(name: str) -> Any:
    """Import a function when it is first asked for, so that `import lsgen` stays instant."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lsgen' has no attribute {name!r}")
