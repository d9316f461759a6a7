"""Pictures of modalities that are generated from others."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lsgen import viz
from lsgen.callbacks.base import LatentCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.latent.multimodal import MultimodalSpace

__all__ = ["CrossGeneration"]


class CrossGeneration(LatentCallback):
    """Draws observations whose missing modalities are generated from each modality alone, and from all but each.

    A cell shows all modalities side by side, those that were given as they are; the first row is the observation.

    Args:
        every_n_steps: see `LatentCallback`.
        every_n_epochs: see `LatentCallback`.
        n: observations, in columns.
        turns: see `LatentCallback`.

    Raises:
        ValueError: n is not positive.
        TypeError: the latent space is none of several modalities.

    """

    family: ClassVar[str] = "cross_generation"
    takes: ClassVar[type] = MultimodalSpace

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 8,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n)
        self.n = n

    @property
    def wanted(self) -> int:
        """The observations drawn."""
        return self.n

    def render(self, space: MultimodalSpace, probe: Probe | None, sink: Sink) -> None:
        """Generate and draw the grid."""
        if probe is None:
            raise TypeError("CrossGeneration expected observations, got none")
        x = probe.first(self.n).x
        draw = drawing_of(space, x)
        subsets: list[tuple[str, ...]] = [(name,) for name in space.names]
        if len(space.names) > 2:
            subsets += [tuple(other for other in space.names if other != name) for name in space.names]
        rows = [draw(x)] + [draw(space.complete(x, subset, 1)[0]) for subset in subsets]
        labels = ["observation", *(f"from {' + '.join(subset)}" for subset in subsets)]
        sink.image(f"{self.family}/completions", viz.grid(np.stack(rows), labels))
