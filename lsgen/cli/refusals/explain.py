"""Errors that libraries raise while a run is composed, built or prepared, explained in one sentence.

The frames of the traceback tell who is at fault. A `raise` in lsgen holds a sentence already. An error of a library is
its refusal of what the user asked for. An error in a class or module of the user is explained with the place in their
file. An error in lsgen itself, such as a missing attribute, is a programming error: it has no sentence, and its
traceback is shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import dropwhile
from typing import Any

from lsgen.cli.errors import UsageError
from lsgen.cli.refusals.frames import frames_of, owner_of
from lsgen.cli.refusals.run_objects import RunObjects
from lsgen.cli.refusals.shape_mismatch import mismatched_layer
from lsgen.runs.errors import RunError

__all__ = ["explanation", "own_sentence", "wants_traceback", "weights_fault", "yaml_fault"]

_SENTENCES = (ValueError, TypeError, RuntimeError, ImportError)
_NO_SENTENCES = (NotImplementedError, RecursionError)
_CLEAR_BY_MESSAGE = (
    "ValueError",
    "TypeError",
    "RuntimeError",
    "MisconfigurationException",
    "UsageError",
    "ValidationError",
)
_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+\.\s+Original Traceback .*", re.DOTALL)
_LONGEST = 600  # characters that are quoted of what a library says


def own_sentence(error: BaseException) -> str | None:
    """Return the message of an error if it is meant for the user: raised in lsgen, or by the file system."""
    error = _cause(error)
    if isinstance(error, UsageError | RunError):
        return str(error)
    if isinstance(error, OSError):
        return _of_the_disk(error)
    frames = list(frames_of(error.__traceback__))
    written = isinstance(error, _SENTENCES) and not isinstance(error, _NO_SENTENCES)
    if _WORKER.search(str(error)):
        return _of_a_worker(str(error)) if written else None
    return _message(error) if written and frames and frames[-1].owner == "lsgen" and frames[-1].raises else None


def explanation(error: BaseException, objects: RunObjects | None = None, place: str = "") -> str | None:
    """Return one sentence that explains an error before training; None if it is a programming error of lsgen.

    Args:
        error: what was raised.
        objects: the objects of the run; None if none were built yet.
        place: the key of the part that was being built; found among `objects` unless given.

    """
    error = _cause(error)
    if isinstance(error, UsageError | RunError):
        return str(error)
    if (known := own_sentence(error) or mismatched_layer(error, objects) or weights_fault(error)) is not None:
        return _at(place, known)
    place = place or _place(error, objects)
    if _WORKER.search(str(error)):
        return None
    if (fault := yaml_fault(error)) is not None:
        return _at(place, fault)
    frames = list(dropwhile(lambda frame: frame.owner == "user", frames_of(error.__traceback__)))  # who called lsgen
    if users := [frame for frame in frames if frame.owner == "user"]:
        return _at(place, f"{type(error).__name__}: {_message(error)} ({users[-1]})")
    if any(frame.file.endswith("checkpoint_connector.py") for frame in frames):
        return f"the checkpoint does not fit the run: {type(error).__name__}: {_message(error)}"
    if isinstance(error, MemoryError):
        return _at(place, "the memory of this machine does not suffice")
    if isinstance(error, RecursionError) and any("defaults_list" in frame.file for frame in frames):
        return "the defaults lists of the configs lead back to where they began: a config may not include itself"
    last = frames[-1] if frames else None
    refused = isinstance(error, ValueError | RuntimeError) and not isinstance(error, _NO_SENTENCES)
    if last is not None and last.owner == "lsgen" and not (last.calls and refused):
        return None
    said, kind = _message(error), type(error).__name__
    return _at(place, said if kind in _CLEAR_BY_MESSAGE and said else f"{kind}: {said}")


def wants_traceback() -> bool:
    """Return whether the user asked for tracebacks instead of sentences, by HYDRA_FULL_ERROR=1."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def yaml_fault(error: BaseException) -> str | None:
    """Return the file, the line and the fault of yaml that cannot be read; None if it is another error."""
    mark = getattr(error, "problem_mark", None)
    if not any(kind.__name__ == "YAMLError" for kind in type(error).__mro__):
        return None
    if mark is None:  # of the reader, which knows no lines
        return f"{getattr(error, 'name', 'yaml')}: {getattr(error, 'reason', None) or _message(error)}"
    problem = str(getattr(error, "problem", None) or error)
    if "'\\t'" in problem:
        problem = "found a tab where yaml indents by spaces"
    return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _cause(error: BaseException) -> BaseException:
    """Return the exception that a constructor raised, without Hydra's exceptions around it."""
    while type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        error = error.__cause__
    return error


def _message(error: BaseException) -> str:
    faults = getattr(error, "errors", None)
    if type(error).__name__ == "ValidationError" and callable(faults):  # pydantic's, by which W&B checks its settings
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults())
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _of_a_worker(text: str) -> str:
    """Return the message of an exception in a data loader's worker, parsed from its traceback."""
    *before, last = text.strip().splitlines()
    frames = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', "\n".join(before))
    said = last.partition(": ")[2] or last
    if frames and owner_of(frames[-1][0], "") == "user":
        return "{} ({}, line {}, in {})".format(last, *frames[-1])
    return said


def _of_the_disk(error: OSError) -> str:
    if error.errno is None or error.strerror is None:
        return str(error)
    file = "" if error.filename is None else f" {os.fsdecode(error.filename)}"
    return f"cannot read or write{file}: {error.strerror}" if file else f"{error.strerror} ({type(error).__name__})"


def weights_fault(error: BaseException) -> str | None:
    """Return a short list of the weights of a checkpoint that do not fit a model; None if it is another error."""
    text = str(error)
    if "Error(s) in loading state_dict" not in text:
        return None
    found = []
    for fault, words in (("Missing", "lacks"), ("Unexpected", "has in excess")):
        if (keys := re.search(rf"{fault} key\(s\) in state_dict: (.*)", text)) is not None:
            names = re.findall(r'"([^"]+)"', keys[1])
            found.append(f"it {words} {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}")
    sizes = re.findall(r"size mismatch for (\S+): .*?torch.Size\((.*?)\).*?torch.Size\((.*?)\)", text)
    if sizes:
        name, there, here = sizes[0]
        more = f", and {len(sizes) - 1} more differ" if len(sizes) > 1 else ""
        found.append(f"{name} has shape {there} in it and {here} in the model{more}")
    return f"the checkpoint does not fit the model: {'; '.join(found) or _message(error)}"


def _place(error: BaseException, objects: RunObjects | None) -> str:
    """Return the key of the innermost part in whose methods an error was raised; empty text if it was in none."""
    if objects is None:
        return ""
    members: Mapping[str, Any] = {
        **{f"callbacks.{name}": hook for name, hook in objects.callbacks.items()},
        **{f"logger.{name}": logger for name, logger in objects.loggers.items()},
        "data": objects.data,
        "model": objects.model,
    }
    names = {id(member): name for name, member in members.items()}
    found, trace = "", error.__traceback__
    while trace is not None:
        found = names.get(id(trace.tb_frame.f_locals.get("self")), found)
        trace = trace.tb_next
    return found


def _at(place: str, sentence: str) -> str:
    return f"{place}: {sentence}" if place else sentence
