"""Dry run of a config's optimisers and schedules on a single parameter, before any work starts.

A schedule may raise at a step far away, or leave nothing to learn with; both are found in a second here.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lsgen.cli.config.construction import instantiate
from lsgen.cli.config.targets import resolve, target_nodes
from lsgen.cli.errors import UsageError
from lsgen.cli.refusals.explain import explanation
from lsgen.models.schedules import Schedule

__all__ = ["rehearse", "rehearse_weights"]

_STEPS = 100_000  # as far as a schedule is followed, in a second or two
_SAMPLES = 1_000


def rehearse(model: DictConfig) -> None:
    """Make every optimiser that a model's config describes, and follow its schedule to the last generator step.

    Args:
        model: the thawed and verified config of the model.

    Raises:
        UsageError: one of them refuses its arguments, raises at some step, or has a learning rate that is negative,
            not finite, or 0 at all steps.

    """
    plain: Any = OmegaConf.to_container(model)
    steps = max(1, min(plain.get("max_steps") or _SAMPLES, _STEPS))
    optimizers, schedulers = (list(_factories(plain, kind)) for kind in (Optimizer, LRScheduler))
    made = [(key, _made(model, key, [_number()])) for key in optimizers] or [("model.optimizer", Adam([_number()]))]
    for key, optimizer in made:
        _check_rates(key, [_rates(optimizer)])
    for key in schedulers:
        for _, optimizer in made:
            _follow(model, key, optimizer, steps)


def rehearse_weights(model: torch.nn.Module, steps: int | None) -> None:
    """Evaluate the schedules that a built model keeps, at steps from the first to the last.

    Args:
        model: the model.
        steps: its generator steps; the first 1,000 where it has no limit.

    Raises:
        UsageError: a schedule raises, or returns what is no finite number.

    """
    last = _SAMPLES if steps is None else steps
    for name, module in model.named_modules():
        for key, schedule in vars(module).items():
            if isinstance(schedule, Schedule):
                place = ".".join(filter(None, ("model", name, key)))
                for step in sorted({last * i // _SAMPLES for i in range(_SAMPLES + 1)}):
                    _check_weight(place, schedule, step)


def _check_weight(place: str, schedule: Schedule, step: int) -> None:
    try:
        value: Any = schedule(step)
    except Exception as error:
        if (said := explanation(error)) is None:
            raise
        raise UsageError(
            f"{place}, the schedule {type(schedule).__name__}, fails at generator step {step}: {said}"
        ) from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise UsageError(
            f"expected {place}, the schedule {type(schedule).__name__}, to give a finite number, got {value!r} at "
            f"generator step {step}"
        )


def _factories(model: Mapping[str, Any], kind: type) -> Iterator[str]:
    for key, node in target_nodes(model, "model"):
        found = resolve(key, node)
        if node.get("_partial_") and inspect.isclass(found) and issubclass(found, kind):
            yield key


def _made(model: DictConfig, key: str, of: Any) -> Any:
    """Call the factory that a partial mapping names with its first argument."""
    part: DictConfig = OmegaConf.select(model, key.removeprefix("model."))
    first = next(iter(inspect.signature(resolve(key, part)).parameters))
    return instantiate(part, key, {first: of})


def _number() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.zeros(1))


def _follow(model: DictConfig, key: str, optimizer: Optimizer, steps: int) -> None:
    rates: list[list[float]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = _made(model, key, optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            raise UsageError(
                f"{key}: expected a schedule over generator steps, got ReduceLROnPlateau, which waits for a value that "
                "no step gives"
            )
        while len(rates) < steps:
            rates.append(_rates(optimizer))
            try:
                scheduler.step()
            except Exception as error:
                if (said := explanation(error, place=key)) is None:
                    raise
                raise UsageError(f"{said} (after generator step {len(rates)} of {steps})") from error
    _check_rates(key, rates)


def _rates(optimizer: Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def _check_rates(key: str, rates: list[list[float]]) -> None:
    for step, row in enumerate(rates):
        if any(not isfinite(rate) or rate < 0 for rate in row):
            raise UsageError(f"expected {key} to keep the learning rate at 0 or above, got {row[0]} at step {step}")
    if not any(any(row) for row in rates):
        raise UsageError(f"expected {key} to have a learning rate above 0, got 0: nothing would be trained")
