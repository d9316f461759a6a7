"""The run directory on disk."""

import json
import multiprocessing
import os
import subprocess
import sys

import pytest
import yaml

from lsgen.runs import RunDirectory, RunError

CONFIG = {"seed": 0, "model": {"lr": 1e-5, "beta": 4.0, "name": "1e-3", "root": "${oc.env:LSGEN_DATA_DIR,'data'}"}}


def make(path):
    return RunDirectory.create(path, CONFIG, {"id": "abc12345", "seed": 0, "attempts": []})


def test_what_is_frozen_comes_back_with_its_types(tmp_path):
    run = make(tmp_path / "a" / "run")
    assert RunDirectory.open(run.path).config() == CONFIG
    assert yaml.safe_load(run.config_file.read_text()) == CONFIG
    assert run.id == "abc12345"
    assert run.status()["state"] == "created"


def test_a_taken_place_is_refused_and_left_alone(tmp_path):
    run = make(tmp_path / "run")
    before = {file.name: file.read_bytes() for file in run.path.iterdir()}
    with pytest.raises(RunError, match="already holds a run: continue it with `lsgen train resume="):
        make(run.path)
    assert {file.name: file.read_bytes() for file in run.path.iterdir()} == before


def test_a_directory_with_other_files_may_become_a_run(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    run = make(tmp_path)
    run.checkpoints.mkdir()
    with pytest.raises(ValueError, match="expected a run created here"):
        RunDirectory.open(tmp_path).discard()
    run.discard()
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("place", ["/proc/nothing/run", "/dev/null/run"])
def test_an_unwritable_place_is_one_sentence(place):
    with pytest.raises(RunError, match=f"cannot write the run directory {place}: "):
        make(place)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    run = make(tmp_path / "run")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = run.status_file.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        run.set_status("running")
    assert run.status_file.read_bytes() == before
    assert not list(run.path.glob(".status*"))
    with pytest.raises(RunError, match=r"cannot write the run directory .*: No space left on device"):
        make(tmp_path / "other")


def test_opening_says_what_is_there_instead(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for path, got in ((tmp_path / "no", "no such directory"), (tmp_path, "no config.yaml in it"), (file, "a file")):
        with pytest.raises(RunError, match=f"expected a run directory .* got {got}"):
            RunDirectory.open(path)
    with pytest.raises(RunError, match=r"at .*no\.ckpt, got no such file"):
        RunDirectory.open(tmp_path / "no.ckpt")


def test_opening_a_checkpoint_names_its_run(tmp_path):
    run = make(tmp_path / "run")
    run.checkpoints.mkdir()
    file = run.checkpoints / "last.ckpt"
    file.touch()
    with pytest.raises(RunError, match=rf"got a checkpoint of the run {run.path}: name that, and checkpoint={file}"):
        RunDirectory.open(file)


def test_a_damaged_config_is_told(tmp_path):
    run = make(tmp_path / "run")
    run.config_file.write_text("a: [1")
    with pytest.raises(RunError, match="cannot read the frozen config"):
        run.config()
    run.provenance_file.write_text("{")
    with pytest.raises(RunError, match="cannot read"):
        run.provenance()


def test_attempts_accumulate_and_the_latest_wins(tmp_path):
    run = make(tmp_path / "run")
    run.record_attempt({"overrides": {"model.max_steps": 10, "trainer.devices": 2}})
    run.record_attempt({"overrides": {"model.max_steps": 20}})
    assert run.overrides() == {"model.max_steps": 20, "trainer.devices": 2}
    assert len(json.loads(run.provenance_file.read_text())["attempts"]) == 2


def test_checkpoints_by_name_and_path(tmp_path, monkeypatch):
    run = make(tmp_path / "run")
    run.checkpoints.mkdir()
    (run.checkpoints / "last.ckpt").touch()
    (run.checkpoints / "step=5.ckpt").touch()
    assert run.checkpoint() == run.checkpoints / "last.ckpt"
    assert run.checkpoint("checkpoints/step=5.ckpt") == run.checkpoint("step=5.ckpt")
    monkeypatch.chdir(run.checkpoints)
    assert run.checkpoint("step=5.ckpt").resolve() == run.checkpoints / "step=5.ckpt"
    for name in ("best", "nothing.ckpt"):
        with pytest.raises(RunError, match=f"got '{name}'; checkpoints in .*: last.ckpt, step=5.ckpt"):
            run.checkpoint(name)


def hold(path, ready, release):
    with RunDirectory(path).lock():
        ready.set()
        release.wait(30)


def test_one_process_at_a_time_and_a_kill_lets_go(tmp_path):
    run = make(tmp_path / "run")
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(run.path, ready, release))
    holder.start()
    assert ready.wait(30)
    assert run.is_locked()
    assert not run.wait_until_free(0.0)
    with pytest.raises(RunError, match="is being trained by process"), run.lock():
        pass
    holder.kill()
    assert run.wait_until_free()
    holder.join()
    assert not run.is_locked()
    with run.lock():
        assert run.is_locked()


def test_a_process_that_outlives_the_work_does_not_hold_the_run(tmp_path):
    """As the workers of a loader do, which inherit the open file."""
    run = make(tmp_path / "run")
    release = multiprocessing.get_context("fork").Event()
    worker = multiprocessing.get_context("fork").Process(target=release.wait, args=(30,))
    with run.lock():
        worker.start()
    assert not run.is_locked()
    release.set()
    worker.join()


def test_an_unknown_state_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a state among created, running"):
        make(tmp_path / "run").set_status("done")


def test_the_room_imports_nothing_heavy():
    heavy = "{'torch', 'numpy', 'hydra', 'pytorch_lightning', 'wandb', 'rich', 'omegaconf'}"
    code = f"import sys, lsgen.runs; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
