"""Names of runs are text, whatever they look like, and leave no trace in where a run goes."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lsgen.cli.application import compose_and_run
from lsgen.cli.config.construction import instantiate
from lsgen.cli.config.frozen_config import escaped, freeze, thaw
from lsgen.cli.config.names import as_text, folder
from lsgen.cli.config.preparation import prepare
from lsgen.cli.errors import UsageError

NUMBERS = ["1e5", "007", "12", "1_0", "true", "0x10", "1.50", "-3", "inf", "nan", "on"]
TEXTS = [*NUMBERS, "a/b", "../../up", ".", "..", "a b", "bé", "a=b", "50%", "a:b@c", "it's", "#1", "{x}", "C:\\", "~"]


def prepared(*overrides):
    """Return what is written when the directories of runs are made."""
    found, refused = [], []

    def job(composed):
        try:
            found.append(prepare(composed, None if composed.number is None else "sweep"))
        except UsageError as error:
            refused.append(error)

    compose_and_run(as_text(["experiment=vae_digits", *overrides]), "sweep", job)
    for error in refused:
        raise error
    return found


@pytest.mark.parametrize("texts", [TEXTS[i : i + 4] for i in range(0, 24, 4)], ids=range(6))
def test_text_is_kept_as_it_was_written(texts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = ("name", "id", "group", "job_type")
    (run,) = prepared(
        *(f"run.{key}={text}" for key, text in zip(keys, texts, strict=True)), f"run.tags=[x,{','.join(texts)}]"
    )
    about = thaw({"run": run.config["run"]}).run
    assert [about[key] for key in keys] == texts
    assert about.tags == ["x", *texts]
    assert run.origin["id"] == about.id
    assert (Path("runs") / f"2026_{run.folder}").resolve().parent == Path("runs").resolve()


@pytest.mark.slow
def test_every_job_of_a_sweep_has_its_own_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = prepared("-m", "run.name=1e1,010,x", "hydra/launcher=basic", "hydra/sweeper=basic")
    assert [job.config["run"]["name"] for job in jobs] == ["1e1", "010", "x"]


def test_what_is_computed_is_computed_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run,) = prepared(r"run.name='\${oc.env:HOME}'", "run.group=${run.name}/${seed}", "run.id=${seed}", "seed=3")
    about = thaw({"run": run.config["run"]}).run
    assert (about.name, about.group, about.id) == ("${oc.env:HOME}", "${oc.env:HOME}/3", "3")


@pytest.mark.parametrize("key", ["name", "tags"])
@pytest.mark.slow
def test_a_number_in_a_file_is_refused_for_what_was_written_is_gone(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    value = "[1e5]" if key == "tags" else "1e5"
    (tmp_path / "conf" / "experiment" / "own.yaml").write_text(
        f"# @package _global_\ndefaults:\n  - vae_digits\n  - _self_\nrun:\n  {key}: {value}\n"
    )
    with pytest.raises(UsageError, match=rf"run.{key}: expected text, got 100000.0.*quotes"):
        prepared("experiment=own")


def test_tags_are_a_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"run.tags: expected a list such as \[a,b\], got 'abc'"):
        prepared("run.tags=abc")


@pytest.mark.parametrize("text", ["", ".", "..", "/", "a/../b", "-x", "x" * 500, "ü" * 200, "a\0b\n", "~", "C:\\x"])
def test_a_folder_is_one_component_of_a_path(text, tmp_path):
    name = folder(text)
    assert 0 < len(name.encode()) <= 80
    (tmp_path / name).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert not name.startswith((".", "-"))


@pytest.mark.parametrize(
    "text", ["${x}", r"\${x}", r"a\\${x}", "$${{x}", "${oc.env:HOME}", "\\", "a\\", "${", "$", "'${x}'\\\n", '"${a:b}"']
)
def test_text_with_braces_survives_freezing_thawing_and_instantiating(text, monkeypatch):
    monkeypatch.setenv("LSGEN_TARGETS", "builtins")
    monkeypatch.delenv("NOT_SET", raising=False)
    frozen = freeze(OmegaConf.create({"a": {"_target_": "builtins.dict", "text": escaped(text), "deep": [["x", "y"]]}}))
    assert thaw(frozen).a.text == text
    assert thaw(thaw(frozen)).a.text == text
    assert instantiate(thaw(frozen).a, "a")["text"] == text
    quoted = text.replace("\\", "\\\\") if "\\" in text else text
    if "'" not in text and "\\" not in text:
        default = freeze(OmegaConf.create({"a": f"${{oc.env:NOT_SET,'{escaped(quoted)}'}}"}))
        assert thaw(default).a == text


def test_a_machine_value_within_text_stays_one(monkeypatch):
    monkeypatch.setenv("ROOT", "/here")
    frozen = freeze(OmegaConf.create({"a": r"\${x} in ${oc.env:ROOT}"}))
    monkeypatch.setenv("ROOT", "/there")
    assert thaw(frozen).a == "${x} in /there"


@pytest.mark.slow
def test_a_group_after_a_long_name_is_one_that_wandb_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run,) = prepared(f"run.name={'x' * 200}")
    assert (run.config["run"]["name"], run.config["run"]["group"]) == ("x" * 200, "x" * 128)
    (run,) = prepared(f"run.group={'y' * 200}")
    assert run.config["run"]["group"] == "y" * 200
