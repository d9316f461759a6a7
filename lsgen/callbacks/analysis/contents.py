"""What a page of a model's codes shows, from the codes and the model: maps, pictures, the decoder, traversals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.analysis import Statistic
from lsgen.analysis.projections import Faithfulness, Projection, default_method, project
from lsgen.callbacks.analysis.collection import Collected
from lsgen.callbacks.analysis.colouring import first_colour
from lsgen.callbacks.analysis.page_scores import clusters_of
from lsgen.callbacks.analysis.pictures import pictures_of
from lsgen.callbacks.analysis.strips import axis_strips
from lsgen.callbacks.analysis.words import telling_words, word_weights
from lsgen.callbacks.rendering.drawings import sentences
from lsgen.explorer import CodeMap, Contents, DecoderProgram, FurtherSpace, OnnxDecoder, ScoreTable, Strip
from lsgen.explorer.decoder import UndecodableError, decoder_program
from lsgen.explorer.onnx_runtime import onnx_decoder, onnx_runtime_files
from lsgen.latent import Codes, Euclidean, LatentSpace, PoincareBall, Space, Sphere
from lsgen.likelihoods import Modalities, TextLikelihood
from lsgen.models.multimodal import AnswerSpace, CaptionSpace

__all__ = ["PageOptions", "explorer_contents", "maps_of"]

NAMES = {
    "pca": "PCA",
    "tsne": "t-SNE",
    "umap": "UMAP",
    "identity": "codes",
    "disk": "Poincaré disk",
    "ternary": "triangle",
}
LEAST_FOR_EMBEDDING = 30  # codes


@dataclass(frozen=True)
class PageOptions:
    """What a page holds.

    Attributes:
        maps: maps by name, beside the one that loses least: pca, tsne, umap.
        decoder: whether the page decodes by itself; "onnx" for ONNX Runtime where the page's own interpreter cannot.
        clusters: whether clusters of codes are found.
        chunk_size: codes encoded and decoded at a time.
        seed: of maps that depend on random numbers.

    Raises:
        ValueError: decoder is something else.
        FileNotFoundError: the files of ONNX Runtime are not there, see `lsgen.explorer.onnx_runtime`.

    """

    maps: Sequence[str] = ("pca", "tsne")
    decoder: bool | str = True
    clusters: bool = True
    chunk_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.decoder not in (True, False, "onnx"):
            raise ValueError(f"expected decoder to be True, False or 'onnx', got {self.decoder!r}")
        if self.decoder == "onnx":
            onnx_runtime_files()


@dataclass
class _Parts:
    """Parts of a page that come with a remark where they are missing."""

    decoder: DecoderProgram | OnnxDecoder | None = None
    strips: list[Strip] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def explorer_contents(
    space: Space | None,
    collected: Collected,
    title: str,
    facts: Mapping[str, str] | None = None,
    options: PageOptions = PageOptions(),
    tables: Sequence[ScoreTable] = (),
    spaces: Sequence[FurtherSpace] = (),
) -> Contents:
    """Return what a page of codes shows.

    Args:
        space: where the codes come from, in evaluation mode; None for codes alone.
        collected: the codes with their observations.
        title: what the page is called.
        facts: what else it says of the codes, by name.
        options: what it holds.
        tables: scores.
        spaces: the same items in other spaces.

    """
    codes = _with_names(collected)
    maps, remarks = maps_of(codes, options)
    columns, scores = clusters_of(codes, options.seed) if options.clusters else ({}, [])
    parts = _decoding(space, collected, options)
    colour, why = first_colour(codes, maps[0].coordinates, options.seed) if maps else ("", "")
    rates = word_weights(collected)
    shown = None if rates else collected.value_range
    both = collected.observations, collected.reconstructions
    pictures, decoded = (pictures_of(space, x, shown, _known(collected)) for x in both)
    if collected.source == "prior":
        pictures, decoded = decoded, None
    return Contents(
        title,
        codes.with_columns(
            {**columns, **telling_words(collected, rates), **_sentences(space, collected, options.chunk_size)}
        ),
        maps,
        pictures,
        decoded,
        parts.decoder,
        parts.strips,
        [*scores, *tables],
        spaces,
        {**(facts or {}), **_facts(collected)},
        [*_warnings(collected), *remarks, *parts.warnings],
        colour,
        why,
        rates,
    )


def maps_of(codes: Codes, options: PageOptions = PageOptions()) -> tuple[list[CodeMap], list[str]]:
    """Return maps of codes with their faithfulness, the one that loses least first, and what is to be said of them.

    A map that needs a package which is not installed, or more codes, is left out, and that is said.
    """
    first = default_method(codes)
    wanted = [(first, 2), *((name, 2) for name in options.maps if name != first)]
    if codes.dim > 2 and ("pca", 2) in wanted:
        wanted.insert(wanted.index(("pca", 2)) + 1, ("pca", 3))
    found, remarks = [], list[str]()
    for name, dims in wanted:
        if name in ("tsne", "umap") and len(codes) < LEAST_FOR_EMBEDDING:
            remarks.append(f"There is no map by {NAMES[name]}: it takes {LEAST_FOR_EMBEDDING} codes or more.")
            continue
        settings: dict[str, int] = {"dims": dims} if name in ("pca", "tsne", "umap") else {}
        settings |= {"seed": options.seed} if name in ("tsne", "umap") else {}
        try:
            found.append(_map(project(codes, name, **settings), " in 3-D" if settings.get("dims") == 3 else ""))
        except ImportError as error:
            remarks.append(f"There is no map by {NAMES[name]}: {error}")
    return found, remarks


def _map(found: Projection, suffix: str = "") -> CodeMap:
    outline = {"disk": "disk", "ternary": "triangle"}.get(found.name, "plane")
    trust, at, k = _trust(found.faithfulness)
    name = NAMES.get(found.name, found.name) + suffix
    return CodeMap(name, found.coordinates, outline, trust, at, k, found.remark)  # type: ignore[arg-type]


def _trust(
    measured: Faithfulness | None,
) -> tuple[dict[str, Statistic], dict[str, NDArray[np.float64]], int | None]:
    """Return the figures of a map, those of each code where all have them, and the number of neighbours."""
    if measured is None:
        return {}, {}, None
    names = ("trustworthiness", "continuity", "overlap")
    whole = {name: getattr(measured, name) for name in names}
    each = {name: getattr(measured, f"{name}_at") for name in names}
    return whole, {name: values for name, values in each.items() if np.isfinite(values).all()}, measured.k


def _decoding(space: Space | None, collected: Collected, options: PageOptions) -> _Parts:
    """Return the decoder as a program, or else traversals that are decoded beforehand."""
    parts = _Parts()
    if not isinstance(space, LatentSpace) or collected.value_range is None:
        return parts
    several = isinstance(space.likelihood, Modalities | TextLikelihood)
    if several and options.decoder:
        parts.warnings.append(
            "The page does not decode codes by itself: they are of sentences or of several modalities."
        )
    if options.decoder and not several:
        try:
            parts.decoder = decoder_program(space, collected.codes.tensor(), collected.value_range)
            return parts
        except UndecodableError as error:
            reason = str(error)
        if options.decoder == "onnx":
            try:
                parts.decoder = onnx_decoder(
                    space, collected.codes.tensor(), collected.value_range, onnx_runtime_files()
                )
                parts.warnings.append(f"ONNX Runtime decodes codes, as the page's own interpreter cannot: {reason}.")
                return parts
            except (UndecodableError, ImportError) as error:
                reason = f"{reason}; nor by ONNX Runtime: {error}"
        parts.warnings.append(f"The page does not decode codes by itself: {reason}.")
    known = _known(collected)
    parts.strips = axis_strips(
        space, collected.codes, collected.value_range, chunk_size=options.chunk_size, known=known
    )
    return parts


def _known(collected: Collected) -> Tensor | None:
    """Return the observations, or what was decoded where there are none."""
    return collected.reconstructions if collected.observations is None else collected.observations


@torch.no_grad()
def _sentences(space: Space | None, collected: Collected, chunk_size: int) -> dict[str, list[str]]:
    """Return as columns the sentences of observations, of their reconstructions, and what a model tells of them."""
    found: dict[str, list[str]] = {}
    for x, end in ((collected.observations, ""), (collected.reconstructions, ", decoded")):
        if x is not None:
            found |= {f"{name}{end}": texts for name, texts in sentences(space, x).items()}
    found = {name: texts for name, texts in found.items() if name not in collected.codes.columns}
    if collected.observations is not None and isinstance(space, AnswerSpace | CaptionSpace):
        like = next(space.parameters())
        name = "answer" if isinstance(space, AnswerSpace) else f"{space.target}, written"
        parts = collected.observations.split(chunk_size)
        found[name] = [text for x in parts for text in space.texts_of(x.to(like.device, like.dtype))]
    return found


def _with_names(collected: Collected) -> Codes:
    """Return the codes with classes called by their names, where they have any."""
    codes, names = collected.codes, collected.label_names
    labels = codes.columns.get("label")
    if labels is None or not names or labels.dtype.kind not in "iu":
        return codes
    called = [names[label] if 0 <= label < len(names) else None for label in labels.tolist()]
    return codes.with_columns({"label": called})


def _facts(collected: Collected) -> dict[str, str]:
    manifold = collected.codes.manifold
    where = {Euclidean: "flat", Sphere: "unit sphere"}.get(type(manifold), str(manifold))
    if isinstance(manifold, PoincareBall):
        where = f"Poincaré ball of curvature -{manifold.curvature:g}"
    kind = {"items": "items", "table": "codes", "prior": "codes"}.get(collected.source, "observations")
    return {kind: collected.sampling, "space": where}


def _warnings(collected: Collected) -> list[str]:
    said = []
    if collected.source == "prior":
        said.append(
            "The model has no encoder: codes are draws from its prior, and pictures are what they are decoded to."
        )
    if collected.left_out:
        said.append(f"{collected.left_out:,} codes were not finite or not on the manifold and are left out.")
    return said
