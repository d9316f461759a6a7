"""Paths of the user's own data are kept in a frozen config such that they hold from any directory."""

from pathlib import Path

import numpy as np
import pytest

from lsgen.cli.application import compose_and_run
from lsgen.cli.config.preparation import prepare


def prepared(*overrides):
    found = []
    compose_and_run(overrides, "train", lambda composed: found.append(prepare(composed, None).config))
    return found[0]


@pytest.mark.slow
def test_relative_paths_of_data_are_kept_as_absolute_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.npy", "held_out.npy"):
        np.save(name, np.random.default_rng(0).normal(size=(60, 7)))
    Path("species").mkdir()
    data = prepared("data=arrays", "data.path=mine.npy", "data.splits.val_path=held_out.npy")["data"]
    assert data["path"] == str(tmp_path / "mine.npy")
    assert data["splits"]["val_path"] == str(tmp_path / "held_out.npy")
    monkeypatch.setenv("MINE", str(tmp_path))
    data = prepared("data=arrays", "data.path=${oc.env:MINE}/mine.npy", "data.shape=[7]", "data.keys.label=species")
    assert data["data"]["path"] == "${oc.env:MINE}/mine.npy"
    assert data["data"]["keys"]["label"] == "species"
    hub = prepared("data=hugging_face", "data.path=someone/pictures", "data.shape=[1,8,8]", "model=vae")
    assert hub["data"]["path"] == "someone/pictures"
