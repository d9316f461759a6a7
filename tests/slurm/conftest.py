"""A SLURM on this machine, and `lsgen` as users of a cluster call it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lsgen.runs import Sweep

ROOT = Path(__file__).parents[2]
SMALL = (
    "experiment=vae_digits",
    "callbacks=engine",
    "logger=csv",
    "report=false",
    "test=false",
    "model.max_steps=6",
    "data.batch_size=512",
    "trainer.check_val_every_n_epoch=1",
    "trainer.log_every_n_steps=1",
)


class Cluster:
    """Runs commands against the local SLURM from one directory."""

    def __init__(self, place, conf):
        self.place = place
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("LSGEN_", "SLURM", "WANDB"))}
        self.environment = {**kept, "SLURM_CONF": str(conf), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}

    def run(self, *command, **more):
        return subprocess.run(
            list(map(str, command)),
            cwd=self.place,
            env={**self.environment, **more},
            text=True,
            capture_output=True,
            timeout=200,
            check=False,
        )

    def lsgen(self, *arguments, code=0, **more):
        done = self.run(sys.executable, "-m", "lsgen.cli", *arguments, **more)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def sweep(self, name, *arguments, small=SMALL, **more):
        options = [argument for argument in arguments if not argument.startswith("-")]
        flags = [argument for argument in arguments if argument.startswith("-")]
        self.lsgen("train", "-m", *flags, *small, "hydra/launcher=slurm", *options, f"sweep_dir={name}", **more)
        return Sweep.open(self.place / name)

    def occupy(self, partition="main"):
        """Take all nodes until the returned job is cancelled."""
        done = self.run(
            "sbatch", "--parsable", "-p", partition, "-N2", "--exclusive", "-o/dev/null", "--wrap=sleep 300"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def queue(self, sweep):
        """Return the states that SLURM shows of a sweep's jobs."""
        return self.run("squeue", "-h", "-r", f"--name=lsgen-{sweep.id}", "-o%T").stdout.split()


def until(what, seconds=300.0):
    """Wait until `what()` holds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)


def rows(run):
    """Return how many rows a run has logged."""
    return run.metrics_file.read_text().count("\n") - 1 if run.metrics_file.exists() else 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in ("slurmctld", "slurmd", "munged")):
        pytest.skip("needs slurmctld, slurmd and munge, and root to start them (scripts/slurm_local)")
    place = Path("/tmp") / f"lsgen-slurm-{os.getpid()}"  # a socket's path has to be short
    environment = {**os.environ, "LSGEN_SLURM_DIR": str(place)}
    script = [str(ROOT / "scripts" / "slurm_local")]
    done = subprocess.run([*script, "up"], env=environment, capture_output=True, text=True, check=False)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield Cluster(tmp_path_factory.mktemp("cluster"), place / "slurm.conf")
    finally:
        subprocess.run([*script, "down"], env=environment, capture_output=True, check=False)
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def small():
    return SMALL


@pytest.fixture(scope="session")
def wait_until():
    return until


@pytest.fixture(scope="session")
def rows_of():
    return rows
