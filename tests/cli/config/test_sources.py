"""Config files are parsed once, and configs of the shipped files composed once, for as long as nothing has changed."""

import os
from pathlib import Path

import lsgen.conf
import pytest
from hydra import compose, initialize_config_dir, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf

from lsgen.cli import compat
from lsgen.cli.config import sources


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(sources, "_composed", {})
    monkeypatch.setattr(sources, "_files", {})
    sources.register_source()


def composed(*overrides, mode=RunMode.RUN):
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        return GlobalHydra.instance().hydra.compose_config("train", list(overrides), run_mode=mode, from_shell=False)


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


@pytest.fixture
def hydras(monkeypatch):
    """Return a function: overrides -> the config that Hydra composes by itself."""

    def compose_by_hydra(*overrides, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hydra._internal.hydra.ConfigLoaderImpl", sources.ConfigLoaderImpl)
            patch.setattr("hydra._internal.defaults_list._create_interpolation_map", compat._choices_by_name)
            return composed(*overrides, **options)

    return compose_by_hydra


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("model.max_steps=3", "seed=4", "hydra.mode=RUN"),
        ("model.max_steps=3", "experiment=vae_digits", "trainer.precision=64", "model.max_steps=5"),
        ("+model.more={a: [1, 2]}", "++seed=5", "~callbacks.traversal", "~trainer.log_every_n_steps"),
        ("model={max_steps: 9}", "run.name='a=b, c'", "hydra.verbose=true", "~callbacks", "data=digits"),
        ("run.tags=[x,'y z']", "seed=1,2", "model=vae,beta_vae", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    ],
)
def test_it_is_what_hydra_composes_by_itself(hydras, values):
    """After values of another composition of the same choices, and again for those that were asked for before."""
    overrides = ("experiment=beta_vae_sprites", "callbacks=engine", *values)
    expected = hydras(*overrides, mode=RunMode.MULTIRUN)
    composed("experiment=beta_vae_sprites", "callbacks=engine", "model.max_steps=77", "+model.other=1")
    for _ in range(2):
        ours = composed(*overrides, mode=RunMode.MULTIRUN)
        assert OmegaConf.to_container(ours, resolve=False) == OmegaConf.to_container(expected, resolve=False)
        assert ours == expected
        assert OmegaConf.is_struct(ours)
        assert OmegaConf.is_readonly(ours.hydra) == OmegaConf.is_readonly(expected.hydra)
        assert OmegaConf.get_type(ours.hydra) is OmegaConf.get_type(expected.hydra)


def test_choices_that_differ_by_values_alone_are_composed_once():
    for values in ((), ("seed=1",), ("seed=1", "hydra.mode=RUN"), ("+model.other=1",)):
        composed("experiment=beta_vae_sprites", *values)
    assert len(sources._composed) == 1
    composed("experiment=beta_vae_sprites", "callbacks=engine")
    assert len(sources._composed) == 2


@pytest.mark.parametrize("overrides", [("modle.max_steps=3",), ("seed@model=3",), ("+seed=3",), ("~model.none",)])
def test_it_is_refused_as_hydra_refuses_it(hydras, overrides):
    said = []
    for compose_one in (hydras, composed):
        with pytest.raises(ConfigCompositionException) as caught:
            compose_one("experiment=beta_vae_sprites", *overrides)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_choices_named_by_other_choices_are_found(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "b.yaml").write_text("x: 1\n")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a_b.yaml").write_text("y: 2\n")
    (tmp_path / "mine.yaml").write_text("defaults:\n  - one: b\n  - two: a_${one}\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert compose("mine") == {"one": {"x": 1}, "two": {"y": 2}}


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
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        mine = GlobalHydra.instance().config_loader()
        assert isinstance(mine, loader)
        mine.load_configuration("train", ["seed=1,2"], RunMode.MULTIRUN, validate_sweep_overrides=False)
        with pytest.raises(ConfigCompositionException, match="Ambiguous value for argument 'seed=1,2'"):
            mine.load_configuration("train", ["seed=1,2"], RunMode.RUN)
