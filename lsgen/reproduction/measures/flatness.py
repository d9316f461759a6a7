"""How flat the image of a decoder is: geodesics against straight lines, and curvature against distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from lsgen.geometry import curve_length, geodesic, immersion, scalar_curvature
from lsgen.latent import paths
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["Flatness"]


@dataclass(frozen=True)
class Flatness:
    """Compares geodesics between pairs of test observations with straight lines of codes, and measures curvature.

    Keys: straightness, the mean over pairs of the length of the geodesic over that of the decoded straight line, 1
    where straight lines of codes are geodesics; curvature, the median over codes of |K| L^2, with K the mean sectional
    curvature R / d(d - 1) and L the mean geodesic distance of the pairs; converged, the share of geodesics that did.

    Attributes:
        pairs: of test observations; those whose geodesic did not converge are left out, and counted.
        kind: which immersion, see `lsgen.geometry.immersion`.
        points: of each geodesic.

    Reference: Shao, Kumar & Fletcher, "The Riemannian geometry of deep generative models" (2018),
    https://arxiv.org/abs/1711.08014.
    """

    pairs: int = 64
    kind: Literal["fisher", "euclidean", "expected"] = "euclidean"
    points: int = 17

    def __call__(self, run: TrainedRun) -> Measured:
        """Return the flatness of a run.

        Raises:
            TypeError: the latent space has no encoder.
            ValueError: no geodesic converged.

        """
        space = run.encodable_space
        im = immersion(space, self.kind)
        with torch.no_grad():
            z = space.encode(run.probe(2 * self.pairs)["x"]).mean
            start, end = z.unflatten(0, (2, -1))
            found = geodesic(im, start, end, self.points)
            straight = curve_length(im, paths.linear(start, end, 2 * self.points - 1))
            curvature = scalar_curvature(im, z).double() / (im.dim * (im.dim - 1))
        known = found.converged
        if not bool(known.any()):
            raise ValueError("expected geodesics that converge, got none")
        length = found.length[known].double()
        scaled = curvature.abs() * length.mean().square()
        values = {
            "straightness": float((length / straight[known]).mean()),
            "curvature": float(scaled.nanmedian()),
            "converged": float(known.double().mean()),
        }
        return Measured(values, {"geodesic": length, "straight": straight[known]})
