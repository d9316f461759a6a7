"""Names of a run: its name, id, group, job type and tags, which are text even if they look like numbers.

`run.name=1e5`, `run.id=007` and `run.tags=[1,true]` are kept as they were written. A directory is named after a run by
a part of its name that is one harmless component of a path on any system.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from lsgen.cli.config.compose import Composed
from lsgen.cli.config.frozen_config import escaped, quoted
from lsgen.cli.errors import UsageError
from lsgen.runs import new_id

__all__ = ["as_text", "folder", "identify"]

_TEXTS = ("name", "id", "group", "job_type")
_BEYOND_ASCII = re.compile(r"[^=]+=(?=.*[^\x00-\x7f])[^\[\](){}'\"$\\]*$")
_NAMING = re.compile(rf"\+*run\.({'|'.join(_TEXTS)}|tags)=(?!\[?\s*['\"]|\w+\(.*\)$|.*\$\{{)", re.DOTALL)
_LONGEST_GROUP = 128  # characters, as W&B takes no more
_LONGEST = 80  # bytes of a name or an id within the name of a directory, which holds 255


def identify(composed: Composed, sweep: str | None, run_id: str | None) -> None:
    """Fill in the id, name and group that the config leaves open, and turn them and the tags into text.

    A Weights & Biases agent has given the run its id already.

    Raises:
        UsageError: the text of a value cannot be told any more, as of a number in a file.

    """
    from omegaconf import OmegaConf

    about, choices = composed.config.get("run"), composed.choices
    if not OmegaConf.is_dict(about):
        raise UsageError(f"run: expected a mapping with name, id, group and tags, got {about!r}")
    given = {key: _text(about, key) for key in _TEXTS}
    chosen = [choices.get("experiment")]
    if chosen[0] in (None, "none"):
        chosen = [choices.get("data"), choices.get("model")]
    name = given["name"] or "_".join(folder(str(choice)) for choice in chosen)
    agents = os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
    about.name = escaped(name)
    about.id = escaped(given["id"] or agents or run_id or new_id())
    about.group = escaped(given["group"] or (sweep or name)[:_LONGEST_GROUP])
    about.job_type = escaped(given["job_type"])
    about.tags = escaped(_tags(about))


def folder(text: str) -> str:
    """Return text as one component of a path: letters, digits, `.`, `_` and `-`, at most 80 bytes, never empty.

    Example:
        >>> folder("../a b/c"), folder("beta=4"), folder("..")
        ('a-b-c', 'beta-4', 'run')

    """
    disk = sys.getfilesystemencoding()
    kept = re.sub(r"[^\w.-]+", "-", text.encode(disk, "replace").decode(disk)).strip(".-")
    return kept.encode()[:_LONGEST].decode(errors="ignore") or "run"


def as_text(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command line with quotes around text that Hydra would parse otherwise, or not at all.

    That are names of a run, and values with characters beyond ASCII, such as paths. Values in quotes, with
    interpolations, and sweeps such as `choice(a,b)` stay as they are.

    Example:
        >>> as_text(["run.name=1e5,x", "run.tags=[007,a=b]", "seed=1", "data.path=größe a.npy"])
        ["run.name='1e5','x'", "run.tags=['007','a=b']", 'seed=1', "data.path='größe a.npy'"]

    """
    return [_quoted(one) if _NAMING.match(one) or _BEYOND_ASCII.match(one) else one for one in arguments]


def _quoted(argument: str) -> str:
    key, _, value = argument.partition("=")
    opening, closing = ("[", "]") if key.endswith("tags") and re.fullmatch(r"\[.*\]", value, re.DOTALL) else ("", "")
    words = [word.strip() for word in value.removeprefix(opening).removesuffix(closing).split(",")]
    return f"{key}={opening}{','.join(word if word in ('', 'null') else quoted(word) for word in words)}{closing}"


def _text(about: Any, key: str) -> str | None:
    from omegaconf import OmegaConf

    value = about.get(key)
    if value is None or isinstance(value, str):
        return value
    if OmegaConf.is_interpolation(about, key):
        return str(value)
    raise _unclear(key, value)


def _tags(about: Any) -> list[str]:
    from omegaconf import OmegaConf

    tags = about.get("tags")
    if tags is None:
        return []
    if not OmegaConf.is_list(tags):
        raise UsageError(f"run.tags: expected a list such as [a,b], got {tags!r}")
    for place, tag in enumerate(tags):
        if not (isinstance(tag, str) or OmegaConf.is_interpolation(tags, place)):
            raise _unclear("tags", tag)
    return [str(tag) for tag in tags]


def _unclear(key: str, value: Any) -> UsageError:
    return UsageError(f"run.{key}: expected text, got {value!r}, which may not be what was written: put it in quotes")
