"""Sweeps whose jobs run in the process of the tests."""

from __future__ import annotations

import signal

import pytest

from lsgen.cli import sweep_job
from lsgen.cli.launchers.local import Local


@pytest.fixture
def small():
    """Return the arguments of a run of six steps, without an overlay that every composition would check."""
    few = ("model.max_steps=6", "data.batch_size=512", "trainer.check_val_every_n_epoch=1")
    plain = ("callbacks=engine", "logger=csv", "report=false", "test=false", "trainer.log_every_n_steps=1")
    return ("data=digits", "model=vae", "model.encoder.hidden=[16]", "model.decoder.hidden=[16]", *plain, *few)


@pytest.fixture(autouse=True)
def _no_copies(monkeypatch):
    """Copy no code: jobs run the code of the tests."""
    monkeypatch.setattr("lsgen.cli.sweeps.jobs.take_snapshot", lambda *places: "none")


@pytest.fixture
def here(monkeypatch):
    """Have the launcher on this machine run its jobs in this process, whose signals are put back."""

    def run(self, sweep, jobs):
        for job in jobs:
            sweep_job.run_jobs(str(sweep.path), [job.number])

    monkeypatch.setattr(Local, "run", run)
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)
