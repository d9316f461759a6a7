"""Codes along every axis and between classes, computed for a page that cannot compute them itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from lsgen.callbacks.analysis.pictures import thumbnails
from lsgen.callbacks.latent.probe_codes import means
from lsgen.explorer import Strip
from lsgen.latent import Codes, LatentSpace

__all__ = ["axis_strips", "class_examples"]

MOST_AXES = 64
SIGMAS = 3.0


@torch.no_grad()
def axis_strips(
    space: LatentSpace, codes: Codes, bounds: tuple[float, float], steps: int = 7, chunk_size: int = 256
) -> list[Strip]:
    """Return traversals of the most varied axes around the mean code, from -3 to 3 of its standard deviations.

    On a curved manifold each moves along a geodesic; there are none where codes are discrete.

    Args:
        space: what decodes, in evaluation mode.
        codes: whose mean and deviations are taken.
        bounds: values that are shown black and white.
        steps: codes of a traversal.
        chunk_size: codes decoded at a time.

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
        shown = thumbnails(means(space, path, chunk_size).cpu(), bounds)
        found.append(Strip("dimension", f"dimension {axis}", path.cpu().numpy(), shown, dimension=axis))
    return found


def class_examples(codes: Codes, column: str = "label", most: int = 8) -> Iterator[tuple[str, int]]:
    """Yield the name of each class and the row of the item nearest to the mean of its codes.

    Args:
        codes: the table.
        column: which column holds classes; there are none where it is missing, or -1 is no class.
        most: classes looked at, the first ones in order.

    """
    labels = codes.columns.get(column)
    if labels is None or labels.dtype.kind not in "iu":
        return
    for label in np.unique(labels[labels >= 0])[:most].tolist():
        rows = np.flatnonzero(labels == label)
        z = np.asarray(codes.z[rows], dtype=np.float64)
        yield str(label), int(rows[np.square(z - z.mean(0)).sum(1).argmin()])
