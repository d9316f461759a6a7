"""Checkpoint files with plain contents, written atomically; the previous one is read if the last is damaged.

A checkpoint holds tensors, numbers, strings and plain containers only, so `torch.load(..., weights_only=True)`
reads it and no code of its own runs. It is written beside its place, synchronised to disk, and renamed; the file
that was there before becomes previous.ckpt. A kill at any moment leaves a complete file under one of the names.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from lightning_fabric.plugins import TorchCheckpointIO

from lsgen.runs import RunError

__all__ = ["LAST", "PREVIOUS", "AtomicCheckpointIO", "newest_checkpoint", "plain", "read_checkpoint", "require_place"]

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"

_ATOMS = {type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size}
_TENSORS = {torch.Tensor, torch.nn.Parameter}


def require_place(folder: Path) -> None:
    """Check, before training, that checkpoints can be written into a folder.

    Raises:
        RunError: it, or what it would be made in, is no directory or not writable.

    """
    places = (folder.absolute(), *folder.absolute().parents)
    place = next(place for place in places if place.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        got = "a directory that is not writable" if place.is_dir() else "a file"
        raise RunError(f"expected a directory to save checkpoints in at {folder}, got {got} at {place}")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint plugin with plain contents, atomic writes and a previous file."""

    def __init__(self) -> None:
        super().__init__()
        self._last_is_good = False

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint; a last.ckpt that can be read may become previous.ckpt."""
        content = super().load_checkpoint(path, *args, **kwargs)
        self._last_is_good = Path(path).name == LAST
        return content

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint; a last.ckpt that was written or read here is kept as previous.ckpt.

        Raises:
            TypeError: something in the checkpoint is neither a tensor nor a plain container.
            RunError: the file could not be written; what was there before is untouched.

        """
        buffer = BytesIO()
        torch.save(plain(checkpoint), buffer)
        self._put(Path(path), buffer.getbuffer().nbytes, lambda partial: _write(partial, buffer.getbuffer()))

    def duplicate(self, source: Path, target: Path) -> None:
        """Make `target` the same file as `source`, as if it had been saved, without a second copy where links exist.

        Checkpoints are replaced and never written into, so two names can share one file.

        Raises:
            RunError: the file could not be written.

        """
        self._put(target, source.stat().st_size, lambda partial: _link(source, partial))

    def _put(self, target: Path, size: int, make: Callable[[Path], None]) -> None:
        """Write a temporary file and rename it; a last.ckpt known to be readable becomes previous.ckpt."""
        partial = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            make(partial)
            if target.name == LAST and target.exists() and self._last_is_good:
                os.replace(target, target.with_name(PREVIOUS))
            os.replace(partial, target)
            _synchronise(target.parent)
            self._last_is_good |= target.name == LAST
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise RunError(_unwritten(target, size, error)) from error


def plain(value: Any, place: str = "checkpoint") -> Any:
    """Return a value with numpy scalars and paths converted to plain types; containers are copied, tensors are not.

    Raises:
        TypeError: something is neither a tensor nor a plain container, with the place where it is.

    """
    kind = type(value)
    if kind in _ATOMS or kind in _TENSORS or kind is Counter:
        return value
    if kind is dict:
        return {plain(key, place): plain(item, f"{place}[{key!r}]") for key, item in value.items()}
    if kind is OrderedDict:
        copy = OrderedDict((key, plain(item, f"{place}[{key!r}]")) for key, item in value.items())
        vars(copy).update(vars(value))
        return copy
    if kind in (list, tuple):
        return kind(plain(item, f"{place}[{i}]") for i, item in enumerate(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(
        f"expected tensors and plain containers in a checkpoint, got {kind.__module__}.{kind.__qualname__} at {place}"
    )


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the contents of a checkpoint, on the CPU.

    Raises:
        RunError: the file is missing, cut short, damaged, or holds more than tensors and plain containers.

    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (member := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"{member} has a wrong checksum")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RunError(f"expected a checkpoint at {path}, got no such file") from error
    except UnpicklingError as error:
        raise RunError(f"expected tensors and plain containers in {path}, got other Python objects") from error
    except OSError as error:
        raise RunError(f"expected a readable checkpoint at {path}, got: {error.strerror or error}") from error
    except Exception as error:  # a damaged file raises nearly anything
        raise RunError(f"expected a checkpoint at {path}, got a damaged file: cut short or overwritten") from error
    if not isinstance(content, dict):
        raise RunError(f"expected a checkpoint at {path}, got a file that holds a {type(content).__name__}")
    return content


def newest_checkpoint(run_dir: str | Path) -> Path | None:
    """Return the newest checkpoint of a run that can be read; None where the run has none yet.

    A damaged last.ckpt is passed over for previous.ckpt, the one before, with a warning that says so.

    Raises:
        RunError: there are checkpoints, and none can be read.

    """
    folder = Path(run_dir) / "checkpoints"
    candidates = [folder / name for name in (LAST, PREVIOUS) if (folder / name).exists()]
    reasons = []
    for path in candidates:
        try:
            read_checkpoint(path)
        except RunError as error:
            reasons.append(str(error))
            continue
        if reasons:
            warnings.warn(f"{reasons[0]}; continuing from {path.name}, the checkpoint before it", stacklevel=2)
        return path
    if candidates:
        raise RunError(f"no checkpoint of {run_dir} can be read: {'; '.join(reasons)}")
    return None


def _write(path: Path, data: memoryview) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        _write(target, memoryview(source.read_bytes()))


def _synchronise(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritten(target: Path, size: int, error: OSError) -> str:
    kept = [name for name in (target.name, PREVIOUS) if target.with_name(name).exists()]
    remains = f"{kept[0]} from before is kept" if kept else "there is no earlier checkpoint"
    reason = error.strerror or str(error)
    return f"could not write the checkpoint {target} ({size / 1e6:.3g} MB): {reason}; {remains}"
