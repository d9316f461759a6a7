"""Shapes of observations and numbers of words or nodes that a config leaves open: the data are built and asked.

Networks, likelihoods and models read `${data.shape}`, `${data.shapes.NAME}` of a modality, `${data.vocabulary_size}`
and `${data.nodes}`. If one is null, it means what the data have, and is filled in before anything is resolved, so that
the frozen config of a run states it.
"""

from __future__ import annotations

import json
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lsgen.cli.config.frozen_config import escaped, resolving
from lsgen.cli.errors import UsageError

__all__ = ["fill_shape"]

_COUNTS = ("vocabulary_size", "nodes")
_OPEN = ("shape", "shapes", *_COUNTS)
Sizes = dict[str, list[int] | dict[str, list[int]] | int]
_found: dict[str, Sizes] = {}  # of the data that this process has asked, such as the jobs of a sweep


def fill_shape(config: DictConfig) -> None:
    """Fill in `data.shape`, and `shapes`, `vocabulary_size` and `nodes` of data that have one, if they are null.

    Args:
        config: a composed config; changed.

    Raises:
        UsageError: the data cannot be built, with the sentence they give, or have no `shape`.

    """
    data = config.get("data")
    if not isinstance(data, DictConfig) or "shape" not in data or OmegaConf.is_missing(data, "shape"):
        return
    with resolving():
        unknown = [name for name in _OPEN if name in data and data[name] is None]
        if not unknown:
            return
        options: Any = OmegaConf.to_container(data, resolve=True, throw_on_missing=True)
    key = json.dumps({name: value for name, value in options.items() if name != "seed"}, sort_keys=True, default=str)
    if key not in _found:
        _found[key] = _sizes(options)
    for name in unknown:
        data[name] = _found[key][name]


def _sizes(options: dict[str, Any]) -> Sizes:
    from lsgen.cli.config.construction import instantiate, verify_part

    part = OmegaConf.create({"data": escaped(options)}).data
    verify_part(part, "data")
    data = instantiate(part, "data")
    if not isinstance(shape := getattr(data, "shape", None), tuple):
        raise UsageError(f"expected data.shape, which is null, from the data, and {type(data).__name__} has none")
    sizes: Sizes = {"shape": [int(size) for size in shape]}
    if "shapes" in options:
        sizes["shapes"] = {name: [int(size) for size in own] for name, own in data.shapes.items()}
    return sizes | {name: int(getattr(data, name)) for name in _COUNTS if name in options}
