r"""Metrics that are flat whatever their map is.

A map between spaces of equal dimension is, where its derivative is regular, a local isometry from its own pulled-back
metric to the flat space that it maps to: all curvature is zero, and geodesics are what is mapped to straight lines.
Such is the whole way of a deterministic sampler from noise to data. Only on sub-spaces of fewer dimensions, or after
features of other dimensions, does curvature say something.
"""

from __future__ import annotations

from torch import Tensor

from lsgen.geometry.embedded import EmbeddedMetric

__all__ = ["fills_flat_space"]


def fills_flat_space(im: EmbeddedMetric, z: Tensor) -> bool:
    """Return whether codes and the flat space that they are mapped to have equal dimensions, so that nothing is curved.

    Args:
        im: the metric of a map into a flat space.
        z: codes (B, d), at least one, of which the first is mapped.

    """
    return not im.normals and im.embedded(z.reshape(-1, im.dim)[:1]).shape[-1] == im.dim
