"""Entries of the registry for what can be heard."""

from __future__ import annotations

from lsgen.runs.keys.entry import Entry, figure

__all__ = ["SOUNDS"]

# fmt: off
SOUNDS: tuple[Entry, ...] = (
    figure("reconstruction/sound", "Reconstructions, heard", "reconstructions",
        "the first observations of data that can be heard, each before its reconstruction", "sound"),
    figure("sample/sound", "Samples, heard", "samples",
        "the first samples of data that can be heard, one after another", "sound"),
    figure("traversal/sound/{axis}", "Axis {axis}, heard", "traversals",
        "the first anchor along one of the most active axes, step by step, of data that can be heard", "sound"),
    figure("interpolation/sound/{path}", "{path}, heard", "interpolations",
        "the path between the first two observations, step by step, of data that can be heard", "sound"),
)
# fmt: on
