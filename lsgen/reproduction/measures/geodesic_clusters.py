"""K-means of codes under the metric and in the coordinates, against the classes of their observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from lsgen.geometry import distance, immersion
from lsgen.geometry.statistics import f_measure, graph_distances, kmedoids
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["GeodesicClusters"]


@dataclass(frozen=True)
class GeodesicClusters:
    """Measures how well clusters of posterior means agree with classes, by geodesic and by Euclidean distances.

    Both are clusters around codes (`kmedoids`), with one seeding; geodesic distances are those of the graph of nearest
    neighbours. Keys: geodesic and euclidean, macro-F1 of the best assignment of clusters to classes; geodesic_pairs and
    euclidean_pairs, F over pairs of codes; graph_excess, mean of graph distance over geodesic distance of some pairs,
    less 1; converged, the share of these geodesics that did.

    Attributes:
        n: test observations, no more than there are.
        kind: which immersion, see `lsgen.geometry.immersion`.
        neighbours: of each code in the graph.
        restarts: of each clustering.
        checked: pairs of which the geodesic is found too.

    Reference: Arvanitidis, Hansen & Hauberg, "Latent space oddity" (2018), section 5.1.
    """

    n: int = 2000
    kind: Literal["fisher", "euclidean", "expected"] = "expected"
    neighbours: int = 10
    restarts: int = 8
    checked: int = 32

    def __call__(self, run: TrainedRun) -> Measured:
        """Return the agreement of a run, whose data have labels.

        Raises:
            TypeError: the latent space has no encoder.
            ValueError: the data have no labels.

        """
        space = run.encodable_space
        batch = run.probe(self.n)
        if "label" not in batch:
            raise ValueError("expected labelled data, got none")
        classes, im = batch["label"].cpu(), immersion(space, self.kind)
        with torch.no_grad():
            z = space.encode(batch["x"]).mean
        by_graph = graph_distances(im, z, self.neighbours).cpu()
        values: dict[str, float] = {}
        for name, distances in (("geodesic", by_graph), ("euclidean", torch.cdist(z.double(), z.double()).cpu())):
            generator = torch.Generator().manual_seed(0)
            found = kmedoids(distances, len(classes.unique()), restarts=self.restarts, generator=generator)
            agreement = f_measure(found.labels, classes)
            values |= {name: agreement.macro, f"{name}_pairs": agreement.pairs}
        start, end = torch.arange(2 * min(self.checked, len(z) // 2)).unflatten(0, (2, -1))
        with torch.no_grad():
            exact = distance(im, z[start], z[end], points=17).double().cpu()
        ratio = by_graph[start, end] / exact
        values |= {
            "graph_excess": float(ratio.nanmean()) - 1,
            "converged": float(torch.isfinite(exact).double().mean()),
        }
        return Measured(values)
