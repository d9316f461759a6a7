"""Generative models and the geometry of the latent space they learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsgen.version import __version__

__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from lsgen.cli.loading import load


def __getattr__(name: str) -> Any:
    """Import `load` when it is first asked for, so that `import lsgen` stays instant."""
    if name == "load":
        from lsgen.cli.loading import load

        return load
    raise AttributeError(f"module 'lsgen' has no attribute {name!r}")
