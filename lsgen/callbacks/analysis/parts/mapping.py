"""Projections of codes, coloured by a label or a factor, with how faithful each is."""

from __future__ import annotations

import numpy as np

from lsgen import viz
from lsgen.analysis.projections import Projection, project
from lsgen.analysis.projections.choice import default_method
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import Subject

__all__ = ["projections"]


def projections(subject: Subject, found: Findings) -> None:
    """Draw projections of the codes, and log how much of their neighbourhoods each keeps."""
    codes, drawn = subject.codes, dict[str, Projection]()
    for asked in subject.detail.maps:
        method = asked or default_method(codes)
        seeded = {"seed": subject.seed} if method in ("tsne", "umap") else {}
        try:
            drawn[method] = project(codes, method, k=min(subject.detail.k, max(1, (len(codes) - 1) // 2)), **seeded)
        except (ImportError, ValueError) as error:
            found.left_out[f"map {method}"] = str(error)
    for method, one in drawn.items():
        if one.faithfulness is not None:
            for part in ("trustworthiness", "continuity", "overlap"):
                found.add(f"analysis/map/{method}/{part}", getattr(one.faithfulness, part))
            found.columns[f"trust_{method}"] = np.asarray(one.faithfulness.trustworthiness_at, dtype=float)
    if drawn:
        titles = {_title(method, one): one.coordinates for method, one in drawn.items()}
        found.sink.image("analysis/maps", viz.scatter_maps(titles, "Maps of codes", subject.groups()))
        found.sink.arrays(
            "analysis/maps", ids=codes.ids.astype(str), **{m: one.coordinates for m, one in drawn.items()}
        )


def _title(method: str, one: Projection) -> str:
    if one.faithfulness is None:
        return method
    return f"{method}: trust {one.faithfulness.trustworthiness.value:.2f}, overlap {one.faithfulness.overlap.value:.2f}"
