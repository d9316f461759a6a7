"""Sweeps without a cluster: launched twice, killed, retried, cancelled, searched, collected."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lsgen.cli.launchers.pool import Joblib
from lsgen.cli.launchers.slurm import Slurm, ranges
from lsgen.cli.sweeps.wandb_sweep import definition
from lsgen.runs import RunDirectory, Sweep, index

LONG = ("model.max_steps=120", "data.batch_size=64", "trainer.check_val_every_n_epoch=50")
LONG += ("callbacks.checkpoint.every_n_steps=10",)

ONE_BY_ONE = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1")


def steps_of(sweep):
    return [sweep.run(job).status().get("generator_steps") for job in sweep.jobs]


def attempts(sweep):
    return [len(sweep.run(job).provenance()["attempts"]) for job in sweep.jobs]


def until(what, seconds=300.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


@pytest.mark.slow
def test_the_same_sweep_twice_does_no_work_twice(lsgen, small, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789secret")
    assert lsgen("train", "-m", *small, "sweep_dir=s", "seed=0,1").code == 0
    again = lsgen("train", "-m", "seed=1,0,2", *small, *ONE_BY_ONE, "sweep_dir=s")
    assert again.code == 0
    sweep = Sweep.open(tmp_path / "s")
    assert attempts(sweep) == [1, 1, 1]
    assert steps_of(sweep) == [6, 6, 6]
    provenance = [sweep.run(job).provenance() for job in sweep.jobs]
    assert len({about["id"] for about in provenance}) == 3
    assert all(about["git"] is None or len(about["git"]["sha"]) == 40 for about in provenance)
    assert provenance[2]["argv"][-2:] == ["logger=csv", "sweep_dir=s"] or "sweep_dir=s" in provenance[2]["argv"]
    assert all((sweep.code / job.code / "lsgen" / "cli" / "task.py").exists() for job in sweep.jobs)
    held = [file for file in sweep.path.rglob("*") if file.is_file() and b"0123456789secret" in file.read_bytes()]
    assert held == []


@pytest.mark.slow
def test_a_sweep_with_a_bad_config_starts_nothing(lsgen, small, tmp_path):
    outcome = lsgen("train", "-m", *small, "sweep_dir=s", "data=digits,nothing")
    assert outcome.code == 2
    assert "expected data to be one of" in outcome.err
    outcome = lsgen("train", "-m", *small, "sweep_dir=s", "+model.token=a,b")
    assert outcome.code == 2
    assert "looks like a secret" in outcome.err
    assert list(tmp_path.glob("s/*/config.yaml")) == []
    assert lsgen("train", "--wait", *small).code == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nonsense",), "expected status, retry, cancel or --wandb, got 'nonsense'"),
        (("statu", "s"), "did you mean status?"),
        (("status",), "expected one directory of a sweep, got none"),
        (("status", "s"), "expected the directory of a sweep"),
        (("cancel", "--wait", "s"), "unknown flag --wait of `lsgen sweep cancel`"),
        (("--wandb", "seed=1,2"), "got no file"),
    ],
)
def test_sweep_says_what_it_expects(lsgen, arguments, sentence):
    outcome = lsgen("sweep", *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err


@pytest.mark.slow
def test_without_slurm_the_launcher_says_so(lsgen, small, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = lsgen("train", "-m", *small, "hydra/launcher=slurm", "sweep_dir=s", "seed=0,1")
    assert outcome.code == 2
    assert "hydra/launcher=slurm needs SLURM's" in outcome.err


@pytest.mark.slow
def test_a_killed_job_and_a_killed_launcher_are_retried(small, tmp_path):
    """kill -9 of the job, then of the launcher: status tells, retry finishes, and what was done stays."""
    command = [sys.executable, "-m", "lsgen.cli"]
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    options = {"cwd": tmp_path, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    launcher = subprocess.Popen(
        [*command, "train", "-m", *small, *LONG, "sweep_dir=s", "seed=0,1,2"],
        **options,
    )
    until(lambda: (tmp_path / "s" / "sweep.json").exists() and len(Sweep.open(tmp_path / "s").jobs) == 3)
    sweep = Sweep.open(tmp_path / "s")
    first, second, _ = runs = [sweep.run(job) for job in sweep.jobs]
    until(lambda: (first.checkpoints / "last.ckpt").exists())
    assert sweep.states() == ["running", "queued", "queued"]
    os.kill(first.status()["pid"], signal.SIGKILL)
    until(lambda: second.status()["state"] == "running" and second.is_locked() and second.metrics_file.exists())
    launcher.kill()
    launcher.wait()
    os.kill(second.status()["pid"], signal.SIGKILL)
    until(lambda: not second.is_locked())
    assert sweep.states() == ["stopped"] * 3
    done = subprocess.run([*command, "sweep", "retry", "s"], **{**options, "stdout": subprocess.PIPE}, check=False)
    assert done.returncode == 0
    assert b"3 done" in done.stdout
    assert [run.status()["generator_steps"] for run in runs] == [120] * 3
    assert attempts(sweep) == [2, 2, 1]


@pytest.mark.slow
def test_cancel_stops_a_launcher_and_its_job_after_saving(small, tmp_path):
    command = [sys.executable, "-m", "lsgen.cli"]
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    options = {"cwd": tmp_path, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    launcher = subprocess.Popen([*command, "train", "-m", *small, *LONG, "sweep_dir=s", "seed=0,1"], **options)
    until(lambda: (tmp_path / "s" / "sweep.json").exists() and len(Sweep.open(tmp_path / "s").jobs) == 2)
    sweep = Sweep.open(tmp_path / "s")
    first = sweep.run(sweep.jobs[0])
    until(lambda: first.metrics_file.exists())
    assert subprocess.run([*command, "sweep", "cancel", "s"], **options, check=False).returncode == 0
    assert launcher.wait(30) != 0
    until(lambda: not first.is_locked())
    assert sweep.states() == ["stopped", "stopped"]
    assert first.status()["state"] == "interrupted"
    assert first.checkpoint().exists()


@pytest.mark.slow
def test_ray_runs_jobs_as_tasks(lsgen, small, tmp_path):
    pytest.importorskip("ray")
    outcome = lsgen("train", "-m", *small, "hydra/launcher=ray", "sweep_dir=s", "seed=0,1", "hydra.launcher.num_cpus=1")
    assert outcome.code == 0, outcome.err
    assert Sweep.open(tmp_path / "s").states() == ["done", "done"]


SEARCH = ("hydra/sweeper=optuna", "model.objective.beta=tag(log,interval(0.1,10))", "model.prior.dim=choice(2,3)")


@pytest.mark.slow
def test_optuna_goes_on_after_a_kill(lsgen, small, tmp_path):
    """A study killed in its second trial ends with the trials that were asked for, none of them run or told twice."""
    optuna = pytest.importorskip("optuna")
    command = [sys.executable, "-m", "lsgen.cli", "train", "-m", *small, *SEARCH]
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    process = subprocess.Popen(
        [*command, "hydra.sweeper.n_trials=3", "sweep_dir=s"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
    )
    until(lambda: len(list(tmp_path.glob("s/00?_*/config.yaml"))) >= 2)
    process.kill()
    process.wait()
    # the second trial, which is a process of its own, may still be training, or may not have begun yet
    outcome = lsgen("train", "-m", *small, *SEARCH, "hydra.sweeper.n_trials=3", "sweep_dir=s")
    assert outcome.code == 0, outcome.err
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "s" / "optuna.journal"))
    study = optuna.load_study(study_name="lsgen", storage=optuna.storages.JournalStorage(backend))
    sweep = Sweep.open(tmp_path / "s")
    assert sweep.states() == ["done"] * 3
    told = {
        tuple(trial.user_attrs["lsgen:overrides"]): trial.value for trial in study.trials if trial.value is not None
    }
    measured = {job.overrides: sweep.run(job).status()["metrics"]["val/elbo"] for job in sweep.jobs}
    assert told == pytest.approx(measured)
    assert len({trial.params["model.objective.beta"] for trial in study.trials}) == 3
    assert "best     val/elbo" in outcome.out


def test_a_search_says_what_it_expects(lsgen, small):
    pytest.importorskip("optuna")
    outcome = lsgen("train", "-m", *small, "hydra/sweeper=optuna", "sweep_dir=s")
    assert outcome.code == 2
    assert "expected something to search" in outcome.err


@pytest.mark.slow
def test_agents_of_wandb_get_a_command_that_trains(lsgen, small, tmp_path):
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    swept = ("model.objective.beta=1,4", "model.prior.dim=2,3")
    assert lsgen("sweep", "--wandb", "sweep.yaml", "goal=maximize", *small, *swept).code == 0
    content = yaml.safe_load((tmp_path / "sweep.yaml").read_text())
    assert content["parameters"] == {"model.objective.beta": {"values": [1, 4]}, "model.prior.dim": {"values": [2, 3]}}
    chosen = {key: {"value": parameter["values"][1]} for key, parameter in content["parameters"].items()}
    values = create_sweep_command_args({"args": chosen})["args_no_hyphens"]
    command = [word for word in content["command"] if word != "${env}"]
    at = command.index("${args_no_hyphens}")
    command = [word for word in (*command[:at], *values) if not word.startswith(("logger", "${"))]
    assert command[:2] == ["lsgen", "train"]
    shown = lsgen(*command[1:], "--cfg", "job")
    config = yaml.safe_load(shown.out)
    assert (config["model"]["objective"]["beta"], config["model"]["prior"]["dim"]) == (4, 3)


@pytest.mark.parametrize(
    ("overrides", "options", "sentence"),
    [
        (("seed=1",), {}, "expected something to sweep"),
        (("a=interval(0,1)",), {}, "an interval"),
        (("seed=1,2",), {"method": "grind"}, "expected method among grid, random, bayes, got 'grind'"),
        (("seed=1,2", "logger.wandb.api_key=abc"), {}, "looks like a secret"),
    ],
)
def test_a_definition_says_what_it_cannot_express(overrides, options, sentence):
    with pytest.raises(Exception, match=sentence):
        definition(overrides, **options)


def test_intervals_become_distributions():
    found = definition(["a=interval(0,1)", "b=tag(log,interval(1,8))", "c=tag(int,interval(1,5))"], method="bayes")
    kinds = {key: value["distribution"] for key, value in found["parameters"].items()}
    assert kinds == {"a": "uniform", "b": "log_uniform_values", "c": "int_uniform"}


def made(path, setting, seed, value, state="finished"):
    run = RunDirectory.create(
        path, {"seed": seed, "model": {"beta": setting}}, {"id": path.name, "choices": {"net": "mlp"}}
    )
    run.set_status(state)
    if state == "finished":
        run.metrics_file.write_text(f"step,test/elbo\n1,{value}\n")


@pytest.fixture
def sweep(tmp_path):
    """Return a made-up sweep of three settings and three seeds, one of whose runs failed."""
    sweep = Sweep.create(tmp_path / "s")
    for setting in (1, 4, 16):
        for seed in range(3):
            job = sweep.add([f"model.beta={setting}", f"seed={seed}", "net=mlp"], run=f"{setting}_{seed}", code="x")
            state = "failed" if (setting, seed) == (4, 2) else "finished"
            made(sweep.path / job.run, setting, seed, -setting - 10.0 * seed - 0.01 * seed * setting, state)
    sweep.save()
    return sweep


def test_a_job_that_is_killed_harms_no_other_at_the_same_time(sweep, monkeypatch):
    def command(sweep, numbers):
        return [
            "sh",
            "-c",
            "kill -9 $$" if numbers == [1] else f"echo $OMP_NUM_THREADS > {sweep.path}/{numbers[0]}.ran",
        ]

    monkeypatch.setattr("lsgen.cli.launchers.base.job_command", command)
    Joblib(n_jobs=2, threads=3).run(sweep, sweep.jobs[:4])
    assert {file.name: file.read_text() for file in sweep.path.glob("*.ran")} == dict.fromkeys(
        ("0.ran", "2.ran", "3.ran"), "3\n"
    )


def test_a_table_of_a_sweep_has_a_row_for_each_setting(lsgen, sweep):
    rows = list(csv.DictReader(io.StringIO(lsgen("table", "s", "--format", "csv").out)))
    columns = ["model.beta", "n", "failed", *(f"test/elbo_{name}" for name in ("mean", "std", "ci_low", "ci_high"))]
    assert list(rows[0]) == columns
    assert [(row["model.beta"], row["n"], row["failed"]) for row in rows] == [
        ("1", "3", "0"),
        ("4", "2", "1"),
        ("16", "3", "0"),
    ]
    assert float(rows[0]["test/elbo_mean"]) == pytest.approx(-11.01)
    assert float(rows[0]["test/elbo_std"]) == pytest.approx(10.01)
    assert lsgen("table", "s", "--by", "net", "--format", "csv").out.splitlines()[1].startswith("mlp,8,1,")
    assert "no run has 'model.bet'; did you mean model.beta?" in lsgen("table", "s", "--by", "model.bet").err
    marked = lsgen("table", "s", "--format", "md").out.splitlines()[2:]
    assert [line.startswith("| **") for line in marked] == [True, False, False]


def test_on_a_screen_a_metric_of_a_sweep_is_one_cell_that_no_width_breaks(lsgen, sweep, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    out = lsgen("table", "s").out
    first = next(line for line in out.splitlines() if line.startswith("│ 1 "))
    (cell,) = re.findall(r"-11\.01 ± 10 \[(\S+), (\S+)\]", first)
    half = 4.302653 * 10.01 / 3**0.5  # Student's t of 2 degrees of freedom at 97.5 %, by the printed tables
    assert [float(end) for end in cell] == pytest.approx([-11.01 - half, -11.01 + half], rel=1e-3)
    assert "95 % confidence interval of the mean] over seed" in out
    assert "bold: the best test/elbo" in out


def test_tables_are_latex_and_parquet_too(lsgen, sweep, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert lsgen("table", "s", "--format", "parquet").code == 0
    table = parquet.read_table(tmp_path / "s" / "table.parquet").to_pydict()
    assert table["model.beta"] == [1, 4, 16]
    assert table["n"] == [3, 2, 3]
    assert table["test/elbo_mean"][0] == pytest.approx(-11.01)
    text = lsgen("table", "s", "--format", "latex").out
    assert text.count(r"\\") == 4
    for word in (r"\toprule", r"\midrule", r"\bottomrule", r"$\mathbf{-11.01} \pm 10$"):
        assert word in text


def test_a_plot_shows_every_seed(lsgen, sweep, tmp_path):
    from PIL import Image

    outcome = lsgen("table", "s", "--plot", "model.beta")
    assert outcome.code == 0, outcome.err
    with Image.open(tmp_path / "s" / "figures" / "model.beta.png") as image:
        assert min(image.size) > 300
        assert len(image.convert("RGB").getcolors(1 << 24)) > 50
    assert "expected --plot to name one of model.beta" in lsgen("table", "s", "--plot", "seed").err


def test_the_page_of_a_sweep_is_written_beside_its_runs(lsgen, sweep, tmp_path):
    outcome = lsgen("report", "s")
    assert outcome.code == 0, outcome.err
    page = (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png') == 1, "test/elbo against model.beta"
    assert 'alt="test/elbo against model.beta"' in page
    assert "8 done" in page
    assert "could not be asked" not in page
    assert lsgen("report", "s/1_0").code == 0
    lsgen("report", "s")
    assert 'href="1_0/report.html"' in (tmp_path / "s" / "report.html").read_text(encoding="utf-8")


def test_the_page_of_a_sweep_away_from_its_cluster_says_so(lsgen, sweep, tmp_path, monkeypatch):
    sweep.about["schedulers"] = ["Slurm"]
    sweep.save()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lsgen("report", "s").code == 0
    assert "The scheduler could not be asked" in (tmp_path / "s" / "report.html").read_text(encoding="utf-8")


def test_report_says_what_it_expects_of_a_sweep(lsgen, sweep, tmp_path):
    outcome = lsgen("report", "s", "checkpoint=last")
    assert (outcome.code, "checkpoint= goes with one RUN, got s, which is a sweep" in outcome.err) == (2, True)
    Sweep.create(tmp_path / "empty")
    outcome = lsgen("report", "empty")
    assert (outcome.code, "expected a sweep with jobs, got none in empty" in outcome.err) == (2, True)
    (tmp_path / "s" / "sweep.json").write_text("{")
    assert "cannot read" in lsgen("report", "s").err


def test_a_table_over_numbers_of_processes_has_their_efficiency(lsgen, tmp_path):
    sweep = Sweep.create(tmp_path / "s")
    for devices, rate in ((1, 100.0), (2, 150.0), (4, 200.0)):
        job = sweep.add([f"trainer.devices={devices}", "trainer.num_nodes=1"], run=str(devices), code="x")
        config = {"seed": 0, "trainer": {"devices": devices, "num_nodes": 1}}
        run = RunDirectory.create(sweep.path / job.run, config, {"id": job.run})
        run.set_status("finished")
        run.metrics_file.write_text(f"step,val/elbo,train/images_per_s\n1,-1.0,{rate}\n")
    sweep.save()
    rows = list(csv.DictReader(io.StringIO(lsgen("table", "s", "--by", "trainer.devices", "--format", "csv").out)))
    assert [float(row["scaling_efficiency_mean"]) for row in rows] == [1.0, 0.75, 0.5]


def test_the_index_notices_every_change(sweep, monkeypatch):
    runs = [sweep.run(job) for job in sweep.jobs]
    first = index(runs)
    monkeypatch.setattr("lsgen.runs.rows._row", lambda run: pytest.fail("read again"))
    assert index(runs) == first
    monkeypatch.undo()
    runs[0].metrics_file.write_text("step,test/elbo\n2,-5.0\n")
    runs[1].set_status("failed", error="x")
    runs[2].record_attempt({"overrides": {"model.beta": 3}})
    (runs[3].path / "evaluation").mkdir()
    (runs[3].path / "evaluation" / "last.json").write_text(json.dumps({"metrics": {"test/fid": 1.5}}))
    again = index(runs)
    assert (again[0]["test/elbo"], again[1]["state"], again[2]["model.beta"], again[3]["test/fid"]) == (
        -5.0,
        "failed",
        3,
        1.5,
    )
    assert again[4:] == first[4:]
    (Path(sweep.path) / ".index.json").write_text("{")
    assert index(runs) == again


def test_sync_finds_what_was_written_offline_in_its_order(lsgen, sweep, tmp_path):
    run = sweep.run(sweep.jobs[0])
    for name in ("offline-run-20260102_000000-a", "offline-run-20260101_000000-a", "run-20260101_000000-b"):
        (run.path / "wandb" / name).mkdir(parents=True)
    assert [Path(line).name[12:20] for line in lsgen("sync", "s", "--dry-run").out.splitlines()] == [
        "20260101",
        "20260102",
    ]
    (run.path / "wandb" / "offline-run-20260101_000000-a" / "run-a.wandb.synced").touch()
    assert len(lsgen("sync", "s", "--dry-run").out.splitlines()) == 1


def test_slurm_is_asked_for_what_a_job_needs(sweep):
    job = sweep.add(["x=1"], run="r", code="c", nodes=2, devices=4, accelerator="gpu")
    options = Slurm(partition="gpu", time="8:00:00", gpu_type="a100", cpus_per_task=6)._options(sweep, job)
    expected = {
        "--nodes=2",
        "--ntasks-per-node=4",
        "--gres=gpu:a100:4",
        "--partition=gpu",
        "--time=8:00:00",
        "--requeue",
    }
    assert expected | {"--cpus-per-task=6", "--signal=USR2@90"} <= set(options)
    assert not any(option.startswith(("--account", "--mem", "--qos")) for option in options)
    assert "--no-requeue" in Slurm(requeue=False)._options(sweep, job)
    assert "--ntasks-per-node=8" in Slurm(gpus_per_node=8)._options(
        sweep, sweep.add(["x=2"], run="q", code="c", devices="auto")
    )
    assert ranges([7]) == "7"
    with pytest.raises(Exception, match="looks like a secret"):
        Slurm(environment={"WANDB_API_KEY": "abc"})
    with pytest.raises(Exception, match="yaml reads 4:00:00 without quotes as seconds"):
        Slurm(time=14400)
