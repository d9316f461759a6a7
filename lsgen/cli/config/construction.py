"""Construction of the objects that a thawed config describes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lsgen.cli.config.first_stage import load_first_stage
from lsgen.cli.config.frozen_config import escaped
from lsgen.cli.config.schema import check_shape, check_signatures, with_options
from lsgen.cli.config.targets import check_names, resolve
from lsgen.cli.errors import UsageError
from lsgen.cli.refusals.explain import explanation
from lsgen.cli.refusals.run_objects import RunObjects

__all__ = ["build", "instantiate", "verify", "verify_part"]


def verify(config: DictConfig) -> None:
    """Check names, shape and signatures of a whole config before anything is built.

    Raises:
        UsageError: the first thing that is wrong.

    """
    plain: Any = OmegaConf.to_container(config)
    check_names(plain)
    check_shape(plain)
    check_signatures(with_options(plain))


def verify_part(config: DictConfig, key: str) -> None:
    """Check names and signatures of one part before it is built.

    Raises:
        UsageError: the first thing that is wrong.

    """
    plain: Any = {key: OmegaConf.to_container(config)}
    check_names(plain)
    check_signatures(with_options(plain))


def build(
    config: DictConfig,
    frozen: Mapping[str, Any],
    *,
    loggers: bool = True,
    callbacks: Callable[[str], bool] = lambda target: True,
) -> RunObjects:
    """Build the objects of a verified config; the random numbers of its model are seeded.

    Args:
        config: a thawed config.
        frozen: the same before it was thawed; handed to callbacks and loggers whose constructor takes `config`.
        loggers: whether the trainer gets any.
        callbacks: which callbacks the trainer gets, by the names of their targets.

    Raises:
        UsageError: a part refuses its arguments, with the sentence it gives.

    """
    from pytorch_lightning import seed_everything

    data = instantiate(config.data, "data")
    seed_everything(config.seed, verbose=False)
    model = instantiate(config.model, "model")
    load_first_stage(model)
    _regularise(model, config.get("regulariser") or {})
    hooks = _members(config.callbacks, "callbacks", frozen, callbacks)
    if config.trainer.get("enable_checkpointing") is not False and callbacks("lsgen.callbacks.Checkpoint"):
        hooks |= _default_checkpointing(hooks, config, frozen)
    sinks = _members(config.logger, "logger", frozen, lambda target: loggers)
    options: dict[str, Any] = {"callbacks": list(hooks.values()), "logger": list(sinks.values()) or False}
    if not any(_is_checkpoint(hook) for hook in hooks.values()):
        options["enable_checkpointing"] = False
    return RunObjects(data, model, hooks, sinks, instantiate(config.trainer, "trainer", options))


def _regularise(model: Any, group: Mapping[Any, DictConfig]) -> None:
    """Give a model its regularisers of the metric.

    Raises:
        UsageError: the model takes none, or refuses one of them.

    """
    from lsgen.models import LatentModel

    parts = {str(name): instantiate(part, f"regulariser.{name}") for name, part in group.items()}
    if parts and not isinstance(model, LatentModel):
        raise UsageError(f"regulariser: expected a model that is a LatentModel, got {type(model).__name__}")
    for name, part in parts.items():
        try:
            model.regularise(**{name: part})
        except (TypeError, ValueError) as error:
            raise UsageError(f"regulariser.{name}: {error}") from error


def _members(group: DictConfig, key: str, frozen: Mapping[str, Any], wanted: Callable[[str], bool]) -> dict[str, Any]:
    found = {}
    for name, part in group.items():
        if wanted(part._target_):
            place = f"{key}.{name!s}"
            takes_config = "config" in signature(resolve(place, part)).parameters and "config" not in part
            found[str(name)] = instantiate(part, place, {"config": frozen} if takes_config else None)
    return found


def _default_checkpointing(hooks: Mapping[str, Any], config: DictConfig, frozen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the callbacks that a config without a checkpoint callback needs to keep its weights and to resume exactly.

    Lightning adds a checkpoint of its own there, unless the trainer's `enable_checkpointing` is false; so does lsgen.
    """
    from lsgen.callbacks import Checkpoint, Seeding

    if any(_is_checkpoint(hook) for hook in hooks.values()):
        return {}
    kept: dict[str, Any] = {"checkpoint": Checkpoint(config=frozen)}
    if not any(isinstance(hook, Seeding) for hook in hooks.values()):
        kept["seeding"] = Seeding(config.seed)
    return kept


def _is_checkpoint(hook: Any) -> bool:
    from pytorch_lightning.callbacks import Checkpoint

    return isinstance(hook, Checkpoint)


def instantiate(part: DictConfig, key: str, given: Mapping[str, Any] | None = None) -> Any:
    """Call the class or function that a checked mapping names; `given` are arguments that no config can hold.

    Raises:
        UsageError: the constructor refuses, with the sentence it gives.

    """
    from hydra.utils import instantiate as hydra_instantiate

    try:
        factory = hydra_instantiate(_resolved_twice(part, key), _convert_="all", _partial_=True)
        return factory(**(given or {}))
    except UsageError:
        raise
    except Exception as error:
        trace = error.__traceback__  # of one frame if the call itself raised: an argument is missing or unknown
        uncalled = isinstance(error, TypeError) and trace is not None and trace.tb_next is None
        sentence = f"{key}: {error}" if uncalled else explanation(error, place=_where(error, key))
        if sentence is None:
            raise
        raise UsageError(_in_plain_words(sentence)) from error


def _resolved_twice(part: DictConfig, key: str) -> DictConfig:
    """Return a part of a config, escaped such that its text survives Hydra's second resolution."""
    whole: Any = escaped(escaped(with_options(OmegaConf.to_container(part, resolve=True), key)))
    for name in reversed(key.split(".")):
        whole = {name: whole}
    found: DictConfig = OmegaConf.select(OmegaConf.create(whole), key)
    return found


def _where(error: BaseException, key: str) -> str:
    """Return the key of the part whose constructor raised, which Hydra's exception names."""
    found: list[str] = re.findall(r"^full_key: (.+)$", str(error), re.MULTILINE)
    return found[-1] if type(error).__name__ == "InstantiationException" and found else key


def _in_plain_words(sentence: str) -> str:
    if "No supported gpu backend" not in sentence:
        return sentence
    return (
        "trainer: expected a GPU for trainer.accelerator=gpu, found none that PyTorch can use: trainer=cpu trains "
        "without"
    )
