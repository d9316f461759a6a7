"""What the decoder of a latent plane makes of codes that fill the unit square evenly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from lsgen import viz
from lsgen.latent import LatentSpace
from lsgen.reproduction.drawing import Results
from lsgen.runs import RunError

__all__ = ["DecodedManifold"]


@dataclass(frozen=True)
class DecodedManifold:
    """Draws decoded means on a square grid, whose places are carried to codes by the inverse distribution of the prior.

    The places are the middles of points x points cells of the unit square; the codes at them are the quantiles of each
    coordinate of a standard normal prior.

    Attributes:
        arm: whose first run is drawn; its latent dimension must be 2.
        points: images in a row.

    Raises:
        RunError: the arm has no finished run, or another dimension.

    Reference: Kingma & Welling (2014), figure 4, https://arxiv.org/abs/1312.6114.
    """

    arm: str
    points: int = 20

    def __call__(self, results: Results) -> Figure:
        """Return the figure."""
        space = results.runs(self.arm)[0].model.latent_space
        if not isinstance(space, LatentSpace) or space.dim != 2:
            raise RunError(f"{self.arm}: expected a latent space of 2 dimensions with a decoder, got {space}")
        levels = space.prior.levels(torch.special.ndtri((torch.arange(self.points) + 0.5) / self.points))
        first, second = torch.meshgrid(levels[:, 0], levels[:, 1].flip(0), indexing="xy")
        with torch.no_grad():
            x = space.decode(torch.stack([first, second], -1)).mean
        pixels = viz.to_pixels(x, len(space.likelihood.shape), viz.value_range(x))
        rows, columns, height, width, _ = pixels.shape
        picture = pixels.swapaxes(1, 2).reshape(rows * height, columns * width, 3)
        with viz.publication(3.25, 3.25 * rows * height / (columns * width)) as (figure, (ax,)):
            ax.imshow(picture, extent=(0, 1, 0, 1), aspect="auto", interpolation="none")
            ax.set(xlabel=r"$\Phi(z_1)$", ylabel=r"$\Phi(z_2)$", xticks=[0, 1], yticks=[0, 1])
            ax.grid(visible=False)
            return figure
