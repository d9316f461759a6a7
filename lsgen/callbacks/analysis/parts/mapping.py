"""Projections of codes, coloured by a label or a factor, with how faithful each is."""

from __future__ import annotations

import numpy as np

from lsgen import viz
from lsgen.analysis.projections import Projection, map_stability, project
from lsgen.analysis.projections.choice import METHODS, default_method
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import Subject

__all__ = ["projections"]

SEEDED = ("tsne", "umap")


def projections(subject: Subject, found: Findings) -> None:
    """Draw projections of the codes, and log how much of their neighbourhoods each keeps.

    Of a projection that depends on random numbers, maps of several seeds are laid over each other as well.
    """
    codes, drawn = subject.codes, dict[str, Projection]()
    for asked in subject.detail.maps:
        method = asked or default_method(codes)
        seeded = {"seed": subject.seed} if method in SEEDED else {}
        try:
            drawn[method] = project(codes, method, k=min(subject.detail.k, max(1, (len(codes) - 1) // 2)), **seeded)
        except (ImportError, ValueError) as error:
            found.left_out[f"map {method}"] = str(error)
    for method, one in drawn.items():
        if one.faithfulness is not None:
            for part in ("trustworthiness", "continuity", "overlap"):
                found.add(f"analysis/map/{method}/{part}", getattr(one.faithfulness, part))
            found.columns[f"trust_{method}"] = np.asarray(one.faithfulness.trustworthiness_at, dtype=float)
    for method in [name for name in drawn if name in SEEDED and subject.detail.map_seeds > 1]:
        _stability(subject, found, method, drawn[method])
    if drawn:
        titles = {_title(method, one): one.coordinates for method, one in drawn.items()}
        found.sink.image("analysis/maps", viz.scatter_maps(titles, "Maps of codes", subject.groups()))
        found.sink.arrays(
            "analysis/maps", ids=codes.ids.astype(str), **{m: one.coordinates for m, one in drawn.items()}
        )


def _stability(subject: Subject, found: Findings, method: str, drawn: Projection) -> None:
    """Log how well maps of the following seeds agree with the one that was drawn."""
    further = [subject.seed + i for i in range(1, subject.detail.map_seeds)]
    maps = [drawn.coordinates, *(METHODS[method](subject.codes, seed=seed).coordinates for seed in further)]
    stable = map_stability(maps, subject.seed)
    found.add(f"analysis/map/{method}/stability", stable.agreement)
    found.columns[f"shift_{method}"] = stable.shift_at


def _title(method: str, one: Projection) -> str:
    if one.faithfulness is None:
        return method
    return f"{method}: trust {one.faithfulness.trustworthiness.value:.2f}, overlap {one.faithfulness.overlap.value:.2f}"
