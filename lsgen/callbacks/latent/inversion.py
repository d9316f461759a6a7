"""Codes of observations for a generator without an encoder, by optimisation or by an encoder fitted to it.

If the error of samples is near 0, the search succeeds; the error that is left for observations is the generator's.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from typing import ClassVar

import numpy as np
from torch import nn

from lsgen import viz
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.latent.options import InversionSearch
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.latent import EncodableLatentSpace, LatentSpace
from lsgen.models.gan import fit_encoder, invert

__all__ = ["Inversions"]


class Inversions(PeriodicCallback):
    """Inverts the generator at fixed observations and reports the reconstruction error.

    Args:
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: observations.
        columns: observations in one row.
        search: how codes are searched for.
        encoder: observations (N, *shape) -> codes (N, d), fitted anew in every turn to be one more start (hybrid
            inversion); none for a space that has one, or for optimisation alone.
        encoder_steps: see `lsgen.models.gan.fit_encoder`.
        value_range: data values shown as black and white; taken from the data where not given.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: n or columns is not positive; on inversion, see `invert` and `fit_encoder`.

    """

    family: ClassVar[str] = "reconstruction/inversion"

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 16,
        columns: int = 16,
        search: InversionSearch = InversionSearch(),
        encoder: nn.Module | None = None,
        encoder_steps: int = 1000,
        value_range: tuple[float, float] | None = None,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        if n < 1 or columns < 1:
            raise ValueError(f"Inversions expected n and columns of at least 1, got {n} and {columns}")
        self.n, self.columns, self.search = n, columns, search
        self.encoder, self.encoder_steps = encoder, encoder_steps
        self.value_range = None if value_range is None else (float(value_range[0]), float(value_range[1]))

    @property
    def wanted(self) -> int:
        """The observations inverted."""
        return self.n

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Fit the encoder, if one is given, invert, draw and log."""
        if probe is None:
            raise ValueError("Inversions expected observations: pass turns=Turns(probes=...)")
        if self.encoder is not None:
            encoder = deepcopy(self.encoder).to(probe.x.device)
            space = fit_encoder(space, encoder, steps=self.encoder_steps)
        x, samples = probe.first(self.n).x, space.sample(self.n)
        found, own = (invert(space, targets, **asdict(self.search)) for targets in (x, samples))
        values = {"error": 2 * found.error.mean(), "error_of_samples": 2 * own.error.mean()}
        if isinstance(space, EncodableLatentSpace):
            values["encoder_share"] = (found.start == self.search.restarts).float().mean()
        sink.scalars({f"{self.family}/{name}": float(value) for name, value in values.items()})
        draw = drawing_of(space, probe.x, self.value_range)
        rows = np.stack([viz.in_rows(draw(part), self.columns) for part in (x, found.x)], axis=1)
        sink.image(f"{self.family}/grid", viz.grid(rows.reshape(-1, *rows.shape[2:]), ["input", "found"] * len(rows)))
