"""The `lsgen` command: it finds the verb, runs it, and turns an error into one sentence and an exit code.

Every module of `lsgen.cli.verbs` is a verb: it has `run(arguments) -> exit code`, and the first sentence of its
docstring is its line of the help text. Nothing heavy is imported before the verb is known.
"""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from lsgen.cli import verbs
from lsgen.cli.errors import INTERRUPTED, OK, UsageError, complain
from lsgen.runs.errors import RunError
from lsgen.version import __version__

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        argv: arguments after the program's name; those of the process unless given.

    Returns:
        0 where all went well, 2 after bad input, 1 after a failure, 130 after Ctrl-C.

    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows another
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = arguments[0] if arguments else "--help"
    if verb in ("-h", "--help", "help"):
        print(_help())
        return OK
    if verb in ("-V", "--version"):
        print(f"lsgen {__version__}")
        return OK
    try:
        _check_encoding(arguments)
        if verb not in (known := _verbs()):
            raise UsageError(f"expected a verb among {', '.join(known)}, got {verb!r}")
        result: int = importlib.import_module(f"{verbs.__name__}.{verb}").run(arguments[1:])
        return result
    except (UsageError, RunError) as error:
        return complain(error)
    except BrokenPipeError:
        sys.stderr.close()
        return OK
    except Exception as error:
        from lsgen.cli.refusals.explain import explanation, wants_traceback

        if wants_traceback() or (sentence := explanation(error)) is None:
            raise
        return complain(UsageError(sentence))
    except KeyboardInterrupt:
        print("lsgen: interrupted", file=sys.stderr)
        return INTERRUPTED


def _check_encoding(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if re.search("[\udc80-\udcff]", argument):
            encoding = sys.getfilesystemencoding()
            raise UsageError(f"expected arguments in {encoding}, as the locale says, got {os.fsencode(argument)!r}")


def _verbs() -> list[str]:
    """Return the names of the verbs: the modules of the room of verbs."""
    return sorted(module.name for module in pkgutil.iter_modules(verbs.__path__))


def _purpose(verb: str) -> str:
    """Return the help line of a verb: the first sentence of its module's docstring after its name and a colon.

    The module is read, not imported: what verbs import is heavy.
    """
    source = Path(verbs.__path__[0], f"{verb}.py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    return docstring.split("\n\n")[0].partition(": ")[2].rstrip(".")


def _help() -> str:
    names = _verbs()
    width = max(map(len, names))
    lines = "\n".join(f"  {name:<{width}}  {_purpose(name)}" for name in names)
    return f"""lsgen {__version__}: generative models and the geometry of their latent spaces

usage: lsgen VERB ...

{lines}

`lsgen VERB --help` says more. A first run: lsgen train experiment=vae_digits"""
