"""The codes of a probe set, the activity of every axis, and decoding in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen import viz
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import Drawing, typical
from lsgen.latent import Codes, EncodableLatentSpace, LatentSpace, encode_observations
from lsgen.latent.manifolds.description import lies_on
from lsgen.likelihoods import Multinomial
from lsgen.models.divergence import kl_per_dimension
from lsgen.viz import Pixels

__all__ = [
    "ProbeCodes",
    "as_means",
    "axis_name",
    "encode_probes",
    "in_sigmas",
    "interpolated",
    "means",
    "probe_table",
]


@dataclass(frozen=True)
class ProbeCodes:
    """The codes of a probe set, their covariance and their KL.

    Attributes:
        z: posterior means of the probes, or draws from the prior where there is no encoder, (N, d).
        draws: one sample from each posterior, or the same draws from the prior, (N, d).
        covariance: of the aggregate posterior of the probes, or of the prior, (d, d).
        kl: KL(q(z|x) || p(z)) per axis in nats, averaged over the probes, (d,); None where it has no closed
            form or there is no encoder. That of a lower level is given the levels above.

    """

    z: Tensor
    draws: Tensor
    covariance: Tensor
    kl: Tensor | None

    @property
    def order(self) -> Tensor:
        """Axes (d,), the most active first; in natural order where the KL is not known."""
        if self.kl is None:
            return torch.arange(self.z.shape[-1], device=self.z.device)
        return torch.argsort(self.kl.nan_to_num(-1.0), descending=True, stable=True)


def encode_probes(space: LatentSpace, probe: Probe | None, n: int) -> ProbeCodes:
    """Encode the probes, or draw n codes from the prior where the space has no encoder.

    Codes that a posterior puts beyond the walls of bounded codes are stopped there.
    """
    if not isinstance(space, EncodableLatentSpace):
        z = space.prior().sample((n,))
        return ProbeCodes(z, z, torch.diag(space.prior().variance), None)
    if probe is None:
        raise ValueError("expected observations to encode, got none")
    q = space.encode(probe.x)
    z, draws = (space.manifold.shift(code, torch.zeros_like(code)) for code in (q.mean, q.sample()))
    return ProbeCodes(z, draws, _covariance(q), _mean_kl(q, space.prior()))


def probe_table(space: LatentSpace, probe: Probe | None, known: ProbeCodes) -> Codes:
    """Return the codes of the probes as a table, with their standard deviations and labels where these are known.

    Codes that are not finite or not on the manifold, as a model that diverges has them, are left out; ids are the
    numbers of the probes.
    """
    rows = lies_on(space.manifold, known.z).nonzero().squeeze(1)
    if probe is None or not isinstance(space, EncodableLatentSpace) or not len(rows):
        return Codes(known.z[rows], rows, space.manifold)
    batch = {"x": probe.x[rows]} | ({} if probe.label is None else {"label": probe.label[rows]})
    return encode_observations(space, [batch], rows)


def means(space: LatentSpace, z: Tensor, chunk_size: int) -> Tensor:
    """Return what stands for p(x|z), (B, *shape), at codes (B, d), decoding `chunk_size` at a time; see `typical`."""
    parts = [typical(space.likelihood, space.decode(part)) for part in z.reshape(-1, space.dim).split(chunk_size)]
    return torch.cat(parts).unflatten(0, z.shape[:-1])


def as_means(space: LatentSpace, probe: Probe | None) -> Probe | None:
    """Return observations in the units of the means that codes are decoded to: counts for the trials of these."""
    if probe is None or not isinstance(space.likelihood, Multinomial):
        return probe
    total = probe.x.flatten(1).sum(1).clamp(min=1).reshape(-1, *[1] * (probe.x.ndim - 1))
    return replace(probe, x=space.likelihood.trials * probe.x / total)


def interpolated(draw: Drawing, x: Tensor, ends: Tensor | None, title: str, rows: Sequence[str] | None) -> Pixels:
    """Return a picture of decoded paths, one row each.

    Args:
        draw: how observations are drawn.
        x: what the codes of the paths are decoded to, (P, N, *shape).
        ends: the observations (P, 2, *shape) that each path joins, shown beside it; None where there are none.
        title: a line above everything.
        rows: a label for each path.

    """
    images = draw(x)
    if ends is None:
        return viz.grid(images, rows, title=title)
    beside = draw(ends)
    images = np.concatenate([beside[:, :1], images, beside[:, 1:]], axis=1)
    columns = ["input", *[""] * x.shape[1], "input"]
    return viz.grid(images, rows, columns, title, gaps=[1, x.shape[1] + 1])


def axis_name(known: ProbeCodes, axis: int, unit: bool = True) -> str:
    """Return the label of an axis, with its KL where that is known."""
    if known.kl is None:
        return f"z{axis}"
    kl = float(known.kl[axis])
    return f"z{axis}  KL {kl:.2f} nats" if unit else f"z{axis}  {kl:.1f}"


def in_sigmas(value: float) -> str:
    """Return a number of standard deviations in words."""
    return f"{value:+.2g}σ".replace("-", "−") if abs(value) > 1e-6 else "0"


def _covariance(q: Distribution) -> Tensor:
    """Return the covariance of the mixture of all q(z|x): of their means and, averaged, within each.

    A family without a variance in closed form has it estimated from 16 draws from each.
    """
    try:
        within = torch.diag(q.variance.mean(0))
    except NotImplementedError:
        draws = q.sample((16,)).flatten(0, 1)
        return torch.cov(draws.mT, correction=0).reshape(draws.shape[-1], -1)
    centred = q.mean - q.mean.mean(0)
    return centred.mT @ centred / len(centred) + within


def _mean_kl(q: Distribution, p: Distribution) -> Tensor | None:
    try:
        return kl_per_dimension(q, p).mean(0)
    except (TypeError, NotImplementedError):
        return None
