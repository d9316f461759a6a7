"""Mutual information and total correlation of the aggregate posterior q(z) of held-out observations.

Where `aggregate/own_share` is near 1, n is too small for the other values. See `lsgen.metrics.AggregatePosterior` for
the bounds, and `lsgen.latent.aggregate` for how far estimates from minibatches, which train a model, are from these.
"""

from __future__ import annotations

import warnings
from typing import ClassVar

from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch.distributions import Distribution, Independent, Normal

from lsgen.callbacks.base import LatentCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import EncodableLatentSpace, LatentSpace
from lsgen.metrics import AggregatePosterior

__all__ = ["AggregateMetrics", "factorised_normal"]

PARTS = (
    "mutual_information",
    "total_correlation",
    "total_correlation_normal",
    "dimension_wise_kl",
    "marginal_kl",
    "own_share",
)


def factorised_normal(*distributions: Distribution) -> bool:
    """Return whether every distribution over codes is normal with independent dimensions."""
    return all(isinstance(p, Independent) and isinstance(p.base_dist, Normal) for p in distributions)


class AggregateMetrics(LatentCallback):
    """Logs mutual information and total correlation of the aggregate posterior of held-out observations.

    It measures where posteriors and prior are normal with independent dimensions; elsewhere it warns once.

    Args:
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: observations whose posteriors make up q(z), all of the validation set where that has fewer.
        codes: how many of them give a code at which densities are compared.
        chunk_size: observations encoded at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is not positive.
        TypeError: when training starts, the latent space has no encoder.

    """

    family: ClassVar[str] = "aggregate"
    needs_encoder = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 5000,
        codes: int = 1000,
        chunk_size: int = 500,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, codes=codes, chunk_size=chunk_size)
        self.n, self.codes, self.chunk_size = n, codes, chunk_size
        self._warned = False

    @property
    def wanted(self) -> int:
        """The observations that are encoded."""
        return self.n

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Encode the observations, measure and log."""
        assert isinstance(space, EncodableLatentSpace)
        assert probe is not None
        prior = space.prior()
        metric = AggregatePosterior(prior, self.codes).to(probe.x.device)
        for x in probe.x.split(self.chunk_size):
            q = space.encode(x)
            if not factorised_normal(q, prior):
                self._warn(
                    f"AggregateMetrics expected a normal prior and posteriors, got {prior} and {q}: not measured"
                )
                return
            metric.update(q)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            parts = metric.compute()
        for warning in said:
            self._warn(str(warning.message))
        sink.scalars({f"{self.family}/{name}": float(parts[name]) for name in PARTS})

    def _warn(self, message: str) -> None:
        """Say something once, not at every turn."""
        if not self._warned:
            rank_zero_warn(message)
        self._warned = True
