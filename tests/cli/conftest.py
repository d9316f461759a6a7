"""Running `lsgen` in this process."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from lsgen.cli import main
from lsgen.cli.application import compose_and_run
from lsgen.cli.config.frozen_config import thaw
from lsgen.cli.config.preparation import prepare

SMALL = (
    "experiment=vae_digits",
    "callbacks=engine",
    "logger=csv",
    "report=false",
    "test=false",
    "model.max_steps=6",
    "data.batch_size=512",
    "trainer.check_val_every_n_epoch=1",
    "trainer.log_every_n_steps=1",
)


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def lsgen(tmp_path, monkeypatch, capfd):
    """Return a function: arguments -> exit code, standard output, standard error; run from an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")

    def run(*arguments):
        capfd.readouterr()
        monkeypatch.setattr("sys.argv", ["lsgen", *arguments])
        code = main()
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def small():
    """Return the arguments of a run of six steps."""
    return SMALL


@pytest.fixture
def trained(lsgen, tmp_path):
    """Return the directory of a small trained run."""
    outcome = lsgen("train", *SMALL, f"run_dir={tmp_path}/trained")
    assert outcome.code == 0, outcome.err
    return tmp_path / "trained"


@pytest.fixture(scope="session")
def refused():
    """Return a check: exit code 2, one sentence with the given parts, no traceback, and no run is left."""

    def check(outcome, tmp_path, *parts):
        assert outcome.code == 2, outcome.err
        said = [line for line in outcome.err.splitlines() if not line.startswith("warning: ")]
        assert len(said) == 1, outcome.err
        assert said[0].startswith("lsgen: ")
        for part in parts:
            assert part in said[0]
        assert not (tmp_path / "runs").exists()

    return check


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    """Return the frozen config of a small run."""
    found = []
    plain = ("experiment=vae_digits", "callbacks=engine", "logger=csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("config"))
        compose_and_run(plain, "sweep", lambda composed: found.append(prepare(composed, None).config))
    return found[0]


@pytest.fixture(scope="session")
def changed(config):
    """Return a function: overrides, read by Hydra's grammar -> the config on this machine after these changes."""

    def change(*overrides):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LSGEN_RUN_DIR", "run")
            found = thaw(config)
        for one in OverridesParser.create().parse_overrides(list(overrides)):
            if one.is_delete():
                parent, _, name = one.key_or_group.rpartition(".")
                del OmegaConf.select(found, parent)[name]
            else:
                OmegaConf.update(found, one.key_or_group, one.value(), merge=False, force_add=True)
        return found

    return change
