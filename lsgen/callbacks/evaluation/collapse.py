r"""Detect mode collapse: samples that are much less diverse than the data.

    diversity = E |x - x'| over pairs of samples / E |x - x'| over pairs of observations

A warning is given once whenever the ratio falls below the threshold. A generator may also lose modes and stay diverse:
recall and coverage (`SampleComparison`) or counted modes tell that.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import LatentSpace

__all__ = ["CollapseWatch", "mean_distance"]


def mean_distance(x: Tensor) -> Tensor:
    """Return the mean distance between two different observations out of x (N, *shape), a scalar."""
    return torch.pdist(x.flatten(1)).mean()


class CollapseWatch(PeriodicCallback):
    """Logs the diversity of samples relative to the data, and warns if it is low.

    Args:
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: samples, and observations.
        threshold: ratio below which a warning is given.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: n is below 2, or the threshold is not in (0, 1); while training, there are no observations.

    """

    family: ClassVar[str] = "sample/diversity"

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 256,
        threshold: float = 0.2,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        if n < 2 or not 0 < threshold < 1:
            raise ValueError(f"CollapseWatch expected n >= 2 and a threshold in (0, 1), got {n} and {threshold}")
        self.n, self.threshold = n, threshold
        self._collapsed = False

    @property
    def wanted(self) -> int:
        """As many observations as samples."""
        return self.n

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Measure, log and, where the samples have just collapsed, warn."""
        if probe is None or len(probe) < 2:
            raise ValueError(
                "CollapseWatch expected at least 2 observations to compare with: pass turns=Turns(probes=...)"
            )
        ratio = float(mean_distance(space.sample(self.n)) / mean_distance(probe.x))
        sink.scalars({self.family: ratio})
        collapsed = ratio < self.threshold
        if collapsed and not self._collapsed:
            rank_zero_warn(
                f"Mode collapse at generator step {sink.step}: two samples differ by {ratio:.1%} of what two "
                "observations differ by. A lower learning rate or a gradient penalty often helps."
            )
        self._collapsed = collapsed
