"""Probes of codes by the number of labels, beside four baselines, and the coverage of imputations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen import viz
from lsgen.analysis.coverage import imputation_coverage
from lsgen.analysis.probing import ProbeCurves, probe
from lsgen.callbacks.analysis.collection import untrained_codes
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import LeftOutError, Subject
from lsgen.latent import EncodableLatentSpace, EncodableSpace, impute
from lsgen.latent.densities import check_density

__all__ = ["imputation", "probes"]

DRAWS, WIDEST, MOST_CLASSES = 99, 20_000, 100


def probes(subject: Subject, found: Findings) -> None:
    """Log how well probes of the codes, and of four baselines, predict every column.

    Whole numbers are classes unless most of them come once, as the counts of words do.
    """
    baselines = _baselines(subject)
    for column in subject.columns():
        codes, values = subject.codes, subject.codes.columns[column]
        classes = len(np.unique(values.astype(str)))
        if values.dtype.kind in "iu" and 2 * classes > len(values):
            codes = codes.with_columns({column: values.astype(float)})
        elif values.dtype.kind != "f" and classes > MOST_CLASSES:
            found.left_out[f"probes of {column}"] = f"it has {classes} classes, more than {MOST_CLASSES}"
            continue
        try:
            curves = probe(codes, column, baselines, subject.detail.probes)
        except ValueError as error:
            found.left_out[f"probes of {column}"] = str(error)
            continue
        for space, scores in curves.scores.items():
            for budget, score in zip(curves.budgets, scores, strict=True):
                found.add(f"analysis/probe/{column}/{space}/{budget}", score)
        found.sink.image(f"analysis/probe/{column}", _drawn(curves))


def imputation(subject: Subject, found: Findings) -> None:
    """Log how often 90 % intervals of imputations hold values that were hidden at random."""
    space, x, detail = subject.space, subject.collected.observations, subject.detail
    if not isinstance(space, EncodableLatentSpace) or x is None:
        raise LeftOutError(f"there is no {'decoder' if isinstance(space, EncodableSpace) else 'encoder'}")
    try:
        check_density(space.prior, space.posterior)
    except TypeError as error:
        raise LeftOutError(str(error)) from error
    like = next(space.parameters())
    chosen = x[: detail.imputed].to(like.device, like.dtype)
    hidden = torch.rand(chosen.shape, generator=torch.Generator().manual_seed(subject.seed)) < detail.missing
    observed = ~hidden.to(like.device)
    try:
        draws = impute(space, chosen, observed, detail.samples, DRAWS).draws
    except TypeError as error:  # counts of words, whose likelihood is that of all of them
        raise LeftOutError(str(error)) from error
    coverage = imputation_coverage(chosen, observed, draws)
    found.add("analysis/imputation/coverage", coverage.share)
    found.numbers({"analysis/imputation/width": coverage.width})


def _baselines(subject: Subject) -> Mapping[str, Any]:
    """Return what probes of codes are compared with, besides the majority."""
    x = subject.collected.observations
    if x is None:
        return {}
    raw = x.flatten(1).double().numpy()
    found: dict[str, Any] = {"pca": _components(raw, min(subject.codes.dim, *raw.shape))}
    if raw.shape[1] <= WIDEST:
        found["raw"] = raw
    if isinstance(subject.space, EncodableSpace) and subject.module is not None:
        found["untrained"] = untrained_codes(subject.module, subject.collected, subject.seed)
    return found


def _components(x: NDArray[np.float64], d: int) -> NDArray[np.float64]:
    """Return the first d principal components of observations."""
    from sklearn.decomposition import PCA

    return np.asarray(PCA(d, random_state=0).fit_transform(x))


def _drawn(curves: ProbeCurves) -> viz.Pixels:
    series = {}
    for name, scores in curves.scores.items():
        ends = [one.interval or (one.value, one.value) for one in scores]
        values, low, high = [one.value for one in scores], [end[0] for end in ends], [end[1] for end in ends]
        series[name] = curves.budgets, values, low, high
    score = "accuracy" if curves.kind == "classification" else "R²"
    title = f"Probes of {curves.column} by the number of labels"
    return viz.interval_curves(series, title, "labels", score, dashed=["majority"])
