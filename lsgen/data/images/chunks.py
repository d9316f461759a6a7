"""Chunks of rows that litdata wrote, in a folder or in a store that they are fetched from."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from lsgen.data.files import reading
from lsgen.extras import from_extra

__all__ = ["ChunkFolder", "is_remote"]

_INDEX = "index.json"


class ChunkFolder:
    """A folder of chunks, whose rows are read by their number.

    Chunks of a local folder are mapped into memory where they are. Of a store each process fetches the chunks that it
    is asked for into a directory for temporary files, and keeps some of them.

    Args:
        place: the folder, or the address of one in a store, such as "s3://...".
        kept: chunks of a store that a process keeps at a time.

    Attributes:
        sizes: rows of each chunk.

    Raises:
        FileNotFoundError: there is no index of chunks.
        ValueError: the index is damaged, or the chunks are compressed or encrypted.
        ImportError: the package litdata is not installed.

    """

    def __init__(self, place: str, kept: int) -> None:
        with from_extra("streaming", "expected the package litdata"):
            import litdata  # noqa: F401
        self.place, self.kept, self.remote = place.rstrip("/"), kept, is_remote(place)
        self.folder = Path(place).expanduser()
        if self.remote:
            self.folder = Path(tempfile.mkdtemp(prefix="lsgen-"))
            weakref.finalize(self, _remove, self.folder, os.getpid())
            self._fetch(_INDEX, self.folder)
        index = self.folder / _INDEX
        if not index.is_file():
            raise FileNotFoundError(f"expected the {_INDEX} of chunks that litdata.optimize wrote in {place}, got none")
        with reading("index of", index):
            found = json.loads(index.read_text())
            self._files = [str(chunk["filename"]) for chunk in found["chunks"]]
            self.sizes = [int(chunk["chunk_size"]) for chunk in found["chunks"]]
            changed = [name for name in ("compression", "encryption") if found["config"].get(name)]
        if changed:
            raise ValueError(
                f"expected chunks in {place} without {' and '.join(changed)}, got some with: write them anew"
            )
        self._ends = list(accumulate(self.sizes))
        self._opened: tuple[int, Any, Path] = (0, None, self.folder)
        self._present: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is open out for another process, which opens it itself."""
        return {**vars(self), "_opened": (0, None, self.folder)}

    def read(self, rows: Sequence[int]) -> list[Any]:
        """Return rows as they were written, each chunk's together.

        Raises:
            ValueError: a chunk is damaged.
            FileNotFoundError: a chunk is not there.

        """
        found: dict[int, Any] = {}
        for row in sorted(rows):
            chunk = bisect_right(self._ends, row)
            dataset, folder = self._dataset()
            file = folder / self._files[chunk]
            if self.remote:
                self._keep(chunk, folder)
            elif not file.is_file():
                raise FileNotFoundError(f"expected the chunk {file}, which {_INDEX} names, found nothing")
            with reading("chunk", file):
                found[row] = dataset[row]
        return [found[row] for row in rows]

    def _dataset(self) -> tuple[Any, Path]:
        """Return the rows as litdata reads them, and the directory that it reads; each process has its own."""
        if self._opened[0] != os.getpid():
            from litdata import StreamingDataset

            folder = self.folder
            if self.remote:
                folder = self.folder / str(os.getpid())
                folder.mkdir(exist_ok=True)
                shutil.copy(self.folder / _INDEX, folder)
            self._present = OrderedDict()
            self._opened = os.getpid(), StreamingDataset(str(folder), batch_decode=0), folder
        return self._opened[1:]

    def _keep(self, chunk: int, folder: Path) -> None:
        """Have a chunk at hand, and drop the one that was used longest ago where there are too many."""
        if chunk not in self._present:
            while len(self._present) >= self.kept:
                (folder / self._files[self._present.popitem(last=False)[0]]).unlink(missing_ok=True)
            self._fetch(self._files[chunk], folder)
        self._present[chunk] = None
        self._present.move_to_end(chunk)

    def _fetch(self, name: str, folder: Path) -> None:
        from litdata.streaming.downloader import get_downloader

        source = f"{self.place}/{name}"
        try:
            get_downloader(self.place, str(folder), []).download_file(source, str(folder / name))
        except Exception as error:  # each store has errors of its own
            said = " ".join(str(error).split()) or type(error).__name__
            raise FileNotFoundError(f"expected {source}, which could not be fetched: {said}") from error
        (folder / f"{name}.lock").unlink(missing_ok=True)


def is_remote(place: str) -> bool:
    """Return whether a place is the address of a store, and no folder of this machine."""
    return "://" in place or place.startswith("local:")


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
