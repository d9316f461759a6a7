"""Geodesic distances between fixed observations, and Fréchet means of sets of them.

Distances are those of the subspace of the active axes, see `lsgen.callbacks.latent.geodesics`. The observations are
the same in every run over the same data, so that runs which differ in their seed can be compared pair by pair:
`lsgen.runs.seed_variation`. The sets are observations with the same label where the data have labels, else the first
observations.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from scipy.stats import spearmanr
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import LatentCallback, Turns
from lsgen.callbacks.latent.geodesics import unsuited
from lsgen.callbacks.latent.measures import ActiveSubspace, active_subspace, quantiles, searched_axes
from lsgen.callbacks.latent.options import Decoding, GeodesicSearch, MeanSets
from lsgen.callbacks.latent.probe_codes import encode_probes, means
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.geometry import frechet_mean, immersion
from lsgen.geometry.statistics import FrechetMean
from lsgen.latent import EncodableLatentSpace, LatentSpace

__all__ = ["LatentDistances"]


class LatentDistances(LatentCallback):
    """Measures geodesic distances between fixed observations, and Frechet means of sets of them.

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `LatentCallback`.
        kind: which immersion, see `lsgen.geometry.immersion`.
        kl_threshold: mean KL in nats above which an axis counts as active.
        observations: whose distances are measured, all pairs.
        points: points of each geodesic.
        sets: sets that are averaged.
        search: how geodesics are searched for; its tol is that of a converged mean, too.
        decoding: how codes are decoded and shown.
        turns: see `LatentCallback`.

    Raises:
        ValueError: a number is out of its range, or it would never fire.
        TypeError: the likelihood has no immersion of this kind.

    """

    family: ClassVar[str] = "geometry/distance"
    pictures: ClassVar[bool] = True
    default_steps: ClassVar[int | None] = None

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        kind: Literal["fisher", "euclidean", "expected"] = "fisher",
        kl_threshold: float = 0.1,
        observations: int = 8,
        points: int = 17,
        sets: MeanSets = MeanSets(),
        search: GeodesicSearch = GeodesicSearch(max_iterations=100),
        decoding: Decoding = Decoding(),
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(0, sets=sets.most)
        self.at_least(1, chunk_size=decoding.chunk_size)
        self.at_least(2, observations=observations, members=sets.members)
        self.at_least(3, points=points)
        search.check(self, kl_threshold)
        self.kind, self.kl_threshold, self.observations, self.points = kind, kl_threshold, observations, points
        self.sets, self.search, self.decoding = sets, search, decoding

    @property
    def wanted(self) -> int:
        """Enough observations for the mean KL, the distances and the sets."""
        return max(self.search.kl_probes, self.observations, self.sets.members)

    def check(self, pl_module: LightningModule) -> LatentSpace:
        """Refuse a latent space without the immersion asked for, and report which measurements are left out."""
        space = super().check(pl_module)
        immersion(space, self.kind)
        if reason := unsuited(space):
            rank_zero_info(f"LatentDistances leaves geodesics out: {reason}.")
        return space

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Measure the distances and the means, draw and log them."""
        known, im = encode_probes(space, probe, self.wanted), immersion(space, self.kind)
        axes = searched_axes(space, known, self.kl_threshold)
        count = min(self.observations, len(known.z))
        if unsuited(space) or count < 2 or not 0 < len(axes) <= (self.search.max_axes or len(axes)):
            return
        sub = active_subspace(im, known, axes)
        what = "observation" if isinstance(space, EncodableLatentSpace) else "code"
        self._distances(sub, known.z[:count], what, sink)
        if chosen := self._chosen(probe, len(known.z)):
            self._means(space, sub, known.z, chosen, probe, sink)

    def _distances(self, sub: ActiveSubspace, z: Tensor, what: str, sink: Sink) -> None:
        pairs = torch.combinations(torch.arange(len(z), device=z.device))
        start, end = z[pairs].unbind(1)
        found = self.search.join(sub.im, sub.inside(z), sub.inside(start), sub.inside(end), self.points)
        length = torch.where(found.converged, found.length, torch.nan)
        logged = quantiles("geometry/distance/geodesic", length)
        if not bool(found.lower_bound.isnan().all()):
            logged |= quantiles("geometry/distance/lower_bound", found.lower_bound)
        euclidean = torch.linalg.vector_norm(end - start, dim=-1)
        sink.scalars(logged | quantiles("geometry/distance/euclidean", euclidean))
        both = found.converged.cpu().numpy()
        arrays = {"pairs": pairs, "geodesic": length, "lower_bound": found.lower_bound, "euclidean": euclidean}
        arrays["residual"] = found.residual
        kept = {name: x.cpu().numpy() for name, x in arrays.items()}
        correlation = spearmanr(kept["geodesic"][both], kept["euclidean"][both]).statistic if both.sum() > 2 else np.nan
        if np.isfinite(correlation):
            sink.scalars({"geometry/distance/rank_correlation": float(correlation)})
        tables = {"geodesic, blank where not converged": kept["geodesic"], "Euclidean, of codes": kept["euclidean"]}
        drawn = {name: _symmetric(kept["pairs"], values, len(z)) for name, values in tables.items()}
        sink.image("geometry/distances", viz.matrices(drawn, f"Distances between fixed {what}s", what, what))
        sink.arrays("geometry/distances", **kept)

    def _chosen(self, probe: Probe | None, count: int) -> dict[str, Tensor]:
        """Return the indices (members,) of each set, by its name."""
        n = min(self.sets.members, count)
        if not self.sets.most or n < 2:
            return {}
        if probe is None or probe.label is None:
            return {"": torch.arange(n)}
        label = probe.label[:count].cpu()
        places = {f"label {c}  ": torch.nonzero(label == c).flatten()[:n] for c in label.unique().tolist()}
        full = [(name, place) for name, place in places.items() if len(place) == n]
        return dict(full[: self.sets.most]) or {"": torch.arange(n)}

    def _means(
        self,
        space: LatentSpace,
        sub: ActiveSubspace,
        z: Tensor,
        chosen: dict[str, Tensor],
        probe: Probe | None,
        sink: Sink,
    ) -> None:
        rows = torch.stack(list(chosen.values())).to(z.device)
        sets = sub.inside(z[rows])
        plain = sub.im.manifold.onto(sets.mean(1))
        found = frechet_mean(sub.im, sets, tol=self.search.tol, points=self.points)
        variance = torch.where(found.converged, found.variance, torch.nan)
        apart = self.search.join(sub.im, sub.inside(z), plain, found.mean, self.points)
        shift = torch.where(apart.converged, apart.length, torch.nan) / variance.sqrt()
        logged = quantiles("geometry/frechet/variance", variance) | quantiles("geometry/frechet/shift", shift)
        sink.scalars(logged)
        x = probe.x[rows] if probe is not None and isinstance(space, EncodableLatentSpace) else None
        both = torch.stack([sub.whole(plain), sub.whole(found.mean)], 1)
        sink.image("geometry/frechet_mean", self._shown(space, both, x, found, list(chosen)))

    def _shown(
        self, space: LatentSpace, z: Tensor, x: Tensor | None, found: FrechetMean, names: list[str]
    ) -> viz.Pixels:
        decoded = means(space, z, self.decoding.chunk_size)
        draw = drawing_of(space, decoded if x is None else x, self.decoding.bounds)
        images = draw(decoded)
        columns = ["Euclidean", "Fréchet"]
        if x is not None:
            images = np.concatenate([images, draw(x)], axis=1)
            columns += ["inputs", *[""] * (x.shape[1] - 1)]
        rows = [
            f"{name}variance {variance:.4g}" if converged else f"{name}not converged"
            for name, variance, converged in zip(names, found.variance.tolist(), found.converged.tolist(), strict=True)
        ]
        return viz.grid(images, rows, columns, "Means of codes, decoded", gaps=[2])


def _symmetric(pairs: Any, values: Any, n: int) -> Any:
    """Return a symmetric matrix (n, n) with zeros on its diagonal."""
    table = np.zeros((n, n))
    table[pairs[:, 0], pairs[:, 1]] = table[pairs[:, 1], pairs[:, 0]] = values
    return table
