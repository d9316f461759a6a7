"""The command line and `load`; no other room imports Hydra."""

from lsgen.cli.entry import main

__all__ = ["main"]
