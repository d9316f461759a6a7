"""How good samples are, measured while training.

| key                   | meaning                                                                      |
|-----------------------|------------------------------------------------------------------------------|
| sample/quality/NAME   | value NAME of a metric of the samples, such as `modes` and `good` of coverage |

`sample/quality/seconds` and `sample/quality/share_of_training` are the cost: see `lsgen.callbacks.base`. Samples
are those of `latent_space.sample`, drawn with the same seed every time. A value that is not finite is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import ClassVar

from torch import Tensor
from torchmetrics import Metric

from lsgen.callbacks.base import LatentCallback
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.sink import Sink
from lsgen.latent import LatentSpace

__all__ = ["SampleQuality"]


class SampleQuality(LatentCallback):
    """Feeds samples to metrics of a single sample set and logs what they compute.

    Args:
        metrics: metrics by name, with `update(samples)`; a metric that computes one number is logged under its
            name, one that computes a mapping under the names in there.
        every_n_steps: see `LatentCallback`.
        every_n_epochs: see `LatentCallback`.
        at_end: see `LatentCallback`.
        n: samples.
        chunk_size: samples drawn at a time.
        probes: see `LatentCallback`; not looked at.
        seed: see `LatentCallback`; it fixes the codes.

    Raises:
        ValueError: there are no metrics, or n or chunk_size is not positive.

    """

    family: ClassVar[str] = "sample/quality"

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        at_end: bool = True,
        n: int = 2500,
        chunk_size: int = 500,
        probes: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, at_end, probes, seed)
        if not metrics:
            raise ValueError("SampleQuality expected at least one metric, got none")
        for name, value in (("n", n), ("chunk_size", chunk_size)):
            if value < 1:
                raise ValueError(f"SampleQuality expected {name} of at least 1, got {value}")
        self.metrics, self.n, self.chunk_size = dict(metrics), n, chunk_size

    @property
    def wanted(self) -> int:
        """One observation, which is not looked at."""
        return 1

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Draw the samples and log the metrics."""
        for start in range(0, self.n, self.chunk_size):
            x = space.sample(min(self.chunk_size, self.n - start))
            for metric in self.metrics.values():
                metric.sync_on_compute = False  # the other processes take no part in this turn
                metric.to(x.device).update(x)
        values: dict[str, float] = {}
        for name, metric in self.metrics.items():
            computed = metric.compute()
            values |= (
                {k: float(v) for k, v in computed.items()} if isinstance(computed, dict) else {name: float(computed)}
            )
            metric.reset()
        sink.scalars({f"{self.family}/{name}": value for name, value in values.items() if isfinite(value)})
