"""Sweeps on a real SLURM: frozen when they are submitted, preempted, cancelled, failed, retried, on two nodes."""

from __future__ import annotations

import pytest
import torch

from lsgen.callbacks import read_checkpoint
from lsgen.runs import Sweep

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

LONG = ("model.max_steps=400", "data.batch_size=64", "trainer.check_val_every_n_epoch=5")
SLOW = """
import time

from pytorch_lightning import Callback


class Slow(Callback):
    def on_train_batch_end(self, *_):
        time.sleep(0.02)
"""
NO_PERIODIC = ("callbacks.checkpoint.every_n_epochs=null", "callbacks.checkpoint.every_n_minutes=null")
MODULE = """
from lsgen.models.vae import ELBO

class Mine(ELBO):
    marker = {marker}

    def __init__(self, beta=1.0):
        super().__init__(beta)
        print("marker", self.marker)
"""


def same_weights(one, other):
    first, second = (read_checkpoint(run.checkpoint())["state_dict"] for run in (one, other))
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def slow(cluster):
    """Return the override and the environment of training that lasts 8 s at least on a machine of any speed."""
    (cluster.place / "slow_steps.py").write_text(SLOW)
    return "+callbacks.slow._target_=slow_steps.Slow", {
        "LSGEN_TARGETS": "slow_steps",
        "PYTHONPATH": str(cluster.place),
    }


def test_a_grid_runs_what_was_submitted_whatever_is_edited_meanwhile(cluster, small):
    """2 models x 3 seeds wait for nodes while config and code are edited; a job that raises harms no other."""
    (cluster.place / "conf" / "experiment").mkdir(parents=True)
    overlay = cluster.place / "conf" / "experiment" / "mine.yaml"
    module = cluster.place / "mine_objective.py"
    text = "# @package _global_\ndefaults: [vae_digits, _self_]\nmodel: {max_steps: STEPS, prior: {dim: 3}}\n"
    overlay.write_text(text.replace("STEPS", "5"))
    module.write_text(MODULE.format(marker=1))
    trusted = {"LSGEN_TARGETS": "mine_objective", "PYTHONPATH": str(cluster.place), "MY_API_TOKEN": "abc123secret"}
    blocker = cluster.occupy()
    base = [argument for argument in small if not argument.startswith(("experiment", "model.max_steps"))]
    grid = ("experiment=mine", "model=vae,beta_vae", "seed=0,1,2", "~model.objective.beta")
    grid += ("model.objective._target_=mine_objective.Mine",)
    sweep = cluster.sweep("grid", *grid, small=base, **trusted)
    assert cluster.queue(sweep) == ["PENDING"] * 6
    assert "6 queued" in cluster.lsgen("sweep", "status", "grid")

    overlay.write_text(text.replace("STEPS", "9"))
    module.write_text(MODULE.format(marker=2))
    again = cluster.sweep("grid", *grid, "model.prior.dim=3", small=base, **trusted)  # other overrides: other jobs
    assert len(again.jobs) == 12
    cluster.lsgen("sweep", "cancel", "grid")
    assert cluster.queue(sweep) == []
    cluster.sweep("grid", *grid, small=base, **trusted)  # only the first six
    cluster.sweep("grid", *grid, small=base, **trusted)  # and none twice
    assert cluster.queue(sweep) == ["PENDING"] * 6
    cluster.run("scancel", blocker)
    cluster.sweep("grid", "--wait", *grid, small=base, **trusted)
    states = Sweep.open(sweep.path).states()
    assert states == ["done"] * 6 + ["stopped"] * 6
    for job in sweep.jobs:
        run = sweep.run(job)
        assert run.status()["generator_steps"] == 5
        assert run.config()["run"]["group"] == "grid"
    printed = "".join(file.read_text() for file in sweep.logs.iterdir())
    assert printed.count("marker 1") == 6
    assert "marker 2" not in printed
    everything = [file for file in sweep.path.rglob("*") if file.is_file()]
    assert not [file for file in everything if b"abc123secret" in file.read_bytes()]


def test_a_job_that_raises_is_recorded_and_the_sweep_goes_on(cluster):
    sweep = cluster.sweep("raises", "--wait", "model.prior.dim=0,2", code=1)
    assert sweep.states() == ["failed", "done"]
    status = sweep.run(sweep.jobs[0]).status()
    assert "latent dimension of at least 1" in status["error"]
    assert "Traceback" in status["traceback"]
    shown = cluster.lsgen("sweep", "status", "raises", "--failed")
    assert "Traceback" in shown
    assert "1 done, 1 failed" in shown


def test_a_preempted_job_finishes_with_the_bits_of_an_undisturbed_one(cluster, small, slow, wait_until, rows_of):
    """Preempted by a partition of higher priority, told of its time limit, then its node dies."""
    pause, trusted = slow
    undisturbed = (*small, *LONG, *NO_PERIODIC)
    long = (*undisturbed, pause)
    sweep = cluster.sweep("preempted", "hydra.launcher.partition=scavenge", small=long, **trusted)
    run = sweep.run(sweep.jobs[0])
    name = f"lsgen-{sweep.id}"
    wait_until(lambda: rows_of(run) > 30)
    blocker = cluster.occupy()
    wait_until(lambda: run.status()["state"] == "interrupted")
    assert run.checkpoint().exists()
    assert "1 preempted" in cluster.lsgen("sweep", "status", "preempted") or cluster.queue(sweep) == ["COMPLETING"]
    first = run.status()["generator_steps"]
    wait_until(lambda: cluster.run("squeue", "-h", "-j", blocker, "-o%T").stdout.strip() == "RUNNING")
    cluster.run("scancel", blocker)

    wait_until(lambda: run.status()["state"] == "running" and rows_of(run) > first + 20)
    cluster.run("scancel", "--signal=USR2", f"--name={name}")  # what SLURM sends before a time limit
    wait_until(lambda: run.status()["state"] == "interrupted")
    second = run.status()["generator_steps"]
    assert second > first
    wait_until(lambda: run.status()["state"] == "running" and rows_of(run) > second)

    node = cluster.run("squeue", "-h", f"--name={name}", "-o%N").stdout.strip()
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    cluster.lsgen("train", "-m", *long, "hydra/launcher=slurm", "sweep_dir=preempted", "--wait", **trusted)
    assert sweep.states() == ["done"]
    assert len(run.provenance()["attempts"]) == 4

    cluster.lsgen("train", "-m", *undisturbed, "sweep_dir=undisturbed")
    other = Sweep.open(cluster.place / "undisturbed")
    assert same_weights(run, other.run(other.jobs[0]))
    columns = [line.split(",")[0] for line in run.metrics_file.read_text().splitlines()]
    assert len(columns) == len(set(columns))


def test_scancel_in_mid_epoch_then_retry(cluster, small, slow, wait_until, rows_of):
    pause, trusted = slow
    sweep = cluster.sweep("cancelled", small=(*small, *LONG, *NO_PERIODIC, pause), **trusted)
    run = sweep.run(sweep.jobs[0])
    wait_until(lambda: rows_of(run) > 20)
    cluster.run("scancel", f"--name=lsgen-{sweep.id}")
    wait_until(lambda: cluster.queue(sweep) == [])
    assert sweep.states() == ["stopped"]
    assert run.status()["state"] == "interrupted"
    steps = read_checkpoint(run.checkpoint())["clocks"]["generator_steps"]
    assert 0 < steps < 400
    out = cluster.lsgen("sweep", "retry", "cancelled", "--wait", **trusted)
    assert "1 done" in out
    assert f"resumed  at step {steps}" in "".join(file.read_text() for file in sweep.logs.iterdir())
    assert cluster.lsgen("sweep", "retry", "cancelled").startswith("nothing failed, stopped or was skipped")


def test_two_nodes_train_one_model(cluster, small):
    """A VAE and a GAN with one process on each node: one run directory, one writer, all observations counted once."""
    nodes = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2", "model.max_steps=4")
    gan = [argument for argument in small if not argument.startswith(("experiment", "model.max", "callbacks"))]
    vae = cluster.sweep("nodes_vae", *nodes)
    game = cluster.sweep("nodes_gan", *nodes, small=("experiment=dcgan_digits", "callbacks=engine", *gan, *UNMONITORED))
    for name, sweep in (("nodes_vae", vae), ("nodes_gan", game)):
        cluster.lsgen("sweep", "retry", name, "--wait")
        assert sweep.states() == ["done"], "".join(file.read_text() for file in sweep.logs.iterdir())
        run = sweep.run(sweep.jobs[0])
        clocks = read_checkpoint(run.checkpoint())["clocks"]
        assert clocks["generator_steps"] == 4
        lines = run.metrics_file.read_text().splitlines()
        steps = [line.split(",")[0] for line in lines]
        assert len(steps) == len(set(steps))
        assert "".join(file.read_text() for file in sweep.logs.iterdir()).count("run      ") == 1


UNMONITORED = ("callbacks.checkpoint.monitor=null",)
