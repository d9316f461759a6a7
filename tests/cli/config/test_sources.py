"""Config files are parsed once, and configs of the shipped files composed once, for as long as nothing has changed."""

import os
from pathlib import Path

import lsgen.conf
import pytest
from hydra import compose, initialize_config_dir, initialize_config_module
from omegaconf import OmegaConf

from lsgen.cli.config import sources


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(sources, "_composed", {})
    monkeypatch.setattr(sources, "_files", {})
    sources.register_source()


def composed(*overrides):
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        return compose("train", overrides=list(overrides), return_hydra_config=True)


def test_what_is_composed_again_is_equal_and_the_callers_own(tmp_path, monkeypatch):
    first = composed("experiment=vae_digits", "seed=7")
    plain = OmegaConf.to_container(first, resolve=False)
    first.model.max_steps = 1
    monkeypatch.chdir(tmp_path)
    again = OmegaConf.to_container(composed("experiment=vae_digits", "seed=7"), resolve=False)
    assert again["hydra"]["runtime"].pop("cwd") == str(tmp_path)
    assert plain["hydra"]["runtime"].pop("cwd") != str(tmp_path)
    assert again == plain
    assert len(sources._composed) == 1
    assert composed("experiment=vae_digits", "seed=8").seed == 8


def test_it_is_what_hydra_composes_by_itself():
    ours = composed("experiment=beta_vae_sprites", "callbacks=engine", "model.max_steps=3")
    assert ours == composed("experiment=beta_vae_sprites", "callbacks=engine", "model.max_steps=3")
    own = sources.ConfigLoaderImpl
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hydra._internal.hydra.ConfigLoaderImpl", own)
        hydras = composed("experiment=beta_vae_sprites", "callbacks=engine", "model.max_steps=3")
    assert hydras == ours
    assert OmegaConf.is_struct(ours)


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_file_that_has_changed_is_read_anew(tmp_path, seconds):
    file = tmp_path / "mine.yaml"
    for number in (1, 22):
        file.write_text(f"defaults: [_self_]\nnumber: {number}\n")
        os.utime(file, (1000 + seconds * number, 1000 + seconds * number))
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            for _ in range(2):
                assert compose("mine").number == number


def test_a_shipped_file_that_has_changed_is_composed_anew(monkeypatch):
    state = sources._shipped_files()
    assert {Path(file).suffix for file, _, _ in state} >= {".yaml"}
    assert all(Path(file).is_relative_to(next(iter(lsgen.conf.__path__))) for file, _, _ in state)
    composed()
    monkeypatch.setattr(sources, "_shipped_files", lambda: (*state, ("new.yaml", 1, 1)))
    composed()
    assert len(sources._composed) == 2


def test_sweeps_stay_refused_where_nothing_is_swept():
    composed("seed=1")
    loader = sources._Loader
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import ConfigCompositionException
    from hydra.types import RunMode

    with initialize_config_module("lsgen.conf", version_base="1.3"):
        mine = GlobalHydra.instance().config_loader()
        assert isinstance(mine, loader)
        mine.load_configuration("train", ["seed=1,2"], RunMode.MULTIRUN, validate_sweep_overrides=False)
        with pytest.raises(ConfigCompositionException, match="Ambiguous value for argument 'seed=1,2'"):
            mine.load_configuration("train", ["seed=1,2"], RunMode.RUN)
