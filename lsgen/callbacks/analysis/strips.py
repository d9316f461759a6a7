"""Codes along every axis, decoded for a page that cannot decode them itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lsgen.callbacks.analysis.pictures import pictures_of
from lsgen.callbacks.latent.probe_codes import means
from lsgen.explorer import Strip
from lsgen.latent import Codes, LatentSpace

__all__ = ["axis_strips"]

MOST_AXES = 64
SIGMAS = 3.0


@torch.no_grad()
def axis_strips(
    space: LatentSpace,
    codes: Codes,
    bounds: tuple[float, float],
    steps: int = 7,
    chunk_size: int = 256,
    known: Tensor | None = None,
) -> list[Strip]:
    """Return traversals of the most varied axes around the mean code, from -3 to 3 of its standard deviations.

    On a curved manifold each moves along a geodesic; there are none where codes are discrete, or decoded to no images.

    Args:
        space: what decodes, in evaluation mode.
        codes: whose mean and deviations are taken.
        bounds: values that are shown black and white.
        steps: codes of a traversal.
        chunk_size: codes decoded at a time.
        known: observations that say which values are shown, of several modalities; see `pictures_of`.

    """
    if space.manifold.choices:
        return []
    like = next(iter(space.parameters()), torch.zeros(()))
    z = codes.tensor(like.device).to(like.dtype)
    mean, deviation = z.mean(0), z.std(0, correction=0)
    centre = space.manifold.shift(mean, torch.zeros_like(mean))
    levels = torch.linspace(-SIGMAS, SIGMAS, steps, device=z.device, dtype=z.dtype)
    order = np.sort(np.argsort(-deviation.cpu().numpy(), kind="stable")[:MOST_AXES])
    found = []
    for axis in order.tolist():
        values = mean[axis] + levels * deviation[axis]
        path = space.manifold.traversal(centre[None], torch.tensor([axis], device=z.device), values)[0, 0]
        if not bool(path.isfinite().all()):
            continue
        shown = pictures_of(space, means(space, path, chunk_size).cpu(), bounds, known)
        if shown is not None:
            found.append(Strip(axis, path.cpu().numpy(), shown))
    return found
