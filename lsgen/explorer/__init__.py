"""Codes and their decoder as one HTML file that opens without a network or a server."""

from lsgen.explorer.contents import (
    CodeMap,
    Contents,
    DecoderProgram,
    FurtherSpace,
    OnnxDecoder,
    ScoreTable,
    Strip,
    Thumbnails,
)
from lsgen.explorer.page import write_page
from lsgen.explorer.selection import read_selection

__all__ = [
    "CodeMap",
    "Contents",
    "DecoderProgram",
    "FurtherSpace",
    "OnnxDecoder",
    "ScoreTable",
    "Strip",
    "Thumbnails",
    "read_selection",
    "write_page",
]
