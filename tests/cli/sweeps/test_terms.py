"""Sweeps that stop at a failure or when their time is over, are retried job by job, and know their best run."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
import torch

from lsgen.cli import sweep_job
from lsgen.cli.launchers.base import run_job
from lsgen.cli.sweeps.best_run import link_best, name_criterion
from lsgen.cli.sweeps.terms import Terms, skip_reason, stopped_in_time
from lsgen.runs import RunDirectory, Sweep, find_runs

HOUR = 3600 * 10**9


@pytest.fixture
def sweep(tmp_path):
    """Return a sweep of five jobs that have not run."""
    sweep = Sweep.create(tmp_path / "s")
    for number in range(5):
        overrides = [f"seed={number}"]
        sweep.add(overrides, run=f"{number:03d}_{sweep.job_id(overrides)}", code="x")
        config = {"seed": number, "model": {"max_steps": 100}}
        RunDirectory.create(sweep.path / sweep.jobs[-1].run, config, {"id": "x"})
    sweep.save()
    return sweep


def runs_of(sweep):
    return [sweep.run(job) for job in sweep.jobs]


@pytest.mark.slow
def test_after_a_failure_no_job_starts_and_a_retry_takes_them_up(lsgen, small, tmp_path, here, monkeypatch):
    """The second of three jobs cannot be trained; the retry, in another room, can."""
    good = sweep_job.execute

    def execute(run):
        if run.config()["seed"] == 1:
            run.set_status("failed", error="ValueError: no")
            return 1
        return good(run)

    monkeypatch.setattr(sweep_job, "execute", execute)
    outcome = lsgen("train", "-m", "--stop-at-first-failure", *small, "sweep_dir=s", "seed=0,1,2")
    sweep = Sweep.open(tmp_path / "s")
    assert outcome.code == 1
    assert sweep.states() == ["done", "failed", "skipped"]
    assert [run.status().get("skipped") for run in runs_of(sweep)] == [None, None, "job 1 failed"]
    assert "1 done, 1 failed, 1 skipped" in outcome.out
    assert "job 1 failed" in lsgen("sweep", "status", "s").out
    assert os.readlink(tmp_path / "s" / "best") == sweep.jobs[0].run
    outcome = lsgen("sweep", "retry", "s", "seed=2 and status=skipped")  # an old failure stops nobody
    assert sweep.states() == ["done", "failed", "done"]
    monkeypatch.setattr(sweep_job, "execute", good)
    assert lsgen("sweep", "retry", "s", "--stop-at-first-failure").code == 0
    assert sweep.states() == ["done"] * 3
    assert [len(run.provenance()["attempts"]) for run in runs_of(sweep)] == [1, 2, 1]
    scores = [run.status()["metrics"]["val/elbo"] for run in runs_of(sweep)]
    assert os.readlink(tmp_path / "s" / "best") == sweep.jobs[scores.index(max(scores))].run
    assert {run.path.name for run in find_runs([str(tmp_path / "s" / "*")])} == {job.run for job in sweep.jobs}
    weights = runs_of(sweep)[0].checkpoint().read_bytes()
    again = lsgen("sweep", "retry", "s", "seed=0")
    assert "no job is chosen that failed, stopped or was skipped" in again.out
    assert lsgen("sweep", "retry", "s", "seed=0", "--anew").code == 0
    assert [len(run.provenance()["attempts"]) for run in runs_of(sweep)] == [2, 2, 1]
    earlier = list((runs_of(sweep)[0].path / "earlier").glob("*/checkpoints/last.ckpt"))
    assert [file.read_bytes() for file in earlier] == [weights]
    assert lsgen("sweep", "retry", "s", "--anew").code == 2


class _AfterTheFirstLog:
    """Stand-in for a timer: it goes off, and the time is over, when a run of the directory `s` has logged something."""

    def __init__(self, seconds, function):
        self.function = function

    def start(self):
        threading.Thread(target=self.wait, daemon=True).start()

    def wait(self):
        while not list(Path("s").glob("*/metrics.csv")):
            time.sleep(0.01)
        _AfterTheFirstLog.over = True
        self.function()

    def cancel(self):
        pass


@pytest.mark.slow
def test_when_the_time_is_over_what_runs_is_saved_and_the_rest_is_skipped(lsgen, small, tmp_path, here, monkeypatch):
    """The run that the clock cut short goes on to the weights of one that was never stopped."""
    small = (*small, "data.batch_size=64", "trainer.check_val_every_n_epoch=50", "model.prior.dim=2")
    small += ("callbacks.checkpoint.every_n_epochs=null",)
    _AfterTheFirstLog.over = False
    ends = property(lambda terms: terms.hours and time.time() + (-1 if _AfterTheFirstLog.over else 1000))
    with monkeypatch.context() as patch:
        patch.setattr("lsgen.cli.sweeps.terms.Terms.until", ends)
        patch.setattr("lsgen.cli.sweeps.terms.threading.Timer", _AfterTheFirstLog)
        outcome = lsgen("train", "-m", *small, "model.max_steps=100000", "--hours", "9", "sweep_dir=s", "seed=0,1")
    sweep = Sweep.open(tmp_path / "s")
    assert outcome.code == 1
    assert sweep.states() == ["stopped", "skipped"]
    first, second = runs_of(sweep)
    assert first.status()["state"] == "interrupted"
    assert second.status()["skipped"] == "the 9 hours of the sweep are over"
    assert "the hours of the sweep are over" in outcome.out
    steps = f"model.max_steps={first.status()['generator_steps'] + 5}"
    lsgen("train", f"resume={first.path}", steps)
    lsgen("train", *small, steps, "seed=0", "run_dir=never_stopped")
    one, other = (
        torch.load(place.checkpoint(), weights_only=True)["state_dict"]
        for place in (first, RunDirectory(tmp_path / "never_stopped"))
    )
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_job_that_cannot_end_in_time_is_not_started(sweep):
    runs = runs_of(sweep)
    for run, seconds in zip(runs[:3], (100.0, 200.0, 900.0), strict=True):
        run.set_status("finished", seconds=seconds)
    runs[3].set_status("interrupted", generator_steps=60)

    def left(seconds):
        sweep.about["terms"] = Terms(hours=1.0, since=time.time_ns() - HOUR + int(seconds * 1e9)).record()
        return [skip_reason(sweep, job) is None for job in sweep.jobs[3:]]

    assert left(250) == [True, True]
    assert left(120) == [True, False]  # 0.4 of the median 200 s are left of one, all of them of the other
    assert left(70) == [False, False]
    assert left(-1) == [False, False]
    assert "about 200 s are needed" in skip_reason(sweep, sweep.jobs[4]) or left(-1) == [False, False]


def test_what_has_failed_counts_from_the_launch_on(sweep):
    failed, killed, *_ = runs = runs_of(sweep)
    failed.set_status("failed")
    launch = Terms(stop_at_first_failure=True)
    sweep.about["terms"] = launch.record()
    os.utime(failed.status_file, ns=(launch.since - HOUR,) * 2)
    assert skip_reason(sweep, sweep.jobs[2]) is None
    os.utime(failed.status_file, ns=(launch.since + 10**6,) * 2)
    assert skip_reason(sweep, sweep.jobs[2]) == "job 0 failed"
    os.utime(failed.status_file, ns=(launch.since - HOUR,) * 2)
    killed.set_status("running")
    os.utime(killed.status_file, ns=(launch.since + 10**6,) * 2)
    assert skip_reason(sweep, sweep.jobs[2]) is None  # its scheduler may start it again
    sweep.about["terms"]["killed_is_failed"] = True
    assert skip_reason(sweep, sweep.jobs[2]) == "job 1 failed"
    with killed.lock():
        assert skip_reason(sweep, sweep.jobs[2]) is None
    sweep.about["terms"] = Terms().record()
    assert skip_reason(sweep, sweep.jobs[2]) is None
    assert runs[2].status() == {"state": "created", **runs[2].status()}


def test_a_skipped_job_keeps_what_it_had_and_a_launcher_at_work_does_not_count_it(sweep, capsys):
    run = runs_of(sweep)[0]
    run.set_status("failed", generator_steps=7, error="ValueError: no", traceback="...")
    os.utime(run.status_file, ns=(1, 1))
    sweep.about["terms"] = Terms(hours=1.0, since=1).record()
    with sweep.claim([0, 1]):
        assert sweep.states()[:2] == ["queued", "queued"]
        assert run_job(sweep, sweep.jobs[0]) == 0  # starts no process
        assert sweep.states()[:2] == ["skipped", "queued"]
    kept = {"generator_steps": 7, "error": "ValueError: no", "traceback": "...", "state": "interrupted"}
    assert kept.items() <= run.status().items()
    assert not sweep.logs.exists()
    assert "skipped" in capsys.readouterr().out
    run.set_status("running")
    assert "skipped" not in run.status()


def test_the_best_run_is_linked_by_metric_and_direction(sweep):
    runs, link = runs_of(sweep), sweep.path / "best"
    assert link_best(sweep) is None
    values = [-3.0, -1.0, float("nan"), -2.0, 9.0]
    for run, value in zip(runs, values, strict=True):
        run.set_status("finished", metrics={"val/elbo": value, "val/loss": -value})
    runs[4].set_status("pruned", metrics={"val/elbo": 9.0, "val/loss": 9.0})
    assert link_best(sweep).run.path == runs[1].path
    assert link.resolve() == runs[1].path.resolve()
    name_criterion(sweep, "val/loss", False)
    assert link_best(sweep).value == 1.0
    name_criterion(sweep, "val/loss", True)
    assert link_best(sweep).run.path == runs[0].path
    assert link.resolve() == runs[0].path.resolve()
    runs[0].set_aside()
    assert link_best(sweep).run.path == runs[3].path
    for copied in (link.mkdir, lambda: link.write_text("notes")):  # as where links were followed
        link.unlink() if link.is_symlink() else link.rmdir()
        copied()
        assert link_best(sweep).run.path == runs[3].path
        assert not link.is_symlink()
    assert link.read_text() == "notes"
    link.unlink()
    del sweep.about["best"]
    runs[0].set_status("finished", metrics={"train/loss": 1.0})  # this sweep has no value that all its runs have
    assert link_best(sweep) is None
    assert not link.is_symlink()
    assert find_runs([sweep.path])[0].path == runs[0].path


def test_hours_beyond_any_clock_end_nothing(sweep):
    sweep.about["terms"] = Terms(hours=1e308).record()
    with stopped_in_time(sweep) as over:
        time.sleep(0.01)
        assert not over.is_set()
        assert [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
