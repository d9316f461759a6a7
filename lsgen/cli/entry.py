"""The `lsgen` command: find the verb, run it, turn what went wrong into one sentence and an exit code.

Nothing heavy is imported before the verb is known.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from lsgen import __version__
from lsgen.cli.errors import UsageError
from lsgen.runs.errors import RunError

__all__ = ["main"]

OK, FAILURE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_VERBS = {
    "train": ("lsgen.cli.verbs.train", "train a model, or continue a run"),
    "evaluate": ("lsgen.cli.verbs.evaluate", "measure a trained run on its validation and test sets"),
    "traverse": ("lsgen.cli.verbs.traverse", "draw the traversals and the geometry of a trained run again"),
    "geometry": ("lsgen.cli.verbs.geometry", "measure the geometry of a trained run: curvature, geodesics, distances"),
    "report": ("lsgen.cli.verbs.report", "write the page of a run or of a sweep"),
    "sweep": ("lsgen.cli.verbs.sweep", "list, retry or cancel the jobs of a sweep"),
    "sync": ("lsgen.cli.verbs.sync", "upload the offline W&B runs of a sweep"),
    "table": ("lsgen.cli.verbs.table", "compare many runs"),
}


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
        if verb not in _VERBS:
            raise UsageError(f"expected a verb among {', '.join(_VERBS)}, got {verb!r}")
        result: int = importlib.import_module(_VERBS[verb][0]).run(arguments[1:])
        return result
    except (UsageError, RunError) as error:
        return complain(error)
    except BrokenPipeError:
        sys.stderr.close()
        return OK
    except Exception as error:
        from lsgen.cli.config.refusals import refusal, wants_traceback

        if wants_traceback() or (sentence := refusal(error)) is None:
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


def complain(error: BaseException) -> int:
    """Print one sentence on standard error and return the exit code of bad input."""
    print(f"lsgen: {' '.join(str(error).split())}", file=sys.stderr)
    return BAD_INPUT


def _help() -> str:
    width = max(map(len, _VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {what}" for name, (_, what) in _VERBS.items())
    return f"""lsgen {__version__}: generative models and the geometry of their latent spaces

usage: lsgen VERB ...

{verbs}

`lsgen VERB --help` says more. A first run: lsgen train experiment=vae_digits"""
