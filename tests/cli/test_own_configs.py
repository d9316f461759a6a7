"""Groups, classes and parts of the user: what is legal is taken."""

import pytest

from lsgen.cli.application import compose_and_run
from lsgen.cli.config.preparation import prepare
from lsgen.cli.errors import UsageError

HEAD = "# @package _global_\n"


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Return a function: files by name, overrides -> the frozen config."""
    monkeypatch.chdir(tmp_path)

    def run(files, *overrides):
        for name, text in files.items():
            (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "conf" / name).write_text(text)
        found, refused = [], []

        def job(composed):
            try:
                found.append(prepare(composed, None).config)
            except UsageError as error:
                refused.append(error)

        compose_and_run(overrides, "sweep", job)
        for error in refused:
            raise error
        return found[0]

    return run


@pytest.mark.parametrize(
    ("files", "overrides"),
    [
        ({"mine/d.yaml": HEAD + "model: {max_steps: 7}\n"}, ["experiment=vae_digits", "+mine=d"]),
        (
            {
                "mine/d.yaml": "max_steps: 7\n",
                "experiment/own.yaml": HEAD + "defaults: [vae_digits, /mine@model: d]\n",
            },
            ["experiment=own"],
        ),
        (
            {
                "mine/d.yaml": "max_steps: 7\n",
                "model/own.yaml": "defaults: [vae, /mine@_here_: d]\n",
                "experiment/own.yaml": HEAD + "defaults: [override /model: own, override /net: mlp]\n",
            },
            ["experiment=own", "mine@model=d"],
        ),
    ],
)
def test_groups_of_the_user_go_with_an_experiment(files, overrides, prepared):
    assert prepared(files, *overrides)["model"]["max_steps"] == 7


def test_an_experiment_that_is_about_itself_is_told_its_missing_line(prepared):
    with pytest.raises(UsageError, match=r"key 'experiment' .*begin with the line '# @package _global_'"):
        prepared({"experiment/own.yaml": ""}, "experiment=own")
