"""Which errors are told in one sentence, and which show where in the code they are."""

import json
import subprocess
from importlib import import_module

import pytest
import torch

from lsgen.callbacks import WandbLabels, WandbLogger
from lsgen.cli.config.construction import instantiate
from lsgen.cli.config.frozen_config import thaw
from lsgen.cli.errors import UsageError
from lsgen.cli.refusals.explain import explanation, own_sentence

FAULTS = """
import torch
class Broken:
    def __init__(self, how="own"):
        if how == "own":
            raise KeyError("width")
        if how == "library":
            torch.zeros(-1)
        self.missing
    def __call__(self, step):
        return {}["x"]
class Holder:
    def __init__(self, a):
        self.a = a
"""


@pytest.mark.parametrize(
    ("how", "sentence"),
    [("own", "KeyError: 'width'"), ("library", "RuntimeError: "), ("attribute", "AttributeError: 'Broken' object")],
)
def test_a_mistake_in_the_users_class_is_told_with_its_place(how, sentence, tmp_path, monkeypatch):
    (tmp_path / f"faults_{how}.py").write_text(FAULTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LSGEN_TARGETS", f"faults_{how}")
    part = thaw(
        {"model": {"a": {"_target_": f"faults_{how}.Broken", "how": how}, "_target_": f"faults_{how}.Holder"}}
    ).model
    line = {"own": 6, "library": 8, "attribute": 9}[how]
    with pytest.raises(UsageError, match=rf"^model.a: {sentence}.*faults_{how}.py, line {line}, in __init__\)$"):
        instantiate(part, "model")


def raised(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is looked at)
        return error
    raise AssertionError("nothing was raised")


def test_programming_errors_of_lsgen_have_no_sentence():
    from lsgen.nn import MLPEncoder

    module = import_module("lsgen.data.splits")
    for error in (
        raised(MLPEncoder.forward, None, torch.zeros(1)),  # an attribute that None does not have
        raised(module.random_split, 10, None, 0),
    ):
        assert explanation(error) is None
        assert own_sentence(error) is None


def test_what_is_written_down_in_lsgen_is_a_sentence_and_libraries_are_quoted():
    from lsgen.latent import StandardNormal

    assert explanation(raised(StandardNormal, 0)) == own_sentence(raised(StandardNormal, 0))
    decoded = raised(json.loads, "{")
    assert own_sentence(decoded) is None
    assert explanation(decoded, place="data").startswith("data: JSONDecodeError: ")
    missing = raised(subprocess.check_output, ["/nothing/there"])
    assert own_sentence(missing) == "cannot read or write /nothing/there: No such file or directory"


def test_a_programming_error_shows_its_traceback(lsgen, small, monkeypatch):
    monkeypatch.setattr("lsgen.cli.task._checkpoint", None)
    outcome = lsgen("train", *small)
    assert outcome.code == 1
    assert "Traceback" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"labels": WandbLabels(tags=["x" * 65])}, "Tags must be between 1 and 64 characters"),
        ({"labels": WandbLabels(tags=[""])}, "run_tags: Value error, Tag at index 0 is empty"),
        ({"labels": WandbLabels(id="a/b")}, "Run ID cannot contain the characters"),
        ({"project": "a/b"}, "Invalid project name 'a/b'"),
        ({"settings": {"abacus": 1}}, "abacus: Extra inputs are not permitted"),
        ({"project": ""}, "expected the name of a W&B project, got none"),
        ({"entity": "a/b"}, "in a W&B entity, got 'a/b'"),
        ({"labels": WandbLabels(group="g" * 129)}, "expected a W&B group of at most 128 characters, got 129"),
        ({"mode": "onlin"}, "expected a W&B mode among offline, online, disabled, got 'onlin'"),
    ],
)
def test_what_wandb_refuses(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    error = raised(lambda: WandbLogger(save_dir=tmp_path, **arguments).experiment)
    said = explanation(error, place="logger.wandb")
    assert said.startswith("logger.wandb: ")
    assert sentence in said
    assert "\n" not in said
    assert "pydantic.dev" not in said
