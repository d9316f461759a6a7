"""What tests of several rooms share."""

from __future__ import annotations

import gc
import json
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lsgen.conf  # noqa: F401 (its arithmetic is registered for tests that compose files of the tree)
import numpy as np
import pytest
import torch

from lsgen.cli.config.sources import register_source

# What PyTorch says where it was not built for CUDA: of tensors that pretend to be there, and of torchvision's wheels,
# which are compiled for PyTorch's own wheels.
_NOT_BUILT_FOR_CUDA = ("not linked with support for cuda", "not compiled with CUDA", "torchvision::nms does not exist")

_LONGEST = (
    "test_slurm_sweeps.py",
    "test_configs.py",
    "test_papers.py",
    "test_models.py",
    "test_sweeps.py",
    "test_train.py",
    "test_certificate.py",
    "test_close_codes.py",
    "test_new.py",
)

register_source()  # tests that compose configs by Hydra's own functions do so from the memory of a process too


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to run each test with one of its cases."""
    parser.addoption("--one-case", action="store_true", help="run each test once, and each member of a contract")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest files, most of all those that wait, so that no process ends up alone with one.

    Leave out all cases of a test but the first, where that was asked for. Members of a contract differ in kind: the
    first test of a file that takes a member keeps it.
    """
    items.sort(key=lambda item: _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST))
    if not config.getoption("--one-case"):
        return
    seen: set[str] = set()
    kept, left = [], []
    for item in items:
        test, _, case = item.nodeid.partition("[")
        asked = {test, f"{item.path}[{case}"} if "contracts" in item.path.parts else {test}
        (left if asked <= seen else kept).append(item)
        seen |= asked
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later search for garbage, which would look through all of it."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip a test that needs a PyTorch which was built for CUDA, GPU or not, where it was built for the CPU alone."""
    report = yield
    if report.failed and call.excinfo is not None and not torch.backends.cuda.is_built():
        said = str(call.excinfo.value)
        if any(words in said for words in _NOT_BUILT_FOR_CUDA):
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1], f"Skipped: PyTorch was not built for CUDA ({said})")
    return report


@dataclass
class WandbRun:
    """What an offline W&B run holds, over all its segments in the order in which they were written.

    Attributes:
        id, project, group, job_type, name: of the run.
        tags: labels.
        config: nested.
        history: one nested mapping a row; media are mappings with "_type" and "path".
        summary: last values.
        axes: for each segment, key or pattern of keys -> the key that its charts have as x axis.
        segments: directories, one an attempt; media paths are below their folder `files`.
        exit_codes: one for each segment that was finished.

    """

    id: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: list[dict[str, str]] = field(default_factory=list)
    segments: list[Path] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)

    def values(self, key: str) -> list[tuple[float, Any]]:
        """Return the (step, value) pairs of a logged key, which may contain slashes."""
        return [(row["step"], row[key]) for row in self.history if key in row]

    def files(self, key: str) -> list[Path]:
        """Return the media files of a logged key."""
        paths = {Path(value["path"]) for _, value in self.values(key)}
        return [
            segment / "files" / path
            for segment in self.segments
            for path in sorted(paths)
            if (segment / "files" / path).exists()
        ]


@pytest.fixture
def read_wandb() -> Callable[[Path], WandbRun]:
    """Return a reader: run directory -> what its offline W&B run holds."""
    return _read_run


def _read_run(run_dir: Path) -> WandbRun:
    """Read once every segment is finished, or unchanged for longer than W&B takes to write what it was given."""
    unchanged, size = 0, -1
    while True:
        run = _read_now(Path(run_dir))
        now = sum(file.stat().st_size for file in Path(run_dir).glob("wandb/*run-*/run-*.wandb"))
        unchanged, size = unchanged + 1 if now == size else 0, now
        if 0 < len(run.segments) == len(run.exit_codes) or unchanged >= 15:
            return run
        time.sleep(0.1)


def _read_now(run_dir: Path) -> WandbRun:
    run = WandbRun()
    for file in sorted(run_dir.glob("wandb/*run-*/run-*.wandb")):
        run.segments.append(file.parent)
        run.axes.append({})
        for record in _records(file):
            _take(run, record)
    return run


def _take(run: WandbRun, record: Any) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        about = record.run
        run.id, run.project, run.name = about.run_id, about.project, about.display_name
        run.group, run.job_type, run.tags = about.run_group, about.job_type, list(about.tags)
        _put(run.config, about.config.update)
    elif kind == "config":
        _put(run.config, record.config.update)
    elif kind == "history":
        row: dict[str, Any] = {}
        _put(row, record.history.item)
        run.history.append(row)
    elif kind == "metric" and record.metric.step_metric:
        run.axes[-1][record.metric.name or record.metric.glob_name] = record.metric.step_metric
    elif kind == "summary":
        _put(run.summary, record.summary.update)
    elif kind == "exit":
        run.exit_codes.append(record.exit.exit_code)


def _put(target: dict[str, Any], items: Any) -> None:
    """Set every item at its key, or at its path of keys."""
    for item in items:
        *parents, last = list(item.nested_key) or [item.key]
        place = target
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = json.loads(item.value_json)


def _records(file: Path) -> Iterator[Any]:
    """Yield the records of a .wandb file: a LevelDB log of protocol buffers after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    for data in _log(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        yield record


def _log(content: bytes, block: int = 32768) -> Iterator[bytes]:
    parts, at = b"", 7
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if at > len(content) or kind == 0:
            return
        if kind in (1, 4):
            yield parts
            parts = b""


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Give every test its own random numbers, the same whatever ran before it and in whichever process."""
    seed = zlib.crc32(request.node.nodeid.encode())
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the global generator, for what draws from it)
    random.seed(seed)


@pytest.fixture(autouse=True)
def _own_modules(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forget the modules that a test wrote and imported, so that another may write one of the same name."""
    yield
    folder = request.node.funcargs.get("tmp_path")
    if folder is not None:
        own = [name for name, module in sys.modules.items() if _file(module).startswith(str(folder))]
        for name in own:
            del sys.modules[name]


def _file(module: object) -> str:
    """Return the file of a module, without asking modules that import others when they are asked."""
    return str(getattr(module, "__dict__", {}).get("__file__"))
