"""Small files: what is written is what their formats allow, and comes back."""

import json
import math

import pytest
import yaml
from omegaconf import OmegaConf

from lsgen.cli.config.frozen_config import escaped
from lsgen.report.run_contents import collect
from lsgen.runs import RunDirectory, index, read_json, to_json, unescaped, write_json, write_yaml


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


NUMBERS = {"nan": math.nan, "up": math.inf, "down": -math.inf, "half": 0.5, "text": "NaN", "none": None}


def test_no_file_of_a_run_holds_what_json_does_not_have(tmp_path):
    run = RunDirectory.create(tmp_path / "a", {"limit": math.inf}, {"id": "x", "choices": {"beta": math.nan}})
    run.record_attempt({"overrides": {"logger.x": [math.inf]}})
    run.set_status("finished", metrics={"val/elbo": math.nan}, generator_steps=3)
    for folder in ("evaluation", "geometry"):
        (run.path / folder).mkdir()
        write_json(run.path / folder / "best.json", {"metrics": NUMBERS, "nested": [[NUMBERS]]})
    index([run])
    files = [*tmp_path.rglob("*.json")]
    assert {file.name for file in files} == {"provenance.json", "status.json", "best.json", ".index.json"}
    for file in files:
        json.loads(file.read_text(), parse_constant=refuse)


def test_metrics_that_are_no_numbers_are_read_as_such(tmp_path):
    run = RunDirectory.create(tmp_path / "a", {}, {"id": "x"})
    run.set_status("finished", metrics={"val/elbo": math.nan, "val/kl": 2.0})
    assert math.isnan(run.status()["metrics"]["val/elbo"])
    assert run.status()["metrics"]["val/kl"] == 2.0
    write_json(tmp_path / "x.json", {"about": None, "metrics": {"a": math.inf}})
    found = read_json(tmp_path / "x.json")
    assert found["about"] is None
    assert math.isnan(found["metrics"]["a"])


def test_a_row_is_the_same_from_the_index_and_from_the_files(tmp_path):
    run = RunDirectory.create(tmp_path / "a", {"limit": math.inf, "empty": None}, {"id": "x"})
    run.metrics_file.write_text("step,a,b,c\n1,nan,inf,-inf\n")
    run.set_status("finished")
    ((first,), (second,)) = index([run]), index([run])
    assert {key: repr(value) for key, value in first.items()} == {key: repr(value) for key, value in second.items()}
    assert (second["b"], second["c"], second["empty"]) == (math.inf, -math.inf, None)
    assert math.isnan(second["a"])


def test_a_run_without_a_table_of_metrics_has_those_of_its_status(tmp_path):
    run = RunDirectory.create(tmp_path / "a", {}, {"id": "x"})
    run.set_status("finished", metrics={"test/elbo": -3.0, "val/elbo": -2.0})
    assert index([run])[0]["test/elbo"] == -3.0
    run.metrics_file.write_text("step,val/elbo\n1,-1.0\n")
    assert (index([run])[0]["val/elbo"], index([run])[0]["test/elbo"]) == (-1.0, -3.0)


def test_what_json_does_not_know_is_an_error_unless_told_how(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        to_json({"a": {1}})
    assert to_json({"a": {1}}, default=list) == '{"a": [1]}'


@pytest.mark.parametrize(
    "text", ["1e5", "1E5", "-2e-3", "+1e+3", "1_0e1", "007", "true", "null", "1.5", "1e", "e5", ""]
)
def test_text_that_looks_like_a_number_is_text_to_every_reader(text, tmp_path):
    file = tmp_path / "config.yaml"
    write_yaml(file, {"name": text, "number": 1e5})
    for content in (yaml.safe_load(file.read_text()), OmegaConf.load(file)):
        assert content["name"] == text
        assert content["number"] == 1e5


@pytest.mark.parametrize("text", ["${", "a${b}", r"\${b}", r"\\${b}${c}", "$\\{b}", "\\", "$", "", "a\\b${"])
def test_text_is_read_as_it_was_meant(text):
    assert unescaped(escaped(text)) == text
    assert OmegaConf.to_container(OmegaConf.create({"a": escaped(text)}), resolve=True) == {"a": text}


def test_tables_and_reports_show_names_as_they_were_given(tmp_path):
    config = {"run": {"name": escaped("a${b}"), "tags": [escaped("t${x}")]}, "root": "${oc.env:HOME}"}
    run = RunDirectory.create(tmp_path / "a", config, {"id": "x"})
    row, shown = index([run])[0], collect(run.path).config
    assert (row["run.name"], row["run.tags"], row["root"]) == ("a${b}", ["t${x}"], "${oc.env:HOME}")
    assert shown == {"run": {"name": "a${b}", "tags": ["t${x}"]}, "root": "${oc.env:HOME}"}
