r"""The Fisher metric of an exponential family whose sufficient statistics are known, as their covariance.

    g(t) = Cov_t[f(x)],    d log Z(t) = E_t[f(x)]

at every node by itself, of relative error about sqrt(2 / n) with n samples there: the floor that others are held
against. The field between the nodes is smooth, and of less error, since it averages over nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lsgen.models.exponential.family import FisherEstimator, MetricFamily
from lsgen.models.exponential.metric_field import CholeskyField
from lsgen.models.exponential.samples import FamilySamples

__all__ = ["StatisticsCovariance"]


@dataclass(frozen=True)
class StatisticsCovariance(FisherEstimator):
    """The covariance of known sufficient statistics.

    Attributes:
        statistics: samples (N, *shape) -> f (N, d), for natural coordinates in the same order.

    """

    statistics: Callable[[Tensor], Tensor]

    def fit(self, samples: FamilySamples) -> MetricFamily:
        """Return the covariances at the nodes, and a smooth field through them.

        Raises:
            ValueError: statistics have another shape, a node has too few samples, or they are dependent there.

        """
        f = self.statistics(samples.x).double()
        if tuple(f.shape) != (len(samples.x), samples.dim):
            raise ValueError(f"expected statistics ({len(samples.x)}, {samples.dim}), got {tuple(f.shape)}")
        if int(samples.counts.min()) <= samples.dim:
            raise ValueError(f"expected more than {samples.dim} samples at every node, got {int(samples.counts.min())}")
        centred = f - samples.mean(f)[samples.node]
        products = samples.mean(centred[:, :, None] * centred[:, None, :])
        g = products * (samples.counts / (samples.counts - 1))[:, None, None]
        field = CholeskyField(samples, samples.nodes, g)
        return MetricFamily(samples.low, samples.high, field, samples.nodes, g)
