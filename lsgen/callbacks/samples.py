"""What the model generates.

| key         | kind  | meaning                                                        |
|-------------|-------|----------------------------------------------------------------|
| sample/grid | image | means of p(x|z) at the same draws z from the prior every time |

`sample/seconds` and `sample/share_of_training` are scalars, the cost: see `lsgen.callbacks.base`.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import LatentCallback
from lsgen.callbacks.codes import means, show
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.sink import Sink
from lsgen.latent import LatentSpace

__all__ = ["Samples"]


class Samples(LatentCallback):
    """Draws decoded means at fixed draws from the prior, so that successive pictures can be compared.

    Args:
        every_n_steps: see `LatentCallback`.
        every_n_epochs: see `LatentCallback`.
        at_end: see `LatentCallback`.
        n: samples.
        columns: samples in one row.
        value_range: data values shown as black and white; taken from the data where not given.
        chunk_size: codes decoded at a time.
        probes: see `LatentCallback`; only their range of values is looked at.
        seed: see `LatentCallback`; it fixes the draws.

    Raises:
        ValueError: n, columns or chunk_size is not positive.

    """

    family: ClassVar[str] = "sample"

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        at_end: bool = True,
        n: int = 64,
        columns: int = 16,
        value_range: tuple[float, float] | None = None,
        chunk_size: int = 512,
        probes: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, at_end, probes, seed)
        for name, value in (("n", n), ("columns", columns), ("chunk_size", chunk_size)):
            if value < 1:
                raise ValueError(f"Samples expected {name} of at least 1, got {value}")
        self.n, self.columns, self.chunk_size = n, columns, chunk_size
        self.value_range = None if value_range is None else (float(value_range[0]), float(value_range[1]))

    @property
    def wanted(self) -> int:
        """Enough observations to tell the range of the data."""
        return 64

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Draw the grid."""
        x = means(space, space.prior().sample((self.n,)), self.chunk_size)
        bounds = self.value_range or viz.value_range(x if probe is None else probe.x)
        sink.image("sample/grid", viz.grid(viz.in_rows(show(space, x, bounds), self.columns)))
