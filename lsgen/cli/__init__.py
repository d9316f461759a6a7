"""The command line: its verbs, and `load`. The only room that knows Hydra."""

from lsgen.cli.entry import main

__all__ = ["main"]
