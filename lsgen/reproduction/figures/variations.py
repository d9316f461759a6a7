"""Histograms of the coefficient of variation of distances over retrainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from lsgen import viz
from lsgen.reproduction.drawing import Results
from lsgen.viz.style import SERIES

__all__ = ["Variations"]


@dataclass(frozen=True)
class Variations:
    """Draws how many pairs have which coefficient of variation, of geodesic and of Euclidean distances.

    Attributes:
        comparisons: names of `RetrainedDistances` in target.yaml, a panel each.
        bins: of each histogram.

    Reference: Syrota et al., "Decoder ensembling for learned latent geometries" (2024), the histograms of retrainings.
    """

    comparisons: Sequence[str]
    bins: int = 16

    def __call__(self, results: Results) -> Figure:
        """Return the figure.

        Raises:
            ValueError: a comparison has not been made.

        """
        with viz.publication(3.2 * len(self.comparisons), 2.4, 1, len(self.comparisons)) as (figure, axes):
            for ax, name in zip(axes, self.comparisons, strict=True):
                kinds = {}
                for kind in ("geodesic", "euclidean"):
                    found = results.arrays(None, f"{name}/{kind}")
                    if not found:
                        raise ValueError(f"expected the distances of {name}, got none")
                    kinds[kind] = found[None].std(0, ddof=1) / found[None].mean(0)
                edges = np.histogram_bin_edges(np.concatenate(list(kinds.values())), self.bins).tolist()
                for kind, colour in zip(kinds, SERIES, strict=False):
                    ax.hist(kinds[kind], edges, histtype="step", color=colour, linewidth=1.4, label=kind)
                ax.set(title=name.replace("_", " "), xlabel="coefficient of variation", ylabel="pairs")
                ax.legend()
            return figure
