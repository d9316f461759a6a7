"""Decoded images along geodesics and along straight lines of codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from matplotlib.figure import Figure

from lsgen import viz
from lsgen.geometry import geodesic, immersion
from lsgen.latent import paths
from lsgen.reproduction.drawing import Results

__all__ = ["Interpolations"]


@dataclass(frozen=True)
class Interpolations:
    """Draws means of the decoder along the straight line of codes and along the geodesic between two observations.

    Two rows a pair, the straight line above; one whose geodesic did not converge says so.

    Attributes:
        arm: whose first run is drawn.
        kind: which immersion, see `lsgen.geometry.immersion`.
        pairs: of test observations.
        steps: images in a row.

    Reference: Arvanitidis, Hansen & Hauberg, "Latent space oddity" (2018), figure 7.
    """

    arm: str
    kind: Literal["fisher", "euclidean", "expected"] = "expected"
    pairs: int = 3
    steps: int = 9

    def __call__(self, results: Results) -> Figure:
        """Return the figure.

        Raises:
            RunError: the arm has no finished run.
            TypeError: the latent space has no encoder.

        """
        run = results.runs(self.arm)[0]
        space = run.encodable_space
        with torch.no_grad():
            start, end = space.encode(run.probe(2 * self.pairs)["x"]).mean.unflatten(0, (2, -1))
            found = geodesic(immersion(space, self.kind), start, end, 4 * (self.steps - 1) + 1)
            rows = torch.stack([paths.linear(start, end, self.steps), found.points[:, ::4]], 1)
            images = space.decode(rows.flatten(0, -2)).mean
        shown = images.reshape(2 * self.pairs, self.steps, *images.shape[1:]).cpu().numpy()
        known = found.converged.tolist()
        labels = [name for one in known for name in ("straight", "geodesic" if one else "not converged")]
        with viz.publication(6.5, 0.72 * len(labels), len(labels), self.steps) as (figure, axes):
            for place, ax in enumerate(axes):
                row, column = divmod(place, self.steps)
                ax.imshow(shown[row, column, 0], cmap="gray_r", vmin=0, vmax=1)
                ax.set(xticks=[], yticks=[])
                if column == 0:
                    ax.set_ylabel(labels[row], rotation=0, ha="right", va="center")
            return figure
