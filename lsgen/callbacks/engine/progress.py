"""Progress of training on one line: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from lsgen.callbacks.engine.clock import generator_steps, images_seen
from lsgen.callbacks.engine.notebook import NotebookBar, notebook_bar
from lsgen.callbacks.engine.observer import Observer
from lsgen.models import Losses
from lsgen.models.loaders import is_read_after
from lsgen.models.verdicts import on_host
from lsgen.runs.terminal import Terminal

__all__ = ["Progress"]


class Progress(Observer, ProgressBar):
    """Shows generator steps, the epoch, the ELBO of the last batch in nats, and observations per second.

    On an accelerator the ELBO is that of the last batch after which a row was logged, as reading it more often would
    make training wait. It is Lightning's progress bar: the trainer adds none of its own beside it. Where the output is
    no terminal it prints a line now and then, the first and the last step included; a notebook gets a bar in its cell.

    Args:
        refresh_seconds: time between two updates of the bar.
        line_seconds: time between two lines where there is no terminal.
        console: where to print; standard output unless given.

    Raises:
        ValueError: a time is not positive.

    """

    def __init__(
        self, refresh_seconds: float = 0.25, line_seconds: float = 10.0, console: Console | None = None
    ) -> None:
        super().__init__()
        if refresh_seconds <= 0 or line_seconds <= 0:
            raise ValueError(f"expected times above 0 s, got {refresh_seconds} and {line_seconds}")
        self.refresh_seconds, self.line_seconds = refresh_seconds, line_seconds
        self.console = console
        self._enabled = True
        self._bar: Bar | None = None
        self._notebook: NotebookBar | None = None
        self._total: int | None = None
        self._next = self._since = 0.0
        self._images = 0
        self._losses: Losses | None = None
        self._words = ""

    def enable(self) -> None:
        """Show progress."""
        self._enabled = True

    def disable(self) -> None:
        """Show nothing, as on all processes but the first."""
        self._enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bar."""
        if self._enabled:
            self._console().print(*args, **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the display."""
        if not self._enabled:
            return
        self._total = _total_steps(trainer, pl_module)
        self._since, self._images = perf_counter(), images_seen(pl_module) or 0
        self._next, self._words = 0.0, ""
        if self._console().is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[text]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console(),
                refresh_per_second=1 / self.refresh_seconds,
                expand=True,
            )
            self._bar.add_task("training", total=self._total, text="", completed=generator_steps(trainer, pl_module))
            self._bar.start()
        else:
            self._notebook = notebook_bar(self._total)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the display if its interval has passed."""
        losses = outputs.get("losses") if isinstance(outputs, dict) else None
        self._losses = losses if isinstance(losses, Losses) else None
        if self._losses is not None and not on_host(self._losses.loss) and is_read_after(trainer, batch_idx):
            self._read_elbo(self._losses)
        if self._enabled and perf_counter() >= self._next:
            self._show(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show that a validation runs."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], description="validation")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show that training continues."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], description="training")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the last step."""
        if self._enabled:
            self._show(trainer, pl_module)
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the terminal."""
        self._close()

    def _show(self, trainer: Trainer, pl_module: LightningModule) -> None:
        now, step, images = perf_counter(), generator_steps(trainer, pl_module), images_seen(pl_module)
        parts = [f"step {step}" + (f"/{self._total}" if self._total else ""), f"epoch {trainer.current_epoch}"]
        if self._losses is not None and on_host(self._losses.loss):
            self._read_elbo(self._losses)
        if self._words:
            parts.append(self._words)
        if images is not None and now > self._since and images > self._images:
            parts.append(f"{(images - self._images) / (now - self._since):,.0f} observations/s")
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, text="  ".join(parts))
        elif self._notebook is not None:
            self._notebook.update(step, "  ".join(parts))
        else:
            self._console().print("  ".join(parts), highlight=False)
        self._since, self._images = now, images or 0
        in_place = self._bar is not None or self._notebook is not None
        self._next = now + (self.refresh_seconds if in_place else self.line_seconds)

    def _read_elbo(self, losses: Losses) -> None:
        bounded = losses.kl.shape[-1] > 0  # codes that are points bound nothing
        self._words = f"elbo {losses.elbo.mean().item():.2f}" if bounded else f"loss {losses.loss.item():.2f}"

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _console(self) -> Console:
        if self.console is None:
            self.console = Terminal(file=sys.stdout)
        return self.console


def _total_steps(trainer: Trainer, pl_module: LightningModule) -> int | None:
    """Return the generator step at which training ends; None if it is not known."""
    limits = []
    if (steps := getattr(pl_module, "max_steps", None)) is not None:
        limits.append(int(steps))
    batches, epochs = trainer.num_training_batches, trainer.max_epochs
    if epochs is not None and epochs > 0 and batches != float("inf") and pl_module.automatic_optimization:
        limits.append(epochs * -(-int(batches) // trainer.accumulate_grad_batches))
    return min(limits, default=None)
