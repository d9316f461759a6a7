"""Codes, columns and maps as the arrays and the header of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis import Statistic
from lsgen.analysis.projections.components import principal_components
from lsgen.explorer.container import Container
from lsgen.explorer.contents import CodeMap, Contents, DecoderProgram, FurtherSpace, OnnxDecoder, Strip
from lsgen.explorer.sprites import add_sheets
from lsgen.latent.codes import Codes
from lsgen.latent.columns import is_text
from lsgen.latent.manifolds.description import describe
from lsgen.latent.manifolds.manifold import Euclidean

__all__ = ["header_of"]

VERSION = 1
EXACT, HALF, BYTES = 500_000, 7_000_000, 14_000_000  # numbers of a table of codes up to which each type is used
MOST_WITH_CODES = 150_000
CATEGORIES = 12  # different whole numbers up to which they are names of classes rather than amounts


def header_of(contents: Contents, container: Container) -> dict[str, Any]:
    """Fill a container with the arrays of a page and return its header."""
    codes = contents.codes
    count = len(codes)
    return {
        "format": "lsgen explorer",
        "version": VERSION,
        "title": contents.title,
        "facts": [[name, str(value)] for name, value in contents.facts.items()],
        "warnings": list(contents.warnings),
        "vocabulary": _vocabulary(container, contents.vocabulary) if contents.vocabulary else None,
        "colour": {"column": contents.colour, "about": contents.colour_about},
        "count": count,
        "ids": _ids(container, codes.ids),
        "columns": [_column(container, i, name, values) for i, (name, values) in enumerate(codes.columns.items())],
        "maps": [_map(container, f"map{i}", place) for i, place in enumerate(contents.maps)],
        "codes": _codes(container, "codes", codes),
        "pictures": contents.pictures and add_sheets(container, "pictures", contents.pictures, count),
        "reconstructions": contents.reconstructions
        and add_sheets(container, "reconstructions", contents.reconstructions, count),
        "decoder": contents.decoder and _decoder(container, contents.decoder),
        "strips": [_strip(container, f"strip{i}", strip) for i, strip in enumerate(contents.strips)],
        "tables": [
            {
                "title": table.title,
                "about": table.about,
                "columns": list(table.columns),
                "rows": [[_entry(entry) for entry in row] for row in table.rows],
            }
            for table in contents.tables
        ],
        "spaces": [_space(container, f"space{i}", space) for i, space in enumerate(contents.spaces)],
    }


def _entry(entry: Any) -> Any:
    return {"statistic": entry.to_dict()} if isinstance(entry, Statistic) else entry


def _vocabulary(container: Container, words: Mapping[str, float]) -> dict[str, Any]:
    weights = np.array(list(words.values()), np.float32)
    return {
        "words": container.add_text("vocabulary", list(words)),
        "weights": container.add("vocabulary/weights", weights),
    }


def _figures(figures: Mapping[str, Statistic]) -> list[dict[str, Any]]:
    return [{"name": name, **statistic.to_dict()} for name, statistic in figures.items()]


def _ids(container: Container, ids: NDArray[Any]) -> dict[str, Any]:
    if is_text(ids):
        return {"kind": "text", "array": container.add_text("ids", ids.tolist())}
    if np.array_equal(ids, np.arange(len(ids))):
        return {"kind": "whole", "array": None}
    if np.abs(ids.astype(np.float64)).max() < 2**31:
        return {"kind": "whole", "array": container.add("ids", ids.astype(np.int32))}
    return {"kind": "whole", "array": container.add_text("ids", [str(value) for value in ids.tolist()])}


def _column(container: Container, i: int, name: str, values: NDArray[Any]) -> dict[str, Any]:
    """Return the description of a column: amounts as numbers, all else as the numbers of its different values."""
    kind = _kind(values)
    if kind == "number":
        values = np.abs(values) if values.dtype.kind == "c" else values
        values = values / np.timedelta64(1, "s") if values.dtype.kind == "m" else values
        wide = np.float64 if values.dtype.kind in "iu" and np.abs(values.astype(float)).max() > 2**24 else np.float32
        with np.errstate(over="ignore"):
            return {"name": name, "kind": kind, "array": container.add(f"column{i}", values.astype(wide))}
    texts = [None if v is None or v == "NaT" else _word(v) for v in values.astype(str if kind == "date" else object)]
    known = {text for text in texts if text is not None}
    levels = sorted(known, key=int) if values.dtype.kind in "iu" else sorted(known)
    place = {text: number for number, text in enumerate(levels)}
    numbers = np.array([-1 if text is None else place[text] for text in texts])
    size = np.int8 if len(levels) < 2**7 else np.int16 if len(levels) < 2**15 else np.int32
    return {
        "name": name,
        "kind": kind,
        "array": container.add(f"column{i}", numbers.astype(size)),
        "levels": container.add_text(f"column{i}/levels", levels),
    }


def _kind(values: NDArray[Any]) -> str:
    """Return whether a column holds amounts, classes, dates or text."""
    if values.dtype.kind in "iu":
        return "category" if len(np.unique(values)) <= CATEGORIES else "number"
    return {"f": "number", "c": "number", "m": "number", "b": "category", "M": "date"}.get(values.dtype.kind, "text")


def _word(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _map(container: Container, name: str, place: CodeMap) -> dict[str, Any]:
    """Return the description of a map; its places are kept to 1/65,000 of its width."""
    coordinates = np.asarray(place.coordinates, dtype=np.float64)
    if place.outline == "disk":
        centre, half = np.zeros(2), 1.0
    elif place.outline == "triangle":
        centre, half = np.array([0.5, 0.375]), 0.625
    else:
        low, high = coordinates.min(0), coordinates.max(0)
        centre, half = (low + high) / 2, float((high - low).max()) / 2 or 1.0
    whole = np.clip(np.rint((coordinates - centre) / half * 32767), -32767, 32767).astype(np.int16)
    return {
        "name": place.name,
        "about": place.about,
        "outline": place.outline,
        "array": container.add(name, whole),
        "dims": coordinates.shape[1],
        "centre": centre.tolist(),
        "half": half,
        "k": place.k,
        "trust": _figures(place.trust),
        "points": {
            figure: container.add(f"{name}/{figure}", np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8))
            for figure, values in place.per_point.items()
        },
    }


def _codes(container: Container, name: str, codes: Codes) -> dict[str, Any] | None:
    """Return the description of codes in the finest type whose size a page can hold; None if there is none."""
    count, dim = codes.z.shape
    if count > MOST_WITH_CODES:
        return None
    z, about, kept = np.asarray(codes.z), "", dim
    if count * dim > BYTES:
        if not isinstance(codes.manifold, Euclidean):
            return None
        kept = max(min(BYTES // count, count), 2)
        z, share = _leading(z, kept)
        about = f"the first {kept} principal components of {dim} dimensions, {share:.1%} of the variance"
    entry: dict[str, Any] = {"dim": kept, "full": dim, "manifold": describe(codes.manifold), "leading": kept < dim}
    if z.size <= EXACT:
        entry["array"], how = container.add(name, z.astype(np.float32)), "in single precision"
    elif z.size <= HALF and np.abs(z).max() < 65504:
        entry["array"], how = container.add(name, z.astype(np.float16)), "rounded to half precision"
    else:
        low, high = z.min(0).astype(np.float64), z.max(0).astype(np.float64)
        step = np.where(high > low, (high - low) / 254, 1.0)
        whole = np.rint((z - (low + high) / 2) / step).astype(np.int8)
        entry |= {"centre": ((low + high) / 2).tolist(), "step": step.tolist()}
        entry["array"], how = container.add(name, whole), "rounded to one of 255 values a dimension"
    entry["about"] = ", ".join(filter(None, [about, how]))
    if codes.scale is not None and kept == dim and z.size <= HALF:
        entry["scale"] = container.add(f"{name}/scale", codes.scale.astype(np.float16))
    return entry


def _leading(z: NDArray[Any], kept: int) -> tuple[NDArray[Any], float]:
    """Return the first principal components (N, kept) and their share of the variance."""
    centred = (z - z.mean(0)).astype(np.float64)
    if len(z) < z.shape[1]:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        values = values[::-1]
        found = vectors[:, ::-1][:, :kept] * np.sqrt(np.maximum(values[:kept], 0))
    else:
        directions, values = principal_components(centred)
        found = centred @ directions[:kept].T
    return found, float(values[:kept].sum() / max(values.sum(), 1e-300))


def _decoder(container: Container, decoder: DecoderProgram | OnnxDecoder) -> dict[str, Any]:
    if isinstance(decoder, OnnxDecoder):
        parts: dict[str, Any] = {name: np.frombuffer(getattr(decoder, name), np.uint8) for name in ("model", "wasm")}
        parts |= dict(zip(("codes", "shown"), (part.astype(np.float32) for part in decoder.checks), strict=True))
        names = {name: container.add(f"decoder/{name}", values) for name, values in parts.items()}
        names["script"] = container.add_text("decoder/script", decoder.script)
        shown = {"shape": list(decoder.shape), "low": decoder.low, "high": decoder.high}
        return {"onnx": True, "weights": names, "checks": len(decoder.checks[0]), **shown}
    weights = {
        name: container.add(f"decoder/{name}", np.asarray(values).astype(np.float16))
        for name, values in decoder.weights.items()
    }
    return {
        "steps": [dict(step) for step in decoder.steps],
        "weights": weights,
        "shape": list(decoder.shape),
        "low": decoder.low,
        "high": decoder.high,
    }


def _strip(container: Container, name: str, strip: Strip) -> dict[str, Any]:
    steps = len(strip.z)
    pictures = add_sheets(container, name, strip.thumbnails, steps)
    return {"dimension": strip.dimension, "steps": steps, "pictures": pictures}


def _space(container: Container, name: str, space: FurtherSpace) -> dict[str, Any]:
    return {
        "name": space.name,
        "codes": _codes(container, f"{name}/codes", space.codes),
        "maps": [_map(container, f"{name}/map{i}", place) for i, place in enumerate(space.maps)],
        "agreement": _figures(space.agreement),
        "points": {
            figure: container.add(f"{name}/{figure}", np.asarray(values, dtype=np.float32))
            for figure, values in space.per_point.items()
        },
    }
