"""Find the members of a kind by type, and build each from its annotations or as a yaml does.

A member is a public class (one in its module's `__all__`) that is not abstract and derives from the kind's base class.
It is built from arguments that its contract offers by name, from its own defaults, and for the rest from annotations:
see NUMBERS. Where that does not do, the first model in conf/model that names the class is composed, and its part of
the config is built. A member with neither fails in one sentence.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lsgen.conf
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, ListConfig, OmegaConf

from lsgen.cli.config.construction import instantiate
from lsgen.cli.config.open_shape import fill_shape
from lsgen.models import VAE, LatentModel
from lsgen.models.vae import DataSetObjective

CONF = Path(next(iter(lsgen.conf.__path__)))
SMALL = {
    "width": 16,
    "channels": 16,
    "centres": 3,
    "hidden": 32,
    "nodes": 12,
    "prefixes": 4,
}  # the most that parts of models have in tests
NUMBERS = {"int": 2, "float": 0.5, "float | Schedule": 0.5, "Sequence[int]": (4,), "tuple[int, ...]": (4,)}


def modules(*rooms: str) -> Iterator[Any]:
    """Yield every module of rooms, the rooms within them included; scripts that run when imported are left out.

    So is a module of a package that is not installed, which an extra brings.
    """
    for room in rooms:
        package = importlib.import_module(room)
        yield package
        for info in pkgutil.walk_packages(package.__path__, f"{room}."):
            if info.name.endswith("__main__"):
                continue
            try:
                yield importlib.import_module(info.name)
            except ModuleNotFoundError as missing:
                if missing.name != "numba":
                    raise


def concrete(kind: Any, *rooms: str) -> list[type]:
    """Return the members of a kind by name."""
    found = {
        member
        for module in modules(*rooms)
        for name, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__ and name in getattr(module, "__all__", ())
        if issubclass(member, kind) and not inspect.isabstract(member)
    }
    return sorted(found, key=lambda member: member.__name__)


def by_name(members: list[type]) -> dict[str, type]:
    """Return members by name, for parameters of a test."""
    return {member.__name__: member for member in members}


def build(member: type, **offers: Any) -> Any:
    """Return an instance.

    Args:
        member: class.
        offers: arguments by name; those that the class does not take are left out.

    """
    arguments = _arguments(member, offers)
    if arguments is not None:
        return member(**arguments)
    for name in filter(installed, model_names()):
        for key, node in _nodes(config(name).model, "model"):
            if node.get("_target_", "").rpartition(".")[2] == member.__name__:
                return instantiate(node, key)
    missing = ", ".join(_required(member) - set(offers))
    raise AssertionError(
        f"{member.__name__} cannot be built from its annotations ({missing} is none of {', '.join(NUMBERS)}): "
        "give it defaults, or a yaml in conf/model that builds it on digits"
    )


def _arguments(member: type, offers: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a class is called with, or nothing where an argument is known to nobody."""
    parameters = inspect.signature(member).parameters
    given = {name: offers[name] for name in parameters if name in offers}
    hints = getattr(member.__init__, "__annotations__", {})
    for name in _required(member) - set(given):
        written = hints.get(name)
        key = written if isinstance(written, str) else getattr(written, "__name__", str(written))
        if key not in NUMBERS:
            return None
        given[name] = NUMBERS[key]
    return given


def _required(member: type) -> set[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(member).parameters
    return {name for name, p in parameters.items() if p.default is p.empty and p.kind not in kinds}


def _nodes(node: Any, key: str) -> Iterator[tuple[str, DictConfig]]:
    if isinstance(node, DictConfig):
        yield key, node
        for name in node:
            if not OmegaConf.is_missing(node, name):
                yield from _nodes(node._get_node(name), f"{key}.{name}")
    elif isinstance(node, ListConfig):
        for i in range(len(node)):
            yield from _nodes(node._get_node(i), f"{key}.{i}")


def options(group: str) -> list[str]:
    """Return the choices of a group of conf, but for those that others are made of, whose names begin with _."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_"))


def model_names() -> list[str]:
    """Return the names of all models in conf/model."""
    return options("model")


def installed(name: str) -> bool:
    """Return whether what a model's data need of other packages is installed."""
    text = (CONF / "model" / f"{name}.yaml").read_text()
    return "override /data: walks" not in text or find_spec("numba") is not None


@cache
def config(name: str) -> DictConfig:
    """Return the config of a model on digits, of four generator steps.

    It is that of its experiment NAME_digits where there is one; else the model as it stands, with a small network
    where it leaves the choice of the network to the default, or chooses a U-Net. A model that chooses its data, such
    as one of words, has these.
    """
    if not installed(name):
        pytest.skip("needs numba")
    experiment = f"{name}_digits"
    own = [] if chooses_data(name) else ["data=digits"]
    chosen = [f"experiment={experiment}"] if experiment in options("experiment") else [f"model={name}", *own]
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        composed = compose("train", [*chosen, "model.max_steps=4"], return_hydra_config=True)
        small = {_default_net(): "mlp", "unet": "mlp_denoiser"}.get(composed.hydra.runtime.choices.net)
        if small is not None:
            composed = compose("train", [*chosen, "model.max_steps=4", f"net={small}"], return_hydra_config=True)
        fill_shape(composed)
    if "sampler" in composed.model:
        composed.model.sampler.steps = 3
    for _, node in _nodes(composed.model, "model"):
        for size in SMALL.keys() & node.keys():
            value = OmegaConf.to_container(node[size]) if OmegaConf.is_config(node[size]) else node[size]
            if isinstance(value, int):
                node[size] = min(value, SMALL[size])
            elif isinstance(value, list):
                node[size] = [min(one, SMALL[size]) for one in value]
    return composed


def chooses_data(name: str) -> bool:
    """Return whether a model, or one that it is made of, chooses its data."""
    text = (CONF / "model" / f"{name}.yaml").read_text()
    return "override /data:" in text or any(map(chooses_data, re.findall(r"^  - (?!_self_)(_\w+)$", text, re.M)))


@cache
def _default_net() -> str:
    return str(compose("train", return_hydra_config=True).hydra.runtime.choices.net)


def model(name: str) -> LatentModel:
    """Return a new model of a name, in training mode, the same every time."""
    torch.manual_seed(0)
    chosen = config(name).model
    if "pytorch_metric_learning" in str(chosen):
        pytest.importorskip("pytorch_metric_learning")
    built = instantiate(chosen, "model")
    assert isinstance(built, LatentModel), f"expected conf/model/{name}.yaml to build a LatentModel, got {type(built)}"
    if isinstance(built, VAE) and isinstance(built.objective, DataSetObjective):
        built.objective.prepare(1000)
    return built
