"""A run whose pictures, logs or page fail has trained, and says what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pytorch_lightning import LightningModule, Trainer

from lsgen.callbacks import LikelihoodMetrics
from lsgen.report import write_report
from lsgen.runs import Problem, RunDirectory, problems_in

pytestmark = pytest.mark.slow


def test_a_run_that_draws_and_reports_in_vain(lsgen, small, tmp_path: Path) -> None:
    """Files stand where figures, the page and TensorBoard's folder belong: exit code 0, with a sentence for each."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    for name in ("figures", "wandb"):
        (run_dir / name).write_text("")
    (run_dir / "report.html").mkdir()
    draw = "+callbacks.samples={_target_: lsgen.callbacks.Samples, every_n_steps: 2, n: 2}"
    outcome = lsgen("train", *small, "report=true", draw, f"run_dir={run_dir}")
    assert outcome.code == 0, outcome.err
    run = RunDirectory.open(run_dir)
    status = run.status()
    told = {problem.who: (problem.first_step, problem.last_step, problem.count) for problem in problems_in(status)}
    assert (status["state"], status["generator_steps"]) == ("finished", 6)
    assert told == {"Samples": (2, 6, 3), "the report": (6, 6, 1)}
    assert outcome.err.count("Samples failed after 2 generator steps, and the run goes on: ") == 1
    assert "problem  Samples failed 3 times, first after 2 generator steps: NotADirectoryError" in outcome.out
    assert "Traceback" not in outcome.err
    assert "Traceback" in run.log_file.read_text(), "the log has the details"
    assert (run.checkpoints / "last.ckpt").is_file()
    (run_dir / "report.html").rmdir()
    assert "Samples failed 3 times" in write_report(run_dir).read_text()


@pytest.mark.parametrize("name", ["train.log", "status.json", "checkpoints"])
def test_a_run_that_cannot_be_recorded_is_refused_and_leaves_nothing(lsgen, small, tmp_path: Path, name: str) -> None:
    """What stands in its place is left as it is."""
    place = tmp_path / "run" / name
    place.parent.mkdir()
    place.write_text("") if name == "checkpoints" else place.mkdir()
    outcome = lsgen("train", *small, f"run_dir={tmp_path}/run")
    assert outcome.code == 2, outcome.err
    assert len([line for line in outcome.err.splitlines() if line.startswith("lsgen: ")]) == 1
    assert str(place.parent) in outcome.err
    assert "Traceback" not in outcome.err
    assert list(place.parent.iterdir()) == [place]


def test_a_run_whose_output_nobody_reads_any_more(small, tmp_path: Path) -> None:
    """As with `lsgen train | head -1`: it trains on, and says so on standard error."""
    command = [sys.executable, "-m", "lsgen.cli", "train", *small, "run_dir=run"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("run ")
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait() == 0, told
    status = RunDirectory.open(tmp_path / "run").status()
    assert (status["state"], status["generator_steps"]) == ("finished", 6)
    assert [problem.who for problem in problems_in(status)][:1] == ["Progress"]
    assert "Progress failed after 1 generator steps, and the run goes on: BrokenPipeError" in told


def test_a_stop_that_lightning_answers_is_said_in_steps(lsgen, small, tmp_path: Path, monkeypatch) -> None:
    """As a second Ctrl-C, which ends the process with a number and no words."""

    def interrupt(self: LikelihoodMetrics, trainer: Trainer, module: LightningModule) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LikelihoodMetrics, "on_train_end", interrupt, raising=False)
    outcome = lsgen("train", *small, f"run_dir={tmp_path}/run")
    assert outcome.code == 130, outcome.err
    assert "stopped  after 6 generator steps\n" in outcome.out
    assert RunDirectory.open(tmp_path / "run").status()["state"] == "interrupted"


def test_an_evaluation_that_lacks_a_value_fails(lsgen, small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To measure is all that it is for; what could be measured is written."""
    assert lsgen("train", *small, f"run_dir={tmp_path}/run").code == 0

    real = LikelihoodMetrics._end_evaluation

    def fail(self: LikelihoodMetrics, trainer: Trainer, module: LightningModule, stage: str) -> None:
        if stage == "test":
            raise ZeroDivisionError
        real(self, trainer, module, stage)

    monkeypatch.setattr(LikelihoodMetrics, "_end_evaluation", fail)
    outcome = lsgen("evaluate", f"{tmp_path}/run")
    assert outcome.code == 1
    assert "lsgen: not all was measured: LikelihoodMetrics failed once, after 6 generator steps: " in outcome.err
    assert "val/elbo" in json.loads((tmp_path / "run" / "evaluation" / "last.json").read_text())["metrics"]


def test_a_status_without_sense_has_no_problems() -> None:
    """What is no record is passed over."""
    good = {"who": "a", "what": "b", "first_step": 1, "last_step": 2, "count": 3}
    assert problems_in({"problems": [good, {"who": "a"}, 3, "x", None]}) == [Problem(**good)]
    assert problems_in({}) == problems_in({"problems": 3}) == []
