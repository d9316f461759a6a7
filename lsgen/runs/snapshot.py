"""Snapshots of the code that a sweep runs: copies of the packages made when its jobs are submitted.

Jobs find it through PYTHONPATH, before whatever is installed, so that a job that starts days later runs what was
submitted. A copy is named by the digest of its contents: unchanged code is copied once.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from lsgen.runs.errors import RunError

__all__ = ["take_snapshot"]

_OWN = ("lsgen", "lsgen.conf", "lsgen.experiments")
_LIMIT = 200_000_000


def take_snapshot(place: Path, packages: Iterable[str] = ()) -> str:
    """Copy lsgen and the user's packages below `place`, and return the name of the copy.

    Args:
        place: the directory of all copies.
        packages: top-level names of further packages or modules; those that pip installed are left where they are,
            as the environment is not part of the copy.

    Raises:
        RunError: the packages hold more than 200 MB, or cannot be copied.

    """
    files = dict(_files(packages))
    digest = blake2b(digest_size=8)
    for inside, file in sorted(files.items()):
        digest.update(f"{inside}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    name = digest.hexdigest()
    if not (place / name).is_dir():
        try:
            _copy(files, place, name)
        except OSError as error:
            raise RunError(f"cannot copy the code to {place}: {error.strerror or error}") from error
    return name


def _copy(files: dict[str, Path], place: Path, name: str) -> None:
    """Copy into a temporary directory, then rename it, so that a copy exists as a whole or not at all."""
    place.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=place, prefix=".part-"))
    for inside, file in files.items():
        target = partial / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    partial.chmod(0o755)
    try:
        partial.rename(place / name)
    except OSError:
        if not (place / name).is_dir():  # unless another process was first
            raise
        shutil.rmtree(partial)


def _files(packages: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield (path inside the copy, file) of every source."""
    size = 0
    for name in (*_OWN, *dict.fromkeys(packages)):
        if name.split(".")[0] == "lsgen" and name not in _OWN:
            continue
        for inside, file in _sources(name):
            size += file.stat().st_size
            if size > _LIMIT:
                raise RunError(f"expected at most {_LIMIT // 10**6} MB of code to copy, got more by the package {name}")
            yield inside, file


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or (name not in _OWN and _is_installed(spec.origin)):
        return
    if spec.submodule_search_locations is None:
        if spec.origin and spec.origin.endswith(".py"):
            yield Path(spec.origin).name, Path(spec.origin)
        return
    for folder in spec.submodule_search_locations:
        for path, directories, names in os.walk(folder):
            directories[:] = sorted(entry for entry in directories if entry != "__pycache__" and entry[0] != ".")
            for entry in names:
                if not entry.endswith((".pyc", ".so")) and entry[0] != ".":
                    file = Path(path) / entry
                    yield str(Path(*name.split("."), file.relative_to(folder))), file


def _is_installed(origin: str | None) -> bool:
    """Tell whether a module is the standard library's or pip's."""
    if origin is None:
        return False
    homes = tuple(sysconfig.get_paths()[key] + os.sep for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    return not origin.endswith(".py") or origin.startswith(homes)
