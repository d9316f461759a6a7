"""Every file of the config tree composes, resolves, is known to what reads it, and builds; every experiment runs."""

import os
from contextlib import nullcontext, suppress
from functools import cache
from math import prod
from pathlib import Path

import lsgen.conf
import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from pytorch_lightning import Trainer

from lsgen.cli import main
from lsgen.cli.config.compose import choices_of, compose_chosen
from lsgen.cli.config.construction import build, instantiate, verify
from lsgen.cli.config.frozen_config import freeze, references, thaw
from lsgen.cli.config.open_shape import fill_shape
from lsgen.cli.config.overlay import check_overlay, new_keys
from lsgen.cli.config.schema import check_shape
from lsgen.cli.errors import UsageError
from lsgen.data import AsStored, DataModule, Loading, TensorSource
from lsgen.latent import LatentSpace
from lsgen.models.schedules import Cyclic

TREE = Path(next(iter(lsgen.conf.__path__)))
FILES = sorted(path.relative_to(TREE) for path in TREE.glob("*/*.yaml") if not path.name.startswith("_"))
SEVERAL = "modalities_"  # what names of networks and likelihoods of several modalities begin with
LIKELIHOODS = [
    p.stem for p in FILES
    if p.parent.name == "likelihood" and p.stem not in ("none", "generator") and not p.stem.startswith(SEVERAL)
]  # fmt: skip
OF_WORDS = {
    name for name in LIKELIHOODS if "data.vocabulary_size" in (TREE / "likelihood" / f"{name}.yaml").read_text()
}
EXPERIMENTS = [path.stem for path in FILES if path.parent.name == "experiment" and path.stem != "none"]
CHOICES = [f"{path.parent}={path.stem}" for path in FILES if path.parent.name not in ("experiment",)]
PARTS = {"data", "model", "trainer", "logger", "callbacks", "regulariser"}


@cache
def composed(*overrides):
    """Return the config, resolved but for the machine's values, and the choices, as `lsgen train` freezes them."""
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        config = compose("train", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        choices = dict(config.hydra.runtime.choices)
        job = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        job.run.update({"id": "abc12345", "name": "test", "group": "test"})
        fill_shape(job)
        frozen = freeze(job)
        if isinstance(frozen["model"].get("first_stage"), str):
            frozen["model"]["first_stage"] = None  # a run, which is there when the experiment is trained
        check_shape(frozen, references(job))
    return frozen, choices


@cache
def composition(choice):
    """Return overrides under which a choice fits: an experiment or a model that makes it, else the choice itself."""
    group, name = choice.split("=")
    for kind in ("experiment", "model"):
        others = [path.stem for path in FILES if path.parent.name == kind] if kind != group else []
        for other in others:
            if composed(f"{kind}={other}")[1].get(group) == name:
                return (f"{kind}={other}",)
    if name.startswith(SEVERAL):
        return (f"data={name.removeprefix(SEVERAL)}", "model=mvae")
    if name.startswith("views_"):
        return (f"data={name.removeprefix('views_')}", "model=dual_encoder")
    if group == "likelihood" and name in OF_WORDS:
        return ("data=sentences", choice)
    if group == "data" and composed(choice)[1]["net"].startswith(SEVERAL):
        return (choice, "model=mvae")
    text = (TREE / "net" / f"{name}.yaml").read_text() if group == "net" else ""
    families = {"\ncritic:": "gan", "\ndenoiser:": "ddpm"}
    return next(((f"model={model}", choice) for part, model in families.items() if part in text), (choice,))


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("LSGEN_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return tmp_path


def test_the_tree_holds_what_is_promised():
    promised = "vae_digits beta_vae_sprites beta_tcvae_sprites beta_vae_mnist beta_vae_fashion_mnist"
    assert set(promised.split()) <= set(EXPERIMENTS)
    assert {"trainer=cpu", "trainer=gpu", "trainer=ddp", "trainer=debug"} <= set(CHOICES)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_fits_its_constructors(choice, run_dir):
    frozen, choices = composed(*composition(choice))
    group, name = choice.split("=")
    assert choices[group] == name
    verify(thaw(frozen))


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice.split("=")[0] != "trainer"])
def test_every_choice_builds(choice, run_dir):
    frozen, _ = composed(*composition(choice))
    config = thaw(frozen)
    group = choice.split("=")[0]
    part = group if group in PARTS else "model"
    if part == "data":
        with suppress(UsageError):  # data that are not on this machine; test_bad_input holds the sentence
            assert instantiate(config.data, "data").shape == tuple(config.data.shape)
    elif part == "model":
        model = instantiate(config.model, "model")
        space = model.latent_space
        assert space.dim == (space.prior.dim if isinstance(space, LatentSpace) else frozen["model"]["dim"])
    else:
        for name, member in config[part].items():
            with suppress(UsageError) if lacks_weights(member) else nullcontext():
                instantiate(member, f"{part}.{name}")


def lacks_weights(member):
    """Return whether a callback needs a file that no config can know; tests of their own hold the sentence."""
    rulers = [member.get(key) or {} for key in ("extractor", "distance")]
    return any("weights" in ruler and ruler["weights"] is None for ruler in rulers)


class StandIn(DataModule):
    """Random observations of a shape, such as a likelihood can explain."""

    def __init__(self, shape, normal, counts=False, x=None):
        super().__init__(shape, shape, AsStored(None), 2, 0, Loading())
        self.normal, self.counts, self.x = normal, counts, x

    def build(self, split):
        generator = torch.Generator().manual_seed(0)
        x = (torch.randn if self.normal else torch.rand)(2, *self.shape, generator=generator)
        x = (3 * x.abs()).floor() if self.counts else x
        x = x if self.x is None else self.x
        return self.subset(TensorSource(x=x), torch.arange(2), split)


@pytest.mark.parametrize("name", [path.stem for path in FILES if path.parent.name == "data"])
def test_every_data_set_brings_a_network_and_a_likelihood_that_fit(name, run_dir):
    """Training, validation and test go through, with nothing chosen but the data, and a model of several modalities."""
    frozen, choices = composed(f"data={name}")
    several, words = choices["net"].startswith(SEVERAL), choices["likelihood"] in OF_WORDS
    small = prod(frozen["data"]["shape"]) < 100
    assert several or choices["net"] == ("mlp" if small and not words else choices["net"])
    if several:
        frozen, choices = composed(f"data={name}", "model=mvae")
    model = instantiate(thaw(frozen).model, "model")
    shape = frozen["data"]["shape"]
    normal = len(shape) == 1 and choices["likelihood"] != "bernoulli"
    x = model.latent_space.sample(2) if several or words else None
    data = StandIn(shape, normal=normal, counts=choices["likelihood"] == "poisson", x=x)
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(accelerator="cpu", fast_dev_run=1, **options)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    assert model.generator_steps == 1


@pytest.mark.parametrize("name", ["data", "model", "experiment"])
def test_what_is_chosen_later_decides_on_the_network(name):
    chosen = {
        "data": ["data=mnist"],
        "model": ["data=mnist", "model=vq_vae"],
        "experiment": ["experiment=beta_vae_mnist"],
    }
    assert composed(*chosen[name])[1]["net"] == {"data": "conv", "model": "grid", "experiment": "mlp"}[name]
    assert composed(*chosen[name], "net=resnet")[1]["net"] == "resnet"


@pytest.mark.parametrize(
    ("overrides", "sizes"),
    [
        (["model=infogan", "data=mnist"], {"prior.dim": 74, "generator.dim": 74, "regularisers.0.recogniser.dim": 12}),
        (["model=infogan", "data=mnist", "model.prior.parts.1.dim=5"],
         {"prior.dim": 69, "regularisers.0.classes": 5, "regularisers.0.recogniser.dim": 7}),
        (["model=acgan", "model.prior.parts.1.dim=3"], {"prior.dim": 103, "critic.classes": 3}),
        (["model=biggan", "model.prior.parts.1.dim=3"], {"prior.dim": 83, "generator.classes": 3, "critic.classes": 3}),
        (["model=cgan", "model.prior.parts.1.dim=3"], {"prior.dim": 131, "critic.classes": 3, "generator.classes": 3}),
        (["model=m1_m2_vae", "data=mnist", "model.prior.parts.0.dim=4"], {"prior.dim": 24, "decoder.top_dim": 14}),
        (["model=ladder_vae", "model.decoder.top_dim=3"], {"prior.dim": 13, "encoder.dim": 13}),
        (["model=vq_vae", "data=mnist"], {"prior.dim": 4 * 7 * 7, "posterior.dim": 196, "decoder.dim": 196}),
        (["model=vq_vae", "model.encoder.halvings=3"], {"prior.dim": 4 * 8 * 8, "decoder.halvings": 3}),
        (["model=vq_vae_pixelcnn", "data=cifar10"], {"prior.dim": 4 * 8 * 8, "prior.grid": [8, 8]}),
        (["model=vq_vae", "net=mlp"], {"prior.dim": 1024}),
        (["likelihood=discretised_logistic_mixture", "model.likelihood.components=4"], {"decoder.heads": 12}),
    ],
)  # fmt: skip
def test_sizes_that_follow_from_others_are_computed(overrides, sizes):
    frozen, _ = composed(*overrides)
    model = OmegaConf.create(frozen["model"])
    assert {key: OmegaConf.select(model, key) for key in sizes} == sizes


@pytest.mark.parametrize("name", ["cpu", "debug", "ddp"])
def test_every_trainer_that_this_machine_has_builds(name, run_dir):
    frozen, _ = composed("data=digits", "net=mlp", f"trainer={name}")
    parts = build(thaw(frozen), frozen)
    assert parts.trainer.default_root_dir == str(run_dir)
    assert parts.trainer.max_steps == -1
    assert len(parts.trainer.loggers) == len(frozen["logger"])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_bring_no_key_that_no_part_knows(name, run_dir):
    frozen, choices = composed(f"experiment={name}")
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        plain = compose_chosen("train", choices_of(choices)[1])
    check_overlay(frozen, plain, name)
    verify(thaw(frozen))


def test_the_check_would_find_a_misspelt_key():
    frozen, _ = composed("experiment=vae_digits")
    for path in (("trainer", "max_epoch"), ("sed",), ("callbacks", "latent_traversal")):
        misspelt = yaml.safe_load(yaml.safe_dump(frozen))
        place = misspelt
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = {"every_n_steps": 1} if path[0] == "callbacks" else 3
        assert [key for key, _ in new_keys(misspelt, frozen, strict=True)] == [".".join(path)]


def test_no_key_becomes_null_by_an_empty_choice():
    empty = {path.parent.name: yaml.safe_load((TREE / path).read_text()) for path in FILES if path.stem == "none"}
    assert {"callbacks", "logger", "experiment"} <= set(empty)
    assert all(content == {} for group, content in empty.items() if group in ("callbacks", "logger", "experiment"))


def shapes(node, place=()):
    """Yield where a config has the key `shape`, and what stands there."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [((*place, key), value)] if key == "shape" else shapes(value, (*place, key))
    elif isinstance(node, list):
        for value in node:
            yield from shapes(value, place)


def test_the_shape_is_stated_by_the_data_only():
    for path in FILES:
        if path.parent.name != "data":
            content = yaml.safe_load(text := (TREE / path).read_text())
            of_codes = ("model", "denoiser") if "first_stage" in content.get("model", {}) else ()
            of_codes = (
                ("decoder",) if "encoder" in content and "data.vocabulary_size" in text else of_codes
            )  # a condition
            stated = [
                value
                for place, value in shapes(content)
                if place != ("data", "shape") and not (of_codes and place[: len(of_codes)] == of_codes)
            ]
            assert all("${" in str(value) for value in stated), path


@pytest.mark.parametrize("choice", LIKELIHOODS)
def test_likelihoods_tell_the_decoder_its_heads(choice, run_dir):
    on = ["data=sentences"] if choice in OF_WORDS else ["data=digits", "net=mlp"]
    frozen, _ = composed(*on, f"likelihood={choice}")
    model = instantiate(thaw(frozen).model, "model")
    assert model.latent_space.decoder.heads == model.latent_space.likelihood.heads


def test_beta_takes_a_schedule_from_the_command_line(run_dir):
    beta = "model.objective.beta={_target_: lsgen.models.schedules.Linear, start: 0, end: 4, steps: 10}"
    frozen, _ = composed("data=digits", "net=mlp", beta)
    config = thaw(frozen)
    verify(config)
    assert [instantiate(config.model, "model").objective.beta(step) for step in (0, 5, 20)] == [0.0, 2.0, 4.0]


def _schedules(config):
    """Return the weights of an objective that follow a schedule; temperatures of estimators have their own rate."""
    values = config["model"].get("objective", {}).values()
    return [v for v in values if hasattr(v, "get") and str(v.get("_target_")).startswith("lsgen.models.schedules.")]


def test_weights_reach_their_end_however_long_the_training_is(run_dir):
    models = [path.stem for path in FILES if path.parent.name == "model"]
    choices = [("experiment", name) for name in EXPERIMENTS] + [("model", name) for name in models]
    scheduled = [f"{kind}={name}" for kind, name in choices if _schedules(composed(f"{kind}={name}")[0])]
    assert {"model=annealed_vae", "experiment=ladder_vae_digits"} <= set(scheduled)
    for choice in scheduled:
        found = _schedules(thaw(composed(choice, "model.max_steps=40")[0]))
        schedules = [instantiate(value, "objective") for value in found]
        for schedule in schedules:
            values = [schedule(step) for step in range(41)]
            assert len(set(values)) > 1, choice
            assert schedule.end in (values if isinstance(schedule, Cyclic) else values[40:]), choice


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_trains_two_batches(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    limits = ["trainer.limit_train_batches=2", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]
    small = ["model.max_steps=2", "data.batch_size=4", "report=false", *limits]
    frozen, choices = composed(f"experiment={name}")
    if "lsgen.models.gan." in frozen["model"]["_target_"]:
        figures = [name for name, part in frozen["callbacks"].items() if part["_target_"].endswith(".LatentTraversal")]
        small += [f"~callbacks.{name}" for name in figures]  # which tests of their own draw
        # classifiers are trained longer than the models here
        small += ["callbacks=gan_ema"] if choices["callbacks"] in ("gan_quality", "gan_classes") else []
        if "decoupling" in frozen["callbacks"]:
            small += [
                f"+callbacks.decoupling.{few}" for few in ("n=64", "n_class=8", "iterations=2", "classifier.steps=20")
            ]
    else:  # its own callbacks and the engine; the choices stay as they are composed above, which is not done again
        others = composed(f"callbacks={choices['callbacks']}")[0]["callbacks"]
        engine = composed("callbacks=engine")[0]["callbacks"]
        small += [f"~callbacks.{part}" for part in others if part in frozen["callbacks"] and part not in engine]
    if "imputations" in frozen["callbacks"]:
        quick = {"n": 4, "draws": 2, "samples": 20, "methods": "[mean,knn,miwae,pseudo_gibbs]"}
        small += [f"++callbacks.imputations.{key}={value}" for key, value in quick.items()]
    overlay = yaml.safe_load((TREE / "experiment" / f"{name}.yaml").read_text())
    if first := overlay.get("model", {}).get("first_stage"):
        monkeypatch.chdir(tmp_path)
        quick = ["callbacks=engine", "model.max_steps=2", "data.batch_size=4", "report=false", *limits]
        assert main(["train", "experiment=vae_digits", f"run_dir={first}", *quick]) == 0
    arguments = ["train", f"experiment={name}", f"run_dir={tmp_path}/run", *small]
    code = main(arguments)
    output = capsys.readouterr()
    if code == 2 and "LSGEN_DATA_DIR" in output.err:
        pytest.skip(f"needs data: {output.err.strip()}")
    assert code == 0, output.err
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert os.environ.get("LSGEN_RUN_DIR") is None
