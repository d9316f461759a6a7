"""Entries of the registry for traversals and interpolations that are told by the items near each place."""

from __future__ import annotations

from lsgen.runs.keys.entry import Entry, figure

__all__ = ["RETRIEVAL"]

RETRIEVAL: tuple[Entry, ...] = (
    *(
        Entry(
            f"{part}_off_manifold",
            f"{name} off the manifold",
            "",
            section,
            meaning="share of retrieved places farther from the items than 99 % of these are from one another",
            better="lower",
        )
        for part, name, section in (
            ("traversal/axes", "axes", "traversals"),
            ("traversal/directions", "directions", "traversals"),
            ("interpolation/{path}", "{path} paths", "interpolations"),
        )
    ),
    *(
        figure(key, name, section, "items near every place, with rank, distance and percentile; also as csv", "table")
        for key, name, section in (
            ("traversal/retrieved", "Items near places on axes", "traversals"),
            ("traversal/retrieved_directions", "Items near places along directions", "traversals"),
            ("interpolation/retrieved", "Items near places on paths", "interpolations"),
        )
    ),
)
