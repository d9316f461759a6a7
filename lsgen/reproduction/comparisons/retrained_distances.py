"""Distances between the same observations under models that differ in their seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lsgen.geometry import distance, immersion
from lsgen.reproduction.runs import Measured, TrainedRun
from lsgen.reproduction.significance import STATISTICS

__all__ = ["RetrainedDistances"]


@dataclass(frozen=True)
class RetrainedDistances:
    """Compares geodesic and Euclidean distances of the codes of fixed pairs of test observations between retrainings.

    Pairs whose geodesic did not converge under every model are left out. Keys: geodesic and euclidean, the mean over
    pairs of the coefficient of variation over models, s / m with n - 1; their arrays are the distances (models, pairs).
    converged is the share of geodesics that did, pairs how many pairs are left.

    Attributes:
        pairs: of test observations, the same for every model.
        kind: which immersion, see `lsgen.geometry.immersion`.
        points: of each geodesic.
        starts: of each geodesic, see `lsgen.geometry.geodesic`.

    Reference: Syrota et al., "Decoder ensembling for learned latent geometries" (2024),
    https://arxiv.org/abs/2408.07507.
    """

    pairs: int = 64
    kind: Literal["fisher", "euclidean", "expected"] = "euclidean"
    points: int = 17
    starts: int = 1

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the variation over the runs of one arm.

        Raises:
            TypeError: a latent space has no encoder.
            ValueError: there is not one arm with two runs or more, or no pair is left.

        """
        (models,) = runs.values() if len(runs) == 1 else ((),)
        if len(models) < 2:
            raise ValueError(
                f"expected one arm with at least 2 runs, got { {arm: len(of) for arm, of in runs.items()} }"
            )
        geodesic, euclidean = (torch.stack(kind) for kind in zip(*map(self._distances, models), strict=True))
        known = torch.isfinite(geodesic)
        everywhere = known.all(0)
        if not bool(everywhere.any()):
            raise ValueError("expected a pair whose geodesic converges under every model, got none")
        arrays = {"geodesic": geodesic[:, everywhere].numpy(), "euclidean": euclidean[:, everywhere].numpy()}
        variation = STATISTICS["coefficient_of_variation"]
        values = {name: float(variation(x)) for name, x in arrays.items()}
        counts = {"converged": float(known.double().mean()), "pairs": float(everywhere.sum())}
        return Measured(values | counts, arrays)

    def _distances(self, run: TrainedRun) -> tuple[Tensor, Tensor]:
        """Return geodesic and Euclidean distances (pairs,) in double precision."""
        space = run.encodable_space
        with torch.no_grad():
            z = space.encode(run.probe(2 * self.pairs)["x"]).mean
            start, end = z.unflatten(0, (2, -1))
            geodesic = distance(immersion(space, self.kind), start, end, self.points, starts=self.starts)
        return geodesic.double().cpu(), torch.linalg.vector_norm(end - start, dim=-1).double().cpu()
