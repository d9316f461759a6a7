"""Checks that values which a run monitors, such as `val/elbo`, are among those that it logs.

What a model of lsgen and its callbacks log for others to watch stands in the registry of log keys. A model or a
callback of the user may log anything: then it is found out at the end of the first validation.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from omegaconf import DictConfig

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.config.targets import resolve
from lsgen.cli.errors import UsageError
from lsgen.runs.keys import watchable

__all__ = ["check_metric", "check_monitors"]


def check_monitors(config: DictConfig) -> None:
    """Refuse a callback whose monitored value is never logged by validation.

    Args:
        config: a config whose targets may be resolved.

    Raises:
        UsageError: the first such key, with those that there will be.

    """
    logged = _logged(config, ("train", "val"))
    for name, node in config["callbacks"].items():
        key = node.get("monitor")
        if key == "auto":
            key = _criterion(config["model"])
        if logged is not None and isinstance(key, str):
            _check(f"callbacks.{name}.monitor", key, logged)


def check_metric(place: str, key: Any, config: DictConfig) -> None:
    """Refuse a metric that is not among the final metrics of a run.

    Args:
        place: the key of the config that names it.
        key: the metric.
        config: the config of the run; its targets may be resolved.

    Raises:
        UsageError: there will be no such metric.

    """
    logged = _logged(config, ("train", "val", "test") if config.get("test", True) else ("train", "val"))
    if logged is not None:
        _check(place, key, logged)


def _criterion(node: DictConfig) -> str | None:
    """Return the value that decides on the best weights of a model that is to be built."""
    from lsgen.latent.posteriors import PointPosterior  # with PyTorch, which a run is frozen without
    from lsgen.models.base import best_by

    bounds, posterior = getattr(resolve("model", node), "bounds_evidence", False), node.get("posterior")
    kind = None if posterior is None else resolve("model.posterior", posterior)
    criterion = best_by(bounds, isinstance(kind, type) and issubclass(kind, PointPosterior))
    return None if criterion is None else criterion[0]


def _check(place: str, key: Any, logged: list[str]) -> None:
    if not any(fnmatchcase(str(key), pattern) for pattern in logged):
        known, hint = ", ".join(logged), did_you_mean(str(key), logged)
        raise UsageError(f"expected {place} among what the run will log, {known}, got {key!r}{hint}")


def _logged(config: DictConfig, stages: tuple[str, ...]) -> list[str] | None:
    """Return patterns of all keys that can be monitored; None if a part may log undeclared keys."""
    model = resolve("model", config["model"])
    hooks = [resolve(f"callbacks.{name}", node) for name, node in config["callbacks"].items()]
    if not hasattr(model, "bounds_evidence") or not all(_is_known(part) for part in (model, *hooks)):
        return None
    declared = _declared(model)
    for hook in hooks:
        if not getattr(hook, "of_evidence", False) or model.bounds_evidence:
            declared += _declared(hook)
    return [key for key in declared if key.partition("/")[0] in stages]


def _declared(part: Any) -> list[str]:
    return [key for name in getattr(part, "__mro__", ()) for key in watchable(name.__name__)]


def _is_known(part: Any) -> bool:
    return str(getattr(part, "__module__", "")).split(".")[0] in ("lsgen", "pytorch_lightning")
