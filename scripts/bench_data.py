"""Batches of every route by which data come, against indexing the same tensors in a bare loop.

Each route gives batches of 64 pictures of (3, 64, 64), from bytes to float32 in [0, 1], in the order of training. Route
and bare loop alternate within one process; a row gives the median over the rounds. Memory is what a process of its own
holds that is not backed by a file, after an epoch over a folder.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lsgen.data import Arrays, AsStored, BatchDataset, DataModule, ImageFolder, Loading, Split, TensorSource

ROUNDS, N, BATCH, SHAPE = 5, 4096, 64, (3, 64, 64)

ANONYMOUS = """
import sys
from lsgen.data import ImageFolder, Loading
data = ImageFolder(path=sys.argv[1], loading=Loading(num_workers=int(sys.argv[2])))
data.prepare_data()
data.setup("fit")
for batch in data.train_dataloader():
    batch["x"].sum()
print(sum(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")))
"""


class InMemory(DataModule):
    """Pictures in bytes, in memory."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__(SHAPE, SHAPE, AsStored(256), BATCH, 0, Loading())
        self.source = TensorSource(x=pictures)

    def build(self, split: Split) -> BatchDataset:
        """Return all of it as every split."""
        return self.subset(self.source, torch.arange(len(self.source.tensors["x"])), split)


def bare(pictures: Tensor) -> float:
    """Return the pictures per second of a bare loop."""
    started, order = perf_counter(), torch.randperm(len(pictures))
    for rows in order.split(BATCH):
        pictures[rows].float().div_(255)
    return len(pictures) / (perf_counter() - started)


def through(data: DataModule) -> float:
    """Return the pictures per second of an epoch of a data module."""
    loader, seen, started = data.train_dataloader(), 0, perf_counter()
    for batch in loader:
        seen += len(batch["x"])
    return seen / (perf_counter() - started)


def write(pictures: Tensor, folder: Path) -> None:
    """Write the pictures as files in two folders."""
    for kind in ("even", "odd"):
        (folder / kind).mkdir(parents=True)
    for i, picture in enumerate(pictures.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(picture).save(folder / ("odd" if i % 2 else "even") / f"{i:05d}.png", compress_level=1)


def rows() -> list[dict[str, Any]]:
    """Measure."""
    pictures = torch.randint(0, 256, (N, *SHAPE), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        folder, file = Path(scratch) / "folder", Path(scratch) / "pictures.npy"
        np.save(file, pictures.numpy())
        write(pictures, folder)
        routes: list[tuple[str, Callable[[], DataModule], float | None]] = [
            ("in memory", lambda: InMemory(pictures), 0.9),
            ("arrays, a mapped .npy", lambda: Arrays(path=str(file), batch_size=BATCH), 0.9),
            ("image_folder, decoded once", lambda: ImageFolder(path=str(folder), batch_size=BATCH), 0.8),
            ("image_folder, decoded as they come", lambda: ImageFolder(path=str(folder), cache=False), None),
        ]
        found = [_row(name, build(), pictures, least) for name, build, least in routes]
        return [*found, *(_memory(folder, workers) for workers in (0, 2))]


def _row(name: str, data: DataModule, pictures: Tensor, least: float | None) -> dict[str, Any]:
    data.prepare_data()
    data.setup("fit")
    through(data)
    pairs = [(bare(pictures), through(data)) for _ in range(ROUNDS)]
    loop, route = (statistics.median(rate) for rate in zip(*pairs, strict=True))
    return {
        "work": f"pictures/s, {name}",
        "bound_or_peer": "bare loop over the same tensors",
        "ratio": route / loop,
        "target": "" if least is None else f">= {least}",
        "met": least is None or route / loop >= least,
        "note": f"{route:,.0f} pictures/s against {loop:,.0f}",
    }


def _memory(folder: Path, workers: int) -> dict[str, Any]:
    command = [sys.executable, "-c", ANONYMOUS, str(folder), str(workers)]
    held = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]) / 2**10
    return {
        "work": f"anonymous memory, MiB, image_folder, {workers} workers",
        "bound_or_peer": "1 GiB",
        "ratio": held,
        "target": "< 1024",
        "met": held < 1024,
        "note": f"{N:,} pictures; the training process",
    }


if __name__ == "__main__":
    for row in rows():
        print(row)
