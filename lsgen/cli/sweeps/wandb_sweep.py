"""`lsgen sweep --wandb`: the definition of a Weights & Biases sweep, whose agents run `lsgen train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import take
from lsgen.runs import redact, write_atomically

__all__ = ["definition", "write_definition"]

_METHODS, _GOALS = ("grid", "random", "bayes"), ("maximize", "minimize")


def write_definition(arguments: Sequence[str]) -> int:
    """Write the file that the first argument names from the arguments that follow, and return the exit code.

    Raises:
        UsageError: there is nothing to sweep, or something that W&B cannot express.

    """
    if not arguments or "=" in arguments[0]:
        raise UsageError("expected lsgen sweep --wandb FILE KEY=VALUE,VALUE ..., got no file")
    file, (settings, rest) = Path(arguments[0]), take(arguments[1:], ("method", "metric", "goal"))
    content = definition(rest, **settings)
    try:
        write_atomically(file.absolute(), yaml.safe_dump(content, sort_keys=False))
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    print(f"wrote    {file}\nnext     wandb sweep {file}   then, on every machine: wandb agent SWEEP_ID")
    return OK


def definition(
    overrides: Sequence[str], method: str = "grid", metric: str = "val/elbo", goal: str = "maximize"
) -> dict[str, Any]:
    """Return the definition of a sweep over the overrides that `lsgen train -m` would take.

    Raises:
        UsageError: there is nothing to sweep, or something that W&B cannot express.

    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    for name, value, known in (("method", method, _METHODS), ("goal", goal, _GOALS)):
        if value not in known:
            raise UsageError(f"expected {name} among {', '.join(known)}, got {value!r}")
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UsageError(str(error).splitlines()[0]) from error
    parameters = {str(one.get_key_element()): _parameter(one, method) for one in parsed if one.is_sweep_override()}
    if not parameters:
        raise UsageError("expected something to sweep, such as model.objective.beta=1,4,16, got none")
    fixed = [str(one.input_line) for one in parsed if not one.is_sweep_override()]
    if paired := next((one for one in fixed if one.startswith("zip=")), None):
        raise UsageError(f"W&B combines every value with every other, got {paired}: use `lsgen train -m {paired}`")
    if (secret := next((one for one in fixed if redact(one) != one), None)) is not None:
        raise UsageError(f"{secret.partition('=')[0]} looks like a secret, and the definition is sent to W&B")
    # The agent sets WANDB_RUN_ID and WANDB_SWEEP_ID, from which the run takes its id; it talks to the server.
    command = ["${env}", "lsgen", "train", *fixed, "logger.wandb.mode=online", "${args_no_hyphens}"]
    return {"method": method, "metric": {"name": metric, "goal": goal}, "parameters": parameters, "command": command}


def _parameter(override: Any, method: str) -> dict[str, Any]:
    from hydra.core.override_parser.types import IntervalSweep

    value = override.value()
    if not isinstance(value, IntervalSweep):
        return {"values": list(override.sweep_iterator())}
    if method == "grid":
        raise UsageError(
            f"an interval has no grid: give {override.get_key_element()} values, or method=random or bayes"
        )
    whole = "int" in value.tags
    if whole and "log" in value.tags:
        raise UsageError(f"W&B has no logarithmic interval of whole numbers, got {override.input_line}")
    kind = "log_uniform_values" if "log" in value.tags else "int_uniform" if whole else "uniform"
    return {"distribution": kind, "min": value.start, "max": value.end}
