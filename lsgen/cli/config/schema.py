"""Checks of config keys against the signatures of the classes and functions that take them.

The constructor named by `_target_` is the schema of its mapping: a key that it does not take, or one that it needs
and does not get, is refused before anything is built. A mapping without `_target_` where a part is expected, and a
root key that nothing reads, are refused too.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from lsgen.cli.config.annotations import check_values, options_class
from lsgen.cli.config.targets import resolve, target_nodes
from lsgen.cli.errors import UsageError

__all__ = ["ROOT_KEYS", "check_shape", "check_signatures", "did_you_mean", "with_options"]

ROOT_KEYS = ("seed", "test", "report", "run", "data", "model", "trainer", "callbacks", "logger", "regulariser")
MAX_SEED = 2**32 - 1  # that of NumPy, and so of Lightning
_LEAST = {
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "gradient_clip_val": 0,
    "log_every_n_steps": 0,
    "num_sanity_val_steps": -1,
}
_PARTS, _COLLECTIONS = ("data", "model", "trainer"), ("callbacks", "logger", "regulariser")
_NEWER = ("regulariser",)  # collections that the configs of older runs lack
_HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


def check_shape(config: Mapping[str, Any], references: Iterable[str] = ()) -> None:
    """Refuse a config whose parts are not mappings of the expected form, without importing anything.

    Args:
        config: the resolved config.
        references: the texts of all interpolations before they were resolved.

    Raises:
        UsageError: a part has no `_target_`, a root key is read by nothing, the seed is none, `trainer.max_steps` is
            set, or another number of the trainer is one that Lightning takes and then fails with.

    """
    _check_root(config)
    text = "\n".join(references)
    for key in config:
        if key not in ROOT_KEYS and not re.search(rf"\$\{{\s*{re.escape(key)}\b", text):
            raise UsageError(f"unknown config key {key!r}: nothing reads it{did_you_mean(key, ROOT_KEYS)}")
    parts = {key: config.get(key) for key in _PARTS}
    for group in _COLLECTIONS:
        members = config.get(group, {} if group in _NEWER else None)
        if not isinstance(members, Mapping):
            raise UsageError(f"{group}: expected parts by name (`{group}=none` for none), got {members!r}")
        parts |= {f"{group}.{name}": part for name, part in members.items()}
    for key, part in parts.items():
        if not isinstance(part, Mapping) or "_target_" not in part:
            siblings = [name for name in parts if name != key]
            raise UsageError(f"{key}: expected a mapping with _target_, got {part!r}{did_you_mean(key, siblings)}")
    _check_trainer(config["trainer"])


def _check_root(config: Mapping[str, Any]) -> None:
    """Refuse a seed out of the range of a random generator, and switches that are neither true nor false."""
    seed = config.get("seed", 0)
    if not _is_open(seed) and not (type(seed) is int and 0 <= seed <= MAX_SEED):
        raise UsageError(f"expected seed to be a whole number from 0 to {MAX_SEED} (2^32 - 1), got {seed!r}")
    for key in ("test", "report"):
        if not _is_open(value := config.get(key, False)) and not isinstance(value, bool):
            raise UsageError(f"expected {key} to be true or false, got {value!r}")


def _check_trainer(trainer: Mapping[str, Any]) -> None:
    if trainer.get("max_steps", -1) != -1:
        raise UsageError(
            "trainer.max_steps counts the steps of every optimiser: set model.max_steps, which counts generator steps"
        )
    for key in ("callbacks", "logger"):
        if key in trainer:
            raise UsageError(f"trainer.{key}: the trainer gets what stands in {key}: name it there, {key}.NAME=...")
    for key, least in _LEAST.items():
        value = trainer.get(key)
        if isinstance(value, int | float) and not value >= least:
            raise UsageError(f"expected trainer.{key} of at least {least}, got {value!r}")
    if re.search("spawn|fork|notebook", str(trainer.get("strategy", ""))):
        raise UsageError(
            f"expected a trainer.strategy whose processes start lsgen again, such as ddp, got {trainer['strategy']!r}, "
            "whose processes would keep what they learn to themselves"
        )
    if trainer.get("val_check_interval") == 0:
        raise UsageError("expected trainer.val_check_interval above 0, or null for once in an epoch, got 0")


def _is_open(value: Any) -> bool:
    """Return whether a value is known only on the machine of the run."""
    return isinstance(value, str) and "${" in value


def with_options(node: Any, key: str = "") -> Any:
    """Return a checked config in which mappings of options name the dataclass that takes them.

    A mapping without `_target_` where a constructor takes a dataclass of options changes those of its default.

    Args:
        node: the config, or a part of it; its targets may be resolved.
        key: its dotted key.

    """
    if isinstance(node, list):
        return [with_options(item, f"{key}[{place}]") for place, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    filled = dict(node)
    plain = {name: value for name, value in node.items() if isinstance(value, Mapping) and "_target_" not in value}
    if plain and "_target_" in node and not str(node["_target_"]).startswith("hydra.utils."):
        filled |= _options_of(resolve(key, node), plain)
    return {name: with_options(value, f"{key}.{name}" if key else str(name)) for name, value in filled.items()}


def _options_of(found: Any, plain: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return those mappings among the arguments of a constructor that are options, complete with their dataclass."""
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):
        return {}
    complete: dict[str, Any] = {}
    for name, value in plain.items():
        if name in parameters:
            kind, default = options_class(found, parameters[name]), parameters[name].default
            if kind is not None:
                own = fields(kind) if isinstance(default, kind) else ()
                changed = {f.name: option for f in own if (option := getattr(default, f.name)) != f.default}
                complete[name] = {"_target_": f"{kind.__module__}.{kind.__qualname__}", **changed, **value}
    return complete


def check_signatures(config: Mapping[str, Any]) -> None:
    """Check the keys of every `_target_` mapping against the signature of the class or function that it names.

    Raises:
        UsageError: an unknown key, a missing one, a value of a type that its annotation does not admit, or a target
            that `resolve` refuses.

    """
    given = {"trainer": {"callbacks", "logger"}}
    for key, node in target_nodes(config):
        found = resolve(key, node)
        if str(node["_target_"]).startswith("hydra.utils."):
            continue
        _check_node(key, node, found, given.get(key, set()))


def _check_node(key: str, node: Mapping[str, Any], found: Any, given: set[str]) -> None:
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):
        return
    names = [name for name, parameter in parameters.items() if parameter.kind in (_EITHER, _KEYWORD)]
    if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in node:
            if name not in names and name not in _HYDRA_KEYS:
                hint = _further_down(name, parameters) or did_you_mean(name, names)
                hint = hint or f"; it takes {', '.join(names) or 'nothing'}"
                raise UsageError(f"unknown config key '{key}.{name}': {node['_target_']} does not take it{hint}")
    check_values(key, found, {name: node[name] for name in names if name in node})
    if node.get("_partial_") or node.get("_args_"):
        return
    for name in names:
        if parameters[name].default is inspect.Parameter.empty and name not in node and name not in given:
            raise UsageError(f"missing config key '{key}.{name}': {node['_target_']} needs it")


def _further_down(name: str, parameters: Mapping[str, inspect.Parameter]) -> str:
    """Return a hint if a key is an option of a dataclass that the constructor takes."""
    for key, parameter in parameters.items():
        if is_dataclass(parameter.default) and name in {field.name for field in fields(parameter.default)}:
            return f"; did you mean {key}.{name}?"
    return ""


_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean ...?" where one of `names` looks like `name`, else nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
