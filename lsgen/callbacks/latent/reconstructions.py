"""Observations and their reconstructions."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from lsgen import viz
from lsgen.callbacks.base import LatentCallback, Turns
from lsgen.callbacks.latent.probe_codes import as_means, means
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.callbacks.rendering.sounds import write_sounds
from lsgen.latent import EncodableLatentSpace, LatentSpace

__all__ = ["Reconstructions"]

_HEARD = 4  # observations


class Reconstructions(LatentCallback):
    """Draws fixed observations over their reconstructions.

    Of data that can be heard, the first four are written as sound too, each before its reconstruction.

    Args:
        every_n_steps: see `LatentCallback`.
        every_n_epochs: see `LatentCallback`.
        n: observations.
        columns: observations in one row.
        value_range: data values shown as black and white; taken from the data where not given.
        turns: see `LatentCallback`.

    Raises:
        ValueError: n or columns is not positive.
        TypeError: the latent space has no encoder.

    """

    family: ClassVar[str] = "reconstruction"
    needs_encoder = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 32,
        columns: int = 16,
        value_range: tuple[float, float] | None = None,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        if n < 1 or columns < 1:
            raise ValueError(f"Reconstructions expected n and columns of at least 1, got {n} and {columns}")
        self.n, self.columns = n, columns
        self.value_range = None if value_range is None else (float(value_range[0]), float(value_range[1]))

    @property
    def wanted(self) -> int:
        """The observations drawn."""
        return self.n

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Draw the grid."""
        if probe is None or not isinstance(space, EncodableLatentSpace):
            raise TypeError(f"Reconstructions expected a space with an encoder and observations, got {type(space)}")
        x, probe = probe.first(self.n).x, as_means(space, probe)
        assert probe is not None
        draw = drawing_of(space, probe.x, self.value_range)
        means_of_x, x = means(space, space.encode(x).mean, len(x)), probe.first(self.n).x
        both = [viz.in_rows(draw(part), self.columns) for part in (x, means_of_x)]
        rows = np.stack(both, axis=1)
        labels = ["input", "mean"] * len(rows)
        sink.image("reconstruction/grid", viz.grid(rows.reshape(-1, *rows.shape[2:]), labels))
        heard = torch.stack([x[:_HEARD], means_of_x[:_HEARD]], 1).flatten(0, 1)
        write_sounds(sink, "reconstruction/sound", self.data_module, heard)
