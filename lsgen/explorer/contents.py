"""What an explorer shows: codes and their columns, maps, pictures, a decoder, strips, scores and further spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis import Statistic
from lsgen.latent.codes import Codes

__all__ = ["CodeMap", "Contents", "DecoderProgram", "FurtherSpace", "OnnxDecoder", "ScoreTable", "Strip", "Thumbnails"]

Outline = Literal["plane", "disk", "triangle"]


@dataclass(frozen=True, eq=False)
class CodeMap:
    """A picture of the codes in two or three dimensions, and how far it can be trusted.

    Attributes:
        name: what it is called, such as "t-SNE".
        coordinates: places (N, 2) or (N, 3), in the order of the codes.
        outline: the frame in which they lie: a plane; the unit disk; the triangle with corners (0, 0), (1, 0) and
            (1/2, sqrt(3)/2).
        trust: figures of how faithful the whole map is, in [0, 1], by name: trustworthiness, continuity, overlap.
        per_point: the same for every point, (N,), by name.
        k: how many neighbours these figures look at; None where there are none.
        about: one sentence on how it was made.

    """

    name: str
    coordinates: NDArray[Any]
    outline: Outline = "plane"
    trust: Mapping[str, Statistic] = field(default_factory=dict)
    per_point: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    k: int | None = None
    about: str = ""

    def __post_init__(self) -> None:
        shape = np.shape(self.coordinates)
        if len(shape) != 2 or shape[1] not in (2, 3):
            raise ValueError(f"expected coordinates (N, 2) or (N, 3) of the map {self.name!r}, got {shape}")
        if not np.isfinite(self.coordinates).all():
            row = int((~np.isfinite(self.coordinates).all(1)).argmax())
            raise ValueError(f"expected finite coordinates of the map {self.name!r}, got one that is not in row {row}")
        if self.outline not in ("plane", "disk", "triangle"):
            raise ValueError(f"expected the outline plane, disk or triangle, got {self.outline!r}")
        if self.outline != "plane" and shape[1] != 2:
            raise ValueError(f"expected two dimensions inside a {self.outline}, got {shape[1]}")
        for name, values in self.per_point.items():
            if np.shape(values) != shape[:1]:
                raise ValueError(
                    f"expected {shape[0]} values of {name} of the map {self.name!r}, got {np.shape(values)}"
                )


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """Pictures of some or all items.

    Attributes:
        values: pictures (M, H, W) or (M, H, W, C) with one or three channels, uint8, or floats in [0, 1].
        rows: the row (M,) of the codes that each belongs to; 0, ..., M - 1 unless given.

    """

    values: NDArray[Any]
    rows: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[3] not in (1, 3)) or not values.size:
            raise ValueError(f"expected pictures (M, H, W), (M, H, W, 1) or (M, H, W, 3), got {values.shape}")
        if values.dtype != np.uint8 and not np.issubdtype(values.dtype, np.floating):
            raise ValueError(f"expected pictures of uint8 or of floats in [0, 1], got {values.dtype}")
        if values.dtype != np.uint8 and not np.isfinite(values).all():
            raise ValueError("expected pictures of finite values, got one that is not")
        if self.rows is not None and np.shape(self.rows) != values.shape[:1]:
            raise ValueError(f"expected the rows of {len(values)} pictures, got {np.shape(self.rows)}")

    @property
    def places(self) -> NDArray[Any]:
        """The row (M,) of each picture, also where none were given."""
        return np.arange(len(self.values)) if self.rows is None else np.asarray(self.rows)

    def pixels(self) -> NDArray[np.uint8]:
        """Return the pictures as uint8, (M, H, W) or (M, H, W, 3)."""
        values = np.asarray(self.values)
        if values.dtype != np.uint8:
            values = (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
        return values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values


@dataclass(frozen=True, eq=False)
class DecoderProgram:
    """A decoder that the page runs itself: layers in their order, and their weights.

    Attributes:
        steps: one entry a layer: its `kind` and its settings, as JSON holds them; weights are named.
        weights: arrays by name; the page holds them as float16.
        shape: shape of what it gives for one code: (H, W), (H, W, C) or (D,).
        low: the value that is shown black.
        high: the value that is shown white.
        error: the largest difference from the decoder itself on the codes it was compared on; None if unknown.

    """

    steps: Sequence[Mapping[str, Any]]
    weights: Mapping[str, NDArray[Any]]
    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0
    error: float | None = None


@dataclass(frozen=True, eq=False)
class OnnxDecoder:
    """A decoder that ONNX Runtime runs in the page.

    Attributes:
        model: the model, from z (1, d) to x (1, *shape).
        script: the runtime's module in JavaScript.
        wasm: the runtime itself.
        shape: shape of what it gives for one code: (H, W), (H, W, C) or (D,).
        low: the value that is shown black.
        high: the value that is shown white.
        checks: codes (n, d) and what they are decoded to (n, size), on which the page checks itself.

    """

    model: bytes
    script: str
    wasm: bytes
    shape: tuple[int, ...]
    low: float
    high: float
    checks: tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Strip:
    """One dimension of the codes from low to high, decoded before.

    Attributes:
        dimension: which one.
        z: the codes of its steps (S, d).
        thumbnails: what they are decoded to (S, H, W[, C]).

    """

    dimension: int
    z: NDArray[Any]
    thumbnails: Thumbnails


@dataclass(frozen=True)
class ScoreTable:
    """Figures of the space: rows of text, numbers and statistics.

    Attributes:
        title: what it is called.
        columns: names of its columns.
        rows: rows of as many entries; None is an empty one.
        about: one sentence on what it says.

    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | Statistic | None]]
    about: str = ""

    def __post_init__(self) -> None:
        if bad := [row for row in self.rows if len(row) != len(self.columns)]:
            raise ValueError(f"expected {len(self.columns)} entries in a row of {self.title!r}, got {len(bad[0])}")


@dataclass(frozen=True, eq=False)
class FurtherSpace:
    """Codes of the same items in another space, to compare with.

    Attributes:
        name: what it is called.
        codes: codes with the same ids in the same order.
        maps: maps of them.
        agreement: figures of how far both spaces agree, by name.
        per_point: the same for every item, (N,), by name.

    """

    name: str
    codes: Codes
    maps: Sequence[CodeMap] = ()
    agreement: Mapping[str, Statistic] = field(default_factory=dict)
    per_point: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Contents:
    """Everything that a page shows.

    Attributes:
        title: what it is called, such as the name of a run.
        codes: the codes; their columns colour the map, filter the table and are shown for an item. A column whose name
            has a `/`, such as `cluster/k-means`, is listed under what stands before it.
        maps: maps of the codes; the first is shown first.
        pictures: pictures of items.
        reconstructions: what the codes of items are decoded to.
        decoder: a decoder that the page runs itself, or by ONNX Runtime; None where there is none.
        strips: traversals that were decoded before.
        tables: scores.
        spaces: the same items in other spaces.
        facts: what the page says of the codes: model, split, seed, how they were sampled.
        warnings: what a reader should know before trusting the page, one sentence each.
        colour: the column that the map is coloured by when it opens; the label, or another, unless given.
        colour_about: one sentence on why.
        vocabulary: words that decoded values are counts or rates of, in their order, and how much each tells.

    Raises:
        ValueError: there are no codes, no maps and fewer than two dimensions, or a part is of another number of items.

    """

    title: str
    codes: Codes
    maps: Sequence[CodeMap] = ()
    pictures: Thumbnails | None = None
    reconstructions: Thumbnails | None = None
    decoder: DecoderProgram | OnnxDecoder | None = None
    strips: Sequence[Strip] = ()
    tables: Sequence[ScoreTable] = ()
    spaces: Sequence[FurtherSpace] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    colour: str = ""
    colour_about: str = ""
    vocabulary: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.codes)
        if not count:
            raise ValueError("expected at least one code to explore, got none")
        if not self.maps and self.codes.dim < 2:
            raise ValueError("expected a map, or codes of at least two dimensions to draw, got neither")
        if self.colour and self.colour not in self.codes.columns:
            raise ValueError(f"expected a column of the codes to colour by, got {self.colour!r}")
        for space in self.spaces:
            if not np.array_equal(space.codes.ids, self.codes.ids):
                raise ValueError(f"expected codes of the same items in the same order in the space {space.name!r}")
        for place in (*self.maps, *(m for space in self.spaces for m in space.maps)):
            if len(place.coordinates) != count:
                raise ValueError(f"expected {count} places on the map {place.name!r}, got {len(place.coordinates)}")
        _different("maps", [place.name for place in self.maps])
        _different("spaces", [space.name for space in self.spaces])
        for name, shown in (("pictures", self.pictures), ("reconstructions", self.reconstructions)):
            if shown is not None:
                _check_rows(name, shown, count)
        for strip in self.strips:
            if np.ndim(strip.z) != 2 or np.shape(strip.z)[1] != self.codes.dim:
                raise ValueError(
                    f"expected codes (S, {self.codes.dim}) along dimension {strip.dimension}, got {np.shape(strip.z)}"
                )


def _check_rows(name: str, shown: Thumbnails, count: int) -> None:
    rows = shown.places
    if rows.min() < 0 or rows.max() >= count:
        raise ValueError(f"expected {name} of rows below {count}, got one of row {rows.max()}")
    if len(np.unique(rows)) < len(rows):
        raise ValueError(f"expected at most one of the {name} for an item, got two of one row")


def _different(kind: str, names: Sequence[str]) -> None:
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ValueError(f"expected {kind} of different names, got {twice[0]!r} twice")
