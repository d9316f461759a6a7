"""Codes and their decoder as one HTML file that opens without a network or a server."""

from lsgen.explorer.contents import CodeMap, Contents, DecoderProgram, FurtherSpace, ScoreTable, Strip, Thumbnails
from lsgen.explorer.page import write_page

__all__ = [
    "CodeMap",
    "Contents",
    "DecoderProgram",
    "FurtherSpace",
    "ScoreTable",
    "Strip",
    "Thumbnails",
    "write_page",
]
