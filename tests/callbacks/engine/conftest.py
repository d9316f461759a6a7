"""The toy run, as a fixture."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

_FILE = Path(__file__).with_name("toy_engine.py")


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("toy_engine", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy_engine"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def engine() -> ModuleType:
    """Return the module toy_engine."""
    return sys.modules.get("toy_engine") or _load()


@pytest.fixture(scope="session")
def reference(engine: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run of 65 steps that nothing disturbed."""
    run_dir = tmp_path_factory.mktemp("reference")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    engine.fit(run_dir)
    torch.set_num_threads(threads)
    return run_dir


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums over one thread are the same in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
