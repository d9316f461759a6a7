"""A run on the user's own file: its shape is read, stated, and held against the file later."""

import numpy as np
import pytest
import yaml

import lsgen as package


@pytest.mark.slow
def test_a_run_on_a_file_states_its_shape_and_goes_on(lsgen, tmp_path, monkeypatch):
    mine, run, elsewhere = tmp_path / "mine.npy", tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    np.save(mine, np.random.default_rng(0).normal(size=(60, 7)))
    small = ["callbacks=engine", "logger=csv", "report=false", "test=false", "model.max_steps=4", "data.batch_size=20"]
    outcome = lsgen("train", "data=arrays", "data.path=mine.npy", "model=vae", *small, f"run_dir={run}")
    assert outcome.code == 0, outcome.err
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["shape"] == config["model"]["decoder"]["shape"] == [7]
    assert package.load(run).latent_space.sample(2).shape == (2, 7)
    monkeypatch.chdir(elsewhere)
    assert lsgen("train", f"resume={run}", "model.max_steps=6").code == 0
    np.save(mine, np.zeros((60, 5)))
    outcome = lsgen("train", f"resume={run}", "model.max_steps=8")
    assert outcome.code == 2
    assert "expected shape (5,), which Arrays provides, got (7,)" in outcome.err
