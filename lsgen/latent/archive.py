"""An uncompressed npz file of a header and named arrays, which can be mapped into memory.

The file is what `numpy.savez` writes, with one more member, `header.json`. The data of every array begin at a multiple
of 64 bytes, so that an array can be used where it lies in the file: only the pages that are looked at are read.

Reference: PKWARE, "APPNOTE.TXT, .ZIP file format specification" 6.3.10, section 4.3.7, for local headers.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Collection, Mapping
from errno import EINVAL
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lsgen.runs.files import replacement

_DAMAGE = (
    *(BadZipFile, KeyError, ValueError, EOFError, RuntimeError, MemoryError, OSError, struct.error, zlib.error),
    *(TokenError, SyntaxError),  # of a header of an array, which numpy parses as Python
)
__all__ = ["read_archive", "write_archive"]

HEADER, ALIGNMENT = "header.json", 64
_LOCAL, _ZIP64, _PADDING = 30, 20, 0x4C50  # sizes of a local header and of its 64-bit sizes; name of a field of zeros


def write_archive(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Replace a file by a header and arrays: written beside it, synchronised to disk, then renamed.

    The same contents give the same bytes. Arrays are written in pieces, so that none is copied as a whole.

    Raises:
        OSError: the directory is not writable or the disk is full; the old file stays as it was.
        ValueError: an array holds Python objects.

    """
    with replacement(path) as file, ZipFile(file, "w", ZIP_STORED) as archive:
        archive.writestr(ZipInfo(HEADER), json.dumps(header, indent=2))
        for name, array in arrays.items():
            with archive.open(_member(f"{name}.npy", file.tell()), "w", force_zip64=True) as member:
                npy.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_archive(path: Path, mapped: Collection[str] = ()) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays of a file.

    Args:
        path: the file.
        mapped: names of arrays that are mapped into memory, read-only, and not read; the checksums of all others are
            verified.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or none that `write_archive` has written.

    """
    try:
        with path.open("rb") as file, ZipFile(file) as archive:
            return _contents(path, archive, mapped)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno != EINVAL:  # which a nonsensical place in a file gives
            raise
        raise ValueError(
            f"expected a file of arrays that lsgen has saved, got {path}, which is damaged: {error}"
        ) from error


def _contents(path: Path, archive: ZipFile, mapped: Collection[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    header = json.loads(archive.read(HEADER))
    if not isinstance(header, dict):
        raise ValueError(f"its header is a {type(header).__name__}")
    arrays = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in mapped:
            arrays[name] = _map(path, info)
        elif info.filename != HEADER:
            with archive.open(info) as member:
                arrays[name] = npy.read_array(member, allow_pickle=False)
                member.read()  # the checksum is compared at the end
    return header, arrays


def _member(name: str, position: int) -> ZipInfo:
    """Return a member whose data begin at a multiple of `ALIGNMENT` where its local header lies at a position."""
    info = ZipInfo(name)
    begin = position + _LOCAL + len(name.encode()) + _ZIP64 + 4
    info.extra = struct.pack("<HH", _PADDING, -begin % ALIGNMENT) + bytes(-begin % ALIGNMENT)
    return info


def _map(path: Path, info: ZipInfo) -> NDArray[Any]:
    """Return the array of a member where it lies in the file."""
    if info.compress_type != ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed")
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26xHH", file.read(_LOCAL))
        begin = info.header_offset + _LOCAL + name + extra
        file.seek(begin)
        shape, fortran, dtype = _described(file)
        offset = file.tell()
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.hasobject or fortran or offset - begin + size != info.file_size:
        raise ValueError(f"{info.filename} holds {info.file_size} bytes, not those of {dtype} {shape}")
    if not size:
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", offset, shape))


def _described(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of an array in npy format, and leave the file at its data."""
    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    return npy.read_array_header_2_0(file)
