"""Send scalars, figures and arrays of a callback to the run directory and to all loggers that can show them.

| what      | file                          | W&B       | TensorBoard     | any other logger |
|-----------|-------------------------------|-----------|-----------------|------------------|
| scalars   |                               | scalars   | scalars         | scalars          |
| image     | figures/KEY/STEP.png          | Image     | image           |                  |
| animation | figures/KEY/STEP.gif          | Video     | animated image  |                  |
| sound     | figures/KEY/STEP.wav          | Audio     | audio           |                  |
| histogram |                               | Histogram | histogram       |                  |
| table     |                               | Table     | text (Markdown) |                  |
| rows      | figures/KEY/STEP.csv          | Table     | text (Markdown) |                  |
| arrays    | figures/KEY/STEP.npz          |           |                 |                  |
| codes     | figures/KEY/STEP.npz          |           |                 |                  |

STEP has eight digits. Everything that one firing logs to W&B goes into one row of its history. A logger that fails
while a model is trained is counted among the problems of the run, and the others get what they can show.

Of scalars, a logger gets those that `lsgen.runs.keys.logged_by_default` selects; all, if its attribute `log_all` is
true.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from lsgen import viz
from lsgen.callbacks.compat import file_writer
from lsgen.callbacks.engine.problems import tolerant
from lsgen.latent import Codes
from lsgen.runs import csv_text
from lsgen.runs.keys import logged_by_default
from lsgen.viz import Pixels

__all__ = ["Sink"]


class Sink:
    """Collects the results of one turn; `close` sends them.

    Args:
        run_dir: the run directory; figures go into its folder `figures`.
        step: generator steps, the x axis.
        loggers: where to log besides.

    """

    def __init__(self, run_dir: str | Path, step: int, loggers: Sequence[Logger] = ()) -> None:
        self.figures = Path(run_dir) / "figures"
        self.step = step
        self._part = ""
        self._scalars: dict[str, float] = {}
        self._outlets = [_outlet(logger, step) for logger in loggers]

    def within(self, part: str) -> Sink:
        """Return the same sink with FAMILY/PART/... in the place of every key FAMILY/..."""
        inner = copy(self)
        inner._part = f"/{part}"
        return inner

    def _key(self, key: str) -> str:
        family, slash, rest = key.partition("/")
        return f"{family}{self._part}{slash}{rest}"

    @property
    def values(self) -> dict[str, float]:
        """The numbers collected so far, by key."""
        return dict(self._scalars)

    def scalars(self, values: Mapping[str, float]) -> None:
        """Log numbers by key.

        Raises:
            ValueError: a value is not finite; say how many were not under a key of its own instead.

        """
        numbers = {self._key(key): float(value) for key, value in values.items()}
        if bad := [key for key, value in numbers.items() if not isfinite(value)]:
            raise ValueError(f"expected finite scalars in the log, got {', '.join(f'{k} = {numbers[k]}' for k in bad)}")
        self._scalars.update(numbers)

    def image(self, key: str, pixels: Pixels) -> None:
        """Write and log an image (H, W, 3)."""
        key = self._key(key)
        self._write(key, "png", viz.png(_checked(key, pixels, 3)))
        for outlet in self._outlets:
            with tolerant(outlet.logger):
                outlet.image(key, pixels)

    def animation(self, key: str, frames: Pixels, fps: float = 12.0) -> None:
        """Write and log frames (T, H, W, 3) as an animated GIF."""
        key = self._key(key)
        path = self._write(key, "gif", viz.gif(_checked(key, frames, 4), fps))
        for outlet in self._outlets:
            with tolerant(outlet.logger):
                outlet.animation(key, path)

    def sound(self, key: str, sounds: ArrayLike, rate: int) -> None:
        """Write and log sounds (N, samples), one after another, with values in [-1, 1] and `rate` samples a second."""
        key = self._key(key)
        path = self._write(key, "wav", viz.wav(sounds, rate))
        for outlet in self._outlets:
            with tolerant(outlet.logger):
                outlet.sound(key, path, rate)

    def histogram(self, key: str, values: ArrayLike) -> None:
        """Log the distribution of the finite values, if there are any."""
        key = self._key(key)
        array = np.asarray(values, dtype=np.float64).ravel()
        array = array[np.isfinite(array)]
        for outlet in self._outlets if array.size else ():
            with tolerant(outlet.logger):
                outlet.histogram(key, array)

    def table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a table, with None where there is nothing; pixels (H, W, 3) are pictures in W&B, left out elsewhere."""
        key = self._key(key)
        for outlet in self._outlets:
            with tolerant(outlet.logger):
                outlet.table(key, columns, rows)

    def rows(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Write a table of numbers and text as CSV, and log it."""
        self._write(self._key(key), "csv", csv_text([columns, *rows]).encode())
        self.table(key, columns, rows)

    def arrays(self, key: str, **arrays: ArrayLike) -> None:
        """Write arrays by name into a compressed npz file."""
        key = self._key(key)
        out = BytesIO()
        contents: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
        np.savez_compressed(out, **contents)
        self._write(key, "npz", out.getvalue())

    def codes(self, key: str, table: Codes) -> None:
        """Write a table of codes, which `Codes.load` reads."""
        path = self.figures / self._key(key) / f"{self.step:08d}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.save(path)

    def close(self) -> None:
        """Send the scalars, in one row, with whatever else a logger keeps in that row."""
        for outlet in self._outlets:
            outlet.close(outlet.chosen(self._scalars))

    def _write(self, key: str, suffix: str, data: bytes) -> Path:
        path = self.figures / key / f"{self.step:08d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        partial.write_bytes(data)
        os.replace(partial, path)
        return path


class _Outlet:
    """Adapter for one logger, which ignores results that the logger cannot show."""

    def __init__(self, logger: Logger, step: int) -> None:
        self.logger = logger
        self.step = step

    def image(self, key: str, pixels: Pixels) -> None:
        return

    def animation(self, key: str, path: Path) -> None:
        return

    def sound(self, key: str, path: Path, rate: int) -> None:
        return

    def histogram(self, key: str, values: NDArray[np.float64]) -> None:
        return

    def table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        return

    def close(self, scalars: Mapping[str, float]) -> None:
        if scalars:
            self.logger.log_metrics(dict(scalars), step=self.step)

    def chosen(self, scalars: Mapping[str, float]) -> dict[str, float]:
        """Return the scalars that the logger gets."""
        return dict(scalars) if getattr(self.logger, "log_all", False) else logged_by_default(scalars)


class _TensorBoardOutlet(_Outlet):
    logger: TensorBoardLogger

    def image(self, key: str, pixels: Pixels) -> None:
        self.logger.experiment.add_image(key, pixels, self.step, dataformats="HWC")

    def animation(self, key: str, path: Path) -> None:
        """Store the GIF file, which TensorBoard plays without a movie library."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        image = Summary.Image(colorspace=3, encoded_image_string=path.read_bytes())
        writer = file_writer(self.logger.experiment)
        writer.add_summary(Summary(value=[Summary.Value(tag=key, image=image)]), self.step)

    def sound(self, key: str, path: Path, rate: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        content = path.read_bytes()
        audio = Summary.Audio(
            sample_rate=rate,
            num_channels=1,
            length_frames=(len(content) - 44) // 2,
            encoded_audio_string=content,
            content_type="audio/wav",
        )
        writer = file_writer(self.logger.experiment)
        writer.add_summary(Summary(value=[Summary.Value(tag=key, audio=audio)]), self.step)

    def histogram(self, key: str, values: NDArray[np.float64]) -> None:
        self.logger.experiment.add_histogram(key, values, self.step)

    def table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        plain = [["" if cell is None or isinstance(cell, np.ndarray) else cell for cell in row] for row in rows]
        lines = [columns, ["---"] * len(columns), *plain]
        text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
        self.logger.experiment.add_text(key, text, self.step)


class _WandbOutlet(_Outlet):
    def __init__(self, logger: Logger, step: int) -> None:
        super().__init__(logger, step)
        self.row: dict[str, Any] = {}

    def image(self, key: str, pixels: Pixels) -> None:
        from PIL import Image
        from wandb import Image as WandbImage

        self.row[key] = WandbImage(Image.fromarray(pixels))

    def animation(self, key: str, path: Path) -> None:
        from wandb import Video

        self.row[key] = Video(str(path), format="gif")

    def sound(self, key: str, path: Path, rate: int) -> None:
        from wandb import Audio

        self.row[key] = Audio(str(path))

    def histogram(self, key: str, values: NDArray[np.float64]) -> None:
        from wandb import Histogram

        self.row[key] = Histogram(values.tolist(), num_bins=64)

    def table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        from PIL import Image
        from wandb import Image as WandbImage
        from wandb import Table

        def shown(cell: Any) -> Any:
            return WandbImage(Image.fromarray(cell)) if isinstance(cell, np.ndarray) else cell

        self.row[key] = Table(columns=list(columns), data=[[shown(cell) for cell in row] for row in rows])

    def close(self, scalars: Mapping[str, float]) -> None:
        super().close({**self.row, **scalars})


def _outlet(logger: Logger, step: int) -> _Outlet:
    for kind, outlet in ((WandbLogger, _WandbOutlet), (TensorBoardLogger, _TensorBoardOutlet)):
        if isinstance(logger, kind):
            return outlet(logger, step)
    return _Outlet(logger, step)


def _checked(key: str, pixels: Pixels, dimensions: int) -> Pixels:
    if pixels.dtype != np.uint8 or pixels.ndim != dimensions or pixels.shape[-1] != 3:
        raise ValueError(
            f"expected uint8 pixels of {dimensions} dimensions, the last 3, for {key}; "
            f"got {pixels.dtype} {pixels.shape}"
        )
    return pixels
