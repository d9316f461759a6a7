"""Many runs as rows."""

import pytest

from lsgen.runs import RunDirectory, RunError, find_runs, flatten, index, last_metrics, write_json


def make(path, seed, state="finished", metrics="step,val/elbo\n1,-3.0\n2,-2.5\n"):
    run = RunDirectory.create(
        path, {"seed": seed, "model": {"beta": 4}}, {"id": path.name, "choices": {"model": "vae"}}
    )
    run.set_status(state)
    run.metrics_file.write_text(metrics)
    return run


def test_runs_are_found_below_directories_and_patterns(tmp_path):
    for name in ("a", "b", "sweep/c", "sweep/d"):
        make(tmp_path / name, 0)
    (tmp_path / "a" / "wandb").mkdir()
    names = [run.path.name for run in find_runs([tmp_path])]
    assert names == ["a", "b", "c", "d"]
    assert [run.path.name for run in find_runs([f"{tmp_path}/**"])] == names
    assert [run.path.name for run in find_runs([tmp_path / "a", f"{tmp_path}/[ab]"])] == ["a", "b"]
    with pytest.raises(RunError, match=r"expected runs .* found none"):
        find_runs([tmp_path / "nothing"])


def test_a_row_joins_config_choices_metrics_and_evaluations(tmp_path):
    run = make(tmp_path / "a", 7)
    (run.path / "evaluation").mkdir()
    write_json(run.path / "evaluation" / "last.json", {"metrics": {"test/elbo": -2.0}})
    write_json(run.path / "evaluation" / "best.json", {"metrics": {"test/elbo": -1.0}})
    run.record_attempt({"overrides": {"model.beta": 8}})
    (row,) = index([run])
    expected = {"seed": 7, "model": "vae", "model.beta": 8, "val/elbo": -2.5, "test/elbo": -2.0, "best:test/elbo": -1.0}
    assert expected.items() <= row.items()


def test_a_running_run_that_nobody_holds_was_interrupted(tmp_path):
    run = make(tmp_path / "a", 0, state="running")
    assert index([run])[0]["state"] == "interrupted"
    with run.lock():
        assert index([run])[0]["state"] == "running"


def test_a_damaged_run_is_a_row_with_the_reason(tmp_path):
    run = make(tmp_path / "a", 0)
    run.config_file.write_text("[")
    (row,) = index([run])
    assert row["state"] == "unreadable"
    assert "cannot read the frozen config" in row["error"]


def test_last_metrics_takes_the_last_value_of_each_key(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,a,b\n1,0.5,\n2,,7\n3,1.5,\n4,9.9,8")
    assert last_metrics(path) == {"step": 3.0, "a": 1.5, "b": 7.0}
    assert last_metrics(tmp_path / "none.csv") == {}


def test_last_metrics_finds_what_only_the_beginning_has(tmp_path):
    path = tmp_path / "metrics.csv"
    rows = [f"{step},{step / 2}," for step in range(2, 20000)]
    path.write_text("\n".join(["step,often,once", "1,0.5,42", *rows, ""]))
    assert last_metrics(path) == {"step": 19999.0, "often": 9999.5, "once": 42.0}


def test_flatten_keeps_lists_and_empty_mappings():
    assert flatten({"a": {"b": [1, {"c": 2}], "d": {}}}) == {"a.b": [1, {"c": 2}], "a.d": {}}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("status.json", b'{"state": "finished", "metrics": [1]}', "expected a mapping as the metrics in "),
        ("evaluation/last.json", b"{", "Expecting property name"),
        ("evaluation/last.json", b'{"metrics": 3}', "expected a mapping as the metrics in "),
        ("geometry/last.json", b"[]", "expected a JSON object in "),
        ("metrics.csv", b"\xff\xfe\x00\x01\n1,2\n", "expected keys of metrics in the first line of "),
    ],
)
def test_one_damaged_run_costs_its_own_row_only(name, content, sentence, tmp_path):
    broken, whole = make(tmp_path / "a", 0), make(tmp_path / "b", 1)
    (broken.path / name).parent.mkdir(exist_ok=True)
    (broken.path / name).write_bytes(content)
    rows = index([broken, whole])
    assert rows[0]["state"] == "unreadable"
    assert sentence in rows[0]["error"]
    assert rows[1]["val/elbo"] == -2.5
