"""How soon the command line answers, and how soon training takes its first step."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

ROUNDS = 3
IMPORTS = "import torch, pytorch_lightning, torchmetrics, wandb"


def rows() -> list[dict[str, Any]]:
    """Return one row a measurement: medians over rounds, taken in turns."""
    seconds: dict[str, list[float]] = {"help": [], "imports": [], "first step": []}
    for _ in range(ROUNDS):
        seconds["help"].append(_until_end("-m", "lsgen.cli", "--help"))
        seconds["imports"].append(_until_end("-c", IMPORTS))
        seconds["first step"].append(_until_first_step())
    help_seconds, imports, first = (statistics.median(values) for values in seconds.values())
    return [
        {
            "work": "lsgen --help",
            "bound_or_peer": "seconds",
            "ratio": help_seconds,
            "target": "<= 0.5",
            "met": help_seconds <= 0.5,
        },
        {
            "work": f"lsgen train to its first step ({first:.1f} s)",
            "bound_or_peer": f"{IMPORTS} ({imports:.1f} s)",
            "ratio": first / imports,
            "target": "<= 1.5",
            "met": first / imports <= 1.5,
        },
    ]


def _until_end(*arguments: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return perf_counter() - start


def _until_first_step() -> float:
    """Return the seconds from starting `lsgen train` until it reports its first step."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "lsgen.cli",
            "train",
            "experiment=vae_digits",
            f"run_dir={Path(folder) / 'run'}",
        ]
        start = perf_counter()
        environment = {**os.environ, "WANDB_MODE": "offline", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("step 1/"):
                    return perf_counter() - start
            raise RuntimeError(f"lsgen train ended with code {process.wait()} before its first step")
        finally:
            process.terminate()
            process.communicate()


if __name__ == "__main__":
    for row in rows():
        print(row)
