"""Keys, shapes and values of configs: frozen, checked, thawed."""

import pytest
from omegaconf import OmegaConf

from lsgen.callbacks import Decoding, GeodesicSearch, MeanSets, PlaneGrid
from lsgen.cli.config.construction import instantiate
from lsgen.cli.config.frozen_config import freeze, references, thaw
from lsgen.cli.config.overlay import check_overlay, drop_deselected
from lsgen.cli.config.schema import check_shape, check_signatures, with_options
from lsgen.cli.errors import UsageError

PART = {"_target_": "lsgen.x.Y"}
WHOLE = {"seed": 0, "data": PART, "model": PART, "trainer": PART, "callbacks": {"a": PART}, "logger": {}}


def test_machine_values_stay_and_all_others_are_resolved(monkeypatch):
    monkeypatch.setenv("ROOT", "/data")
    config = OmegaConf.create(
        {
            "root": "${oc.env:ROOT,data}",
            "file": "${root}/mnist",
            "copy": "${nested}",
            "nested": {"n": "${seed}", "list": ["${root}", "${seed}"]},
            "mode": "${oc.env:MODE,null}",
            "seed": 0,
        }
    )
    frozen = freeze(config)
    assert frozen["file"] == "${oc.env:ROOT,'data'}/mnist"
    assert frozen["copy"] == frozen["nested"] == {"n": 0, "list": ["${oc.env:ROOT,'data'}", 0]}
    here = thaw(frozen)
    assert here.file == "/data/mnist"
    assert here.mode is None
    monkeypatch.setenv("ROOT", "/elsewhere")
    assert thaw(frozen)["copy"].list[0] == "/elsewhere"
    assert OmegaConf.create({"a": "${oc.env:ROOT}"}).a == "/elsewhere"


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "'a, b'",
        r"'it\'s'",
        r"'a\b'",
        r"'a\\'",
        r"C:\\x",
        "''",
        "null",
        "1e-3",
        "'1e-3'",
        "3",
        "0.5",
        "true",
        "${n}",
        "a b",
    ],
)
def test_defaults_of_machine_values_survive_freezing(text, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    config = OmegaConf.create({"a": f"${{oc.env:NOT_SET,{text}}}", "n": 3})
    frozen = freeze(config)
    assert frozen["a"].startswith("${oc.env:NOT_SET")
    assert thaw(frozen).a == config.a


def test_missing_values_and_dead_references_are_one_sentence():
    for value, sentence in (("???", "Missing mandatory value"), ("${nothing}", "'nothing' not found")):
        with pytest.raises(UsageError, match=rf"the config cannot be resolved: .*{sentence}.*\(at model.x\)"):
            freeze(OmegaConf.create({"model": {"x": value}}))
    with pytest.raises(UsageError, match="Environment variable 'NOT_SET_ANYWHERE' not found"):
        thaw({"a": "${oc.env:NOT_SET_ANYWHERE}"})


def test_a_secret_written_out_is_refused_and_one_of_the_environment_is_not_stored(monkeypatch):
    with pytest.raises(UsageError, match=r"logger.wandb.api_key looks like a secret"):
        freeze(OmegaConf.create({"logger": {"wandb": {"api_key": "abc"}}}))
    monkeypatch.setenv("WANDB_API_KEY", "0123456789")
    frozen = freeze(OmegaConf.create({"logger": {"wandb": {"api_key": "${oc.env:WANDB_API_KEY}"}}}))
    assert "0123456789" not in str(frozen)
    assert thaw(frozen).logger.wandb.api_key == "0123456789"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sed": 3}, "unknown config key 'sed': nothing reads it; did you mean seed"),
        ({"callbacks": {"a": PART, "aa": {"every": 3}}}, r"callbacks.aa: expected a mapping with _target_, got .*"),
        ({"callbacks": None}, "callbacks: expected parts by name"),
        ({"model": {}}, "model: expected a mapping with _target_"),
        ({"trainer": {**PART, "max_steps": 5}}, "trainer.max_steps counts .*: set model.max_steps"),
    ],
)
def test_misshapen_configs_are_one_sentence(change, sentence):
    check_shape(WHOLE)
    with pytest.raises(UsageError, match=sentence):
        check_shape(WHOLE | change)


def test_a_root_key_of_the_user_is_fine_where_something_reads_it():
    config = OmegaConf.create({**WHOLE, "width": 3, "model": {**PART, "hidden": "${width}"}})
    check_shape(freeze(config), references(config))
    with pytest.raises(UsageError, match="unknown config key 'width'"):
        check_shape(freeze(config), ["${widths}"])


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (
            {"_target_": "torch.optim.Adam", "_partial_": True, "lrr": 1},
            "unknown config key 'm.lrr': .*did you mean lr",
        ),
        (
            {"_target_": "lsgen.latent.StandardNormal"},
            "missing config key 'm.dim': lsgen.latent.StandardNormal needs it",
        ),
        ({"_target_": "lsgen.latent.StandardNormal", "d": 2}, "unknown config key 'm.d': .*"),
        ({"x": [{"_target_": "torch.nn.SiLU", "slope": 2}]}, r"unknown config key 'm.x\[0\].slope'"),
    ],
)
def test_the_constructor_is_the_schema(node, sentence):
    with pytest.raises(UsageError, match=sentence):
        check_signatures({"m": node})


def test_a_partial_may_lack_arguments():
    check_signatures({"m": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.1}})


PLAIN = {"trainer": {"_target_": "T", "max_epochs": 1}, "callbacks": {"a": {"_target_": "A", "every": 1}}, "seed": 0}


@pytest.mark.parametrize(
    ("overlay", "key"),
    [
        ({"sed": 1}, "sed"),
        ({"callbacks": {"b": {"every": 2}}}, "callbacks.b"),
        ({"trainer": {"options": {"x": 1}}}, None),
        ({"callbacks": {"b": {"_target_": "B", "every": 2}}}, None),
        ({"trainer": {"max_epochs": {"_target_": "Schedule", "start": 0}}}, None),
    ],
)
def test_keys_that_only_the_overlay_has(overlay, key):
    merged = OmegaConf.to_container(OmegaConf.merge(PLAIN, overlay))
    if key is None:
        check_overlay(merged, PLAIN, "mine")
    else:
        with pytest.raises(UsageError, match=f"unknown config key '{key}' in experiment=mine"):
            check_overlay(merged, PLAIN, "mine")


def test_settings_of_parts_that_the_command_line_left_out_are_dropped_and_no_others():
    config = {"callbacks": {"a": {"every": 2}, "typo": {"every": 2}, "kept": PART}, "logger": {}}
    drop_deselected(config, lambda: PLAIN | {"logger": {}})
    assert config["callbacks"] == {"typo": {"every": 2}, "kept": PART}


def test_a_mapping_of_options_changes_those_of_the_default_and_its_keys_are_checked():
    target = "lsgen.callbacks.LatentDistances"
    node = {"_target_": target, "search": {"tol": 1e-3}, "decoding": {"value_range": [0, 1]}, "sets": {"most": 0}}
    made = instantiate(OmegaConf.create(node), "callbacks.distances")
    assert made.search == GeodesicSearch(tol=1e-3, max_iterations=100), "that of the default of distances"
    assert (made.decoding.bounds, made.sets) == ((0.0, 1.0), MeanSets(most=0))
    nested = {"_target_": "lsgen.callbacks.LatentTraversal", "figures": {"decoding": {"chunk_size": 7}}}
    assert instantiate(OmegaConf.create(nested), "callbacks.t").decoding == Decoding(chunk_size=7)
    plane = {"_target_": "lsgen.callbacks.LatentGeodesics", "plane": {"points": 5}}
    assert instantiate(OmegaConf.create(plane), "callbacks.g").plane == PlaneGrid(5)
    with pytest.raises(UsageError, match=r"unknown config key 'm\.search\.start': .*did you mean starts"):
        check_signatures(with_options({"m": {"_target_": target, "search": {"start": 1}}}))
    with pytest.raises(UsageError, match=r"unknown config key 'm\.tol': .*did you mean search\.tol\?"):
        check_signatures(with_options({"m": {"_target_": target, "tol": 1.0}}))
    with pytest.raises(UsageError, match=r"expected m\.search\.starts to be a whole number"):
        check_signatures(with_options({"m": {"_target_": target, "search": {"starts": "two"}}}))
