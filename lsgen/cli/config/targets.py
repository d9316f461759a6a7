"""The list of objects that a config may name as `_target_`.

A config decides what is imported and called, so a run handed on by somebody else could run anything. Two
checks stand before that: the name as written must be on the list (nothing is imported for it), and the
object found under that name must live in a module that is on the list too, since
`lsgen.data.factors.sprites.torch.load` begins well and ends elsewhere.

The list grows by the environment variable LSGEN_TARGETS only, never by a config: names of packages, modules or
classes, separated by commas.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from lsgen.cli.errors import UsageError

__all__ = ["allowed", "check_names", "resolve", "target_nodes"]

_ALLOWED = (
    "lsgen.callbacks",
    "lsgen.data",
    "geoopt.manifolds",
    "geoopt.optim",
    "lsgen.geometry",
    "lsgen.latent",
    "lsgen.likelihoods",
    "lsgen.metrics",
    "lsgen.models",
    "lsgen.nn",
    "lsgen.reproduction.comparisons",
    "lsgen.reproduction.figures",
    "lsgen.reproduction.measures",
    "pytorch_metric_learning.distances",
    "pytorch_metric_learning.losses",
    "pytorch_metric_learning.miners",
    "pytorch_metric_learning.reducers",
    "pytorch_metric_learning.regularizers",
    "pytorch_lightning.Trainer",
    "pytorch_lightning.trainer.trainer.Trainer",
    "pytorch_lightning.accelerators",
    "pytorch_lightning.callbacks",
    "pytorch_lightning.loggers",
    "pytorch_lightning.plugins",
    "pytorch_lightning.profilers",
    "pytorch_lightning.strategies",
    "torch.distributions",
    "torch.nn",
    "torch.optim",
    "torchmetrics",
    "torchvision.models",
    "torchvision.transforms.v2",
)
_FORBIDDEN = ("pytorch_lightning.strategies.launchers", "torch.nn.parallel", "torchmetrics.utilities")
_EXTRAS = {"geoopt": "hyperbolic", "pytorch_metric_learning": "similarity"}  # package -> the extra that installs it
_LOOKUPS = {"hydra.utils.get_class", "hydra.utils.get_method", "hydra.utils.get_object"}


def allowed(name: str) -> bool:
    """Return whether a dotted name, or a package above it, is on the list."""
    if any(part.startswith("_") and part != "__init__" for part in name.split(".")[1:-1]):
        return False
    if any(_within(name, entry) for entry in _FORBIDDEN):
        return False
    return any(_within(name, entry) for entry in (*_ALLOWED, *_extensions()))


def target_nodes(node: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every mapping that holds `_target_`, at any depth, with its dotted key."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield key, node
        for name, value in node.items():
            yield from target_nodes(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from target_nodes(value, f"{key}[{index}]")


def check_names(config: Mapping[str, Any]) -> None:
    """Refuse a config that names an object which is not on the list; nothing is imported.

    Raises:
        UsageError: a `_target_`, or what `hydra.utils.get_class` and its kin would look up, is not on the list.

    """
    for key, node in target_nodes(config):
        _check(_named(key, node), key)


def resolve(key: str, node: Mapping[str, Any]) -> Any:
    """Return the object that a checked `_target_` names.

    Raises:
        UsageError: there is no such object, or it lives in a module that is not on the list.

    """
    name = _named(key, node)
    _check(name, key)
    found = _locate(name, key)
    home = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', None)}"
    if isinstance(found, ModuleType) or not callable(found):
        raise UsageError(f"{key}: expected a class or function as _target_, got {name} ({type(found).__name__})")
    exported = ".".join(part for part in home.split(".") if not part.startswith("_")) == name  # by the package it is in
    if not (allowed(home) or exported):
        raise _refusal(f"{name}, which is {home}", key)
    return found


def _named(key: str, node: Mapping[str, Any]) -> str:
    name = node["_target_"]
    if isinstance(name, str) and name in _LOOKUPS:
        name = node.get("path", (node.get("_args_") or [None])[0])
    if not isinstance(name, str):
        raise UsageError(f"{key}._target_: expected the dotted name of a class or function, got {name!r}")
    return name


def _check(name: str, key: str) -> None:
    if not allowed(name):
        raise _refusal(name, key)


def _refusal(what: str, key: str) -> UsageError:
    return UsageError(
        f"{key}._target_ names {what}: that is not among what a config may call "
        f"(lsgen, torch.nn, torch.optim, torchmetrics, Lightning's parts); if you trust it, "
        "name its package in the environment variable LSGEN_TARGETS"
    )


def _locate(name: str, key: str) -> Any:
    """Import the longest module prefix of `name`, then follow attributes that stay within the list."""
    parts = name.split(".")
    found: Any = None
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not _within(module, error.name):
                raise UsageError(f"{key}._target_: cannot import {module}: {error}") from error
            continue
        break
    if found is None and parts[0] in _EXTRAS:
        package = parts[0].replace("_", "-")
        raise UsageError(f"{key}._target_: {name} needs {package}: pip install 'lsgen[{_EXTRAS[parts[0]]}]'")
    if found is None:
        raise UsageError(f"{key}._target_: there is no module {parts[0]!r} to import: is it on PYTHONPATH?")
    for part in parts[end:]:
        if isinstance(found, ModuleType) and not _parent_of_allowed(found.__name__):
            raise _refusal(f"{name}, which leads into {found.__name__}", key)
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise UsageError(f"{key}._target_: there is no {name} ({error})") from error
    return found


def _parent_of_allowed(module: str) -> bool:
    return allowed(module) or any(entry.startswith(f"{module}.") for entry in (*_ALLOWED, *_extensions()))


def _extensions() -> list[str]:
    return [entry.strip(" .") for entry in os.environ.get("LSGEN_TARGETS", "").split(",") if entry.strip(" .")]


def _within(name: str, entry: str) -> bool:
    return name == entry or name.startswith(f"{entry}.")
