"""Running `lsgen` in this process."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lsgen.cli import main

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


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def lsgen(tmp_path, monkeypatch, capfd):
    """Return a function: arguments -> exit code, standard output, standard error; run from an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")

    def run(*arguments):
        capfd.readouterr()
        monkeypatch.setattr("sys.argv", ["lsgen", *arguments])
        code = main()
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def small():
    """Return the arguments of a run of six steps."""
    return SMALL


@pytest.fixture
def trained(lsgen, tmp_path):
    """Return the directory of a small trained run."""
    outcome = lsgen("train", *SMALL, f"run_dir={tmp_path}/trained")
    assert outcome.code == 0, outcome.err
    return tmp_path / "trained"
