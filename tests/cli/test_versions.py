"""Runs of an earlier version are refused where their config would be built, and read where their files suffice.

`run_of_0_1` was written by lsgen 0.1.0, which recorded its version among those of the packages only.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lsgen import __version__, load
from lsgen.runs import RunDirectory, RunError, check_version

OLD = Path(__file__).with_name("run_of_0_1")


@pytest.fixture
def old(tmp_path):
    return shutil.copytree(OLD, tmp_path / "old")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "resume=old"),
        ("train", "resume=old", "model.max_steps=100"),
        ("evaluate", "old"),
        ("traverse", "old"),
        ("geometry", "old"),
        ("geometry", "old", "old"),
        ("report", "old", "checkpoint=last"),
    ],
)
def test_the_config_of_another_series_is_refused(arguments, lsgen, old):
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    outcome = lsgen(*arguments)
    assert outcome.code == 2, outcome.err
    (sentence,) = outcome.err.splitlines()
    assert "run old was made by lsgen 0.1.0 and this is lsgen " + __version__ in sentence
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


def test_load_refuses_runs_and_lone_checkpoints_of_another_series(old, tmp_path):
    with pytest.raises(RunError, match=r"the run .* was made by lsgen 0\.1\.0 and this is lsgen"):
        load(old)
    content = {"state_dict": {}, "config": RunDirectory.open(old).config()}
    for version, made in (({}, "0.1"), ({"lsgen_version": "0.0.7"}, "0.0.7")):
        torch.save({**content, **version}, tmp_path / "lone.ckpt")
        with pytest.raises(RunError, match=f"the checkpoint .*lone.ckpt was made by lsgen {made} and this is lsgen"):
            load(tmp_path / "lone.ckpt")


def test_table_and_report_read_what_another_series_wrote(lsgen, old):
    shown = lsgen("table", "old", "--format", "csv", "--columns", "test/elbo")
    assert shown.code == 0, shown.err
    assert "-27.603" in shown.out  # its test/elbo
    assert lsgen("report", "old").code == 0
    assert "vae_digits" in (old / "report.html").read_text()


def test_a_series_is_the_first_two_numbers():
    first, second, _ = __version__.split(".")
    for version in (f"{first}.{second}", f"{first}.{second}.99", f"{first}.{second}.1rc2"):
        check_version(version, "the run")
    for version in (f"{first}.{second}1.0", f"{first}.{int(second) + 1}.0", f"{int(first) + 1}.{second}.0"):
        with pytest.raises(RunError, match=f"the run was made by lsgen {version}"):
            check_version(version, "the run")


@pytest.mark.slow
def test_a_run_says_who_made_it(lsgen, small, tmp_path):
    assert lsgen("train", *small, "run_dir=new", "model.max_steps=1").code == 0
    assert json.loads((tmp_path / "new" / "provenance.json").read_text())["version"] == __version__
    content = torch.load(tmp_path / "new" / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["lsgen_version"] == __version__
    load(tmp_path / "new")
    load(tmp_path / "new" / "checkpoints" / "last.ckpt")
