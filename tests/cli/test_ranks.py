"""Which process of a run this is, under srun and without."""

import os
from itertools import product

import pytest

from lsgen.cli.ranks import is_first_process, processes
from lsgen.cli.task import run_variables
from lsgen.runs import RunDirectory

STEP = {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4", "SLURM_LOCALID": "2", "SLURM_JOB_NAME": "x"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name in ("LOCAL_RANK", "SLURM_PROCID", "RANK", *STEP):
        monkeypatch.delenv(name, raising=False)

    def make(**trainer):
        place = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        config = {"trainer": {"default_root_dir": "${oc.env:LSGEN_RUN_DIR}", "accelerator": "cpu", **trainer}}
        return RunDirectory.create(place, config, {"id": "x"})

    return make


@pytest.mark.parametrize(
    ("devices", "expected"),
    [(1, 1), (4, 4), ("4", 4), ("auto", 1), (-1, 1), ("-1", 1), ([0, 2, 5], 3), ([3], 1), ("0,1", 2), ("0,", 1)],
)
def test_a_run_has_a_process_for_each_device_of_each_node(devices, expected, run):
    assert processes(run(devices=devices)) == expected
    assert processes(run(devices=devices, num_nodes=3)) == 3 * expected


def test_values_of_the_machine_and_of_later_attempts_count(run, monkeypatch):
    monkeypatch.setenv("HOW_MANY", "2")
    directory = run(devices="${oc.env:HOW_MANY}")
    assert processes(directory) == 2
    directory.record_attempt({"overrides": {"trainer.devices": 3}})
    assert processes(directory) == 3


def test_only_processes_of_one_run_have_ranks(run, monkeypatch):
    alone, together = run(devices=1), run(devices=2, num_nodes=2)
    for name, rank in product(("LOCAL_RANK", "SLURM_PROCID"), range(4)):
        monkeypatch.setenv(name, str(rank))
        assert is_first_process(alone)
        assert is_first_process(together) == (rank == 0)
        monkeypatch.delenv(name)


def test_lightning_takes_a_job_of_a_step_of_several_for_the_only_one(run, monkeypatch):
    from lightning_fabric.utilities.rank_zero import rank_zero_only
    from pytorch_lightning import Trainer
    from pytorch_lightning.plugins.environments import SLURMEnvironment

    for name, value in {**STEP, "SLURM_PROCID": "2", "SLURM_JOB_ID": "7"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 2)
    before = dict(os.environ)
    assert SLURMEnvironment.detect()
    with run_variables(run(devices=1)):
        trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, barebones=True)
        assert trainer.is_global_zero
        assert (trainer.global_rank, trainer.world_size, rank_zero_only.rank) == (0, 1, 0)
    assert dict(os.environ) == before
    with run_variables(run(devices=4), alone=False):
        assert os.environ["SLURM_PROCID"] == "2"


def test_the_only_task_of_a_step_is_left_to_lightning(run, monkeypatch):
    for name, value in {**STEP, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    with run_variables(run(devices=1)):
        assert os.environ["SLURM_NTASKS"] == "1"
