"""Samples of the model at the same random numbers every time."""

from __future__ import annotations

from typing import ClassVar

from pytorch_lightning import LightningModule, Trainer

from lsgen import viz
from lsgen.callbacks.base import LatentCallback, Turns
from lsgen.callbacks.latent.options import Decoding
from lsgen.callbacks.latent.probe_codes import as_means, means
from lsgen.callbacks.latent.sampling import CodeSource
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.callbacks.rendering.sounds import write_sounds
from lsgen.latent import LatentSpace
from lsgen.latent.sampling.samplers import CodeSampler

__all__ = ["Samples"]


_HEARD = 8  # samples


class Samples(LatentCallback):
    """Draws decoded means at fixed draws of codes, so that successive pictures can be compared.

    Of data that can be heard, the sound of the first eight is written too.

    Args:
        every_n_steps: see `LatentCallback`.
        every_n_epochs: see `LatentCallback`.
        n: samples.
        columns: samples in one row.
        decoding: how codes are decoded and shown.
        sampler: source of codes, see `lsgen.latent.sampling.samplers`; the prior unless given.
        codes: training observations to whose codes the sampler is fitted, anew at every turn.
        turns: see `LatentCallback`; its seed fixes the draws, of its probes only the range of values is looked at.

    Raises:
        ValueError: n, columns or chunk_size is not positive.

    """

    family: ClassVar[str] = "sample"
    pictures: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 64,
        columns: int = 16,
        decoding: Decoding = Decoding(),
        sampler: CodeSampler | None = None,
        codes: int = 10_000,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, columns=columns, chunk_size=decoding.chunk_size)
        self.n, self.columns, self.decoding = n, columns, decoding
        self.source = CodeSource(sampler, codes)

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that the sampler can draw codes of this model before training starts."""
        self.source.setup(trainer, pl_module)

    @property
    def wanted(self) -> int:
        """Observations from which the range of the data is taken and a sampler is fitted."""
        sampler = self.source.sampler
        return self.source.codes if sampler is not None and sampler.needs_codes else 64

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Draw the grid."""
        sampler = self.source.prepare(space, self.decoding.chunk_size, None if probe is None else probe.x)
        x = means(space, sampler.sample(self.n), self.decoding.chunk_size)
        shown = as_means(space, probe)
        draw = drawing_of(space, x if shown is None else shown.x, self.decoding.bounds)
        sink.image("sample/grid", viz.grid(viz.in_rows(draw(x), self.columns)))
        write_sounds(sink, "sample/sound", self.data_module, x[:_HEARD])
