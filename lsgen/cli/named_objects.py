"""Objects of the user's own Python files, named on the command line as FILE.py:NAME.

A file is executed because its user has named it, and for nothing else: no config or checkpoint can name one.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.errors import UsageError

__all__ = ["is_named", "named_object", "named_observations"]

_NAMED = re.compile(r"(.+\.py):([A-Za-z_]\w*)")
_MEANT = re.compile(r"[^=]+\.py(:.*)?")  # a file without a name, or with another thing than a name


def is_named(argument: str) -> bool:
    """Return whether an argument is of the form FILE.py:NAME, or was meant to be."""
    given = _NAMED.fullmatch(argument) or _MEANT.fullmatch(argument)
    return given is not None and not argument.startswith("x=") and not Path(argument).is_dir()


def named_object(argument: str) -> Any:
    """Execute a file and return what it calls NAME; a function without arguments is called.

    Raises:
        UsageError: there is no such file, or it has no such name.

    """
    found = _NAMED.fullmatch(argument)
    if found is None:
        raise UsageError(f"expected FILE.py:NAME, with the name of an object in the file, got {argument!r}")
    file, name = Path(found[1]), found[2]
    if not file.is_file():
        raise UsageError(f"expected FILE.py:NAME, got {argument!r}, and there is no file {file}")
    module_name = f"lsgen_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    sys.path.insert(0, str(file.parent.absolute()))
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, name):
            known = [key for key in vars(module) if not key.startswith("_")]
            raise UsageError(f"{file} has nothing that it calls {name!r}{did_you_mean(name, known)}")
        value = getattr(module, name)
        return value() if _is_function(value) else value
    finally:
        sys.path.remove(str(file.parent.absolute()))


def named_observations(argument: str) -> Any:
    """Return observations, from FILE.py:NAME or from an array in a file .npy.

    Raises:
        UsageError: there are none.

    """
    if is_named(argument):
        return named_object(argument)
    if not argument.endswith(".npy") or not Path(argument).is_file():
        raise UsageError(f"expected x=FILE.npy or x=FILE.py:NAME, got {argument!r}")
    import numpy as np
    import torch

    try:
        return torch.from_numpy(np.load(argument, allow_pickle=False)).float()
    except ValueError as error:
        raise UsageError(f"expected an array of numbers in {argument}: {error}") from error


def _is_function(value: Any) -> bool:
    return isinstance(value, FunctionType)
