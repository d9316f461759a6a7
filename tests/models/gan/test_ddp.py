"""Two optimisers over two processes: plain `strategy=ddp` takes the steps of one process on the same global batches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    leftovers = (
        "LOCAL_RANK",
        "NODE_RANK",
        "GLOBAL_RANK",
        "GROUP_RANK",
        "RANK",
        "WORLD_SIZE",
        "MASTER_",
        "PL_",
        "LSGEN_RUN",
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(leftovers)}
    results = []
    for devices in (1, 2):
        path = tmp_path / f"{devices}.pt"
        script = Path(__file__).with_name("two_processes.py")
        command = [sys.executable, script, str(devices), path]
        done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        results.append(torch.load(path, weights_only=True))
    one, two = results
    assert one["clocks"] == two["clocks"] == [2, 64]
    for name, value in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], value, atol=1e-6, rtol=1e-5, msg=name)
