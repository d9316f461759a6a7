"""The explorer: a page of the codes of observations, one HTML file that opens without a network or a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import nn

from lsgen.callbacks.analysis.collection import collect_codes
from lsgen.callbacks.analysis.contents import PageOptions, explorer_contents
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import Split
from lsgen.explorer import write_page
from lsgen.explorer.exports import code_table
from lsgen.latent import EncodableSpace, Space

__all__ = ["Explorer"]


class Explorer(PeriodicCallback):
    """Writes explorer.html into the run directory: the codes of held-out observations on maps, with their decoder.

    A space without encoder gives draws from its prior, a closed set of items its items. Where no code is finite, as of
    a model that has diverged, there is a warning and no page.

    Args:
        every_n_steps: generator steps between turns; there is one at the end of training alone unless a cadence is
            given, and each overwrites the page of the last.
        every_n_epochs: epochs between turns, instead of steps.
        n: codes; fewer where there are fewer observations.
        splits: splits that observations are drawn from, in proportion to their sizes.
        options: what the page holds.
        table_rows: codes that loggers get as a table, with their columns, places on maps and pictures; none unless
            given. W&B draws what it holds; its own projections take up to 1,000 rows of 50 columns.
        turns: what its turns have in common; its seed decides on the observations.

    Raises:
        ValueError: n is not positive; when training starts, a split of `lsgen.data.DataModule` is not known.

    """

    family: ClassVar[str] = "explorer"
    takes: ClassVar[type] = Space
    default_steps: ClassVar[int | None] = None

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2000,
        splits: Sequence[Split] = ("val",),
        options: PageOptions = PageOptions(),
        table_rows: int = 0,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, chunk_size=options.chunk_size)
        self.at_least(0, table_rows=table_rows)
        self.n, self.splits, self.options, self.table_rows = n, tuple(splits), options, table_rows
        self._module: nn.Module | None = None
        self._trainer: Trainer | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the model, which tells whether values are missing, and where observations come from."""
        self._module, self._trainer = pl_module, trainer

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of both."""
        self._module = self._trainer = None

    def render(self, space: Space, probe: Probe | None, sink: Sink) -> None:
        """Collect the codes and write the page."""
        directory = sink.figures.parent.resolve()
        assert self._module is not None
        data = self._data() if isinstance(space, EncodableSpace) else None
        facts = {"model": type(self._module).__name__, "trained for": f"{sink.step:,} steps"}
        try:
            found = collect_codes(self._module, data, self.n, self.seed, self.splits, self.options.chunk_size)
            contents = explorer_contents(space, found, directory.name or "explorer", facts, self.options)
        except ValueError as error:
            rank_zero_warn(f"Explorer wrote no page: {error}")
            return
        directory.mkdir(parents=True, exist_ok=True)
        write_page(Path(directory, "explorer.html"), contents)
        if self.table_rows:
            sink.table("explorer/codes", *code_table(contents, self.table_rows))

    def _data(self) -> Any:
        """Return the data module, else the loader of validation, else that of training."""
        assert self._trainer is not None
        module = getattr(self._trainer, "datamodule", None)
        if module is not None:
            return module
        loader: Any = self._trainer.val_dataloaders or self._trainer.train_dataloader
        return loader[0] if isinstance(loader, list | tuple) else loader
