"""Whether codes of papers move along an axis with the years, and what the year that they tell foretells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lsgen.analysis.directions import correlation_within, trend_of
from lsgen.data import GraphData
from lsgen.latent.items import ItemSpace
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["CitationTrend"]


@dataclass(frozen=True)
class CitationTrend:
    """Compares the years that codes of papers tell with those of publication, of the field, and with later citations.

    Papers are those with a citation before the links that are held out. Keys: r2, the share of the variance of years
    that held-out codes explain linearly; and averages over years of Spearman's correlation among papers of the same
    year: `recovered`, of the year that the code tells with the true intrinsic year; `foretold`, of the former with the
    citations after the last link of training; `possible`, of the true intrinsic year with those; `degree`, of the
    links of training with those. Arrays `along`, `year`, `intrinsic` and `later` (n,) are those of the papers, and
    `others` the coordinate along the next principal axis.

    Attributes:
        folds: of which each is told by the others.

    """

    folds: int = 10

    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run.

        Raises:
            TypeError: its data are no network, or its space has no items.
            ValueError: links have no times, or papers no years.

        """
        data, space = run.data, run.model.latent_space
        if not isinstance(data, GraphData) or not isinstance(space, ItemSpace):
            raise TypeError(f"expected a network and a space of its nodes, got {type(data).__name__}")
        known, whole = data.graph, data.whole
        if known.times is None or whole.times is None or not {"year", "intrinsic_year"} <= set(whole.columns):
            raise ValueError(f"expected links with times between papers with years, got {whole}")
        papers = ~known.isolated().numpy()
        z = np.asarray(space.items().z, dtype=np.float64)[papers]
        year, true = (whole.columns[name][papers].astype(np.float64) for name in ("year", "intrinsic_year"))
        ends = whole.edges.numpy()[(whole.times > known.times.max()).numpy()]
        dates = whole.columns["year"]
        cited = np.where(dates[ends[:, 0]] < dates[ends[:, 1]], ends[:, 0], ends[:, 1])
        later = np.bincount(cited, minlength=whole.nodes)[papers]
        links = (known.degrees() if not known.directed else known.in_degrees() + known.degrees()).numpy()[papers]
        trend = trend_of(z, year, self.folds, draws=0)
        pairs = {
            "recovered": (trend.intrinsic, true),
            "foretold": (trend.intrinsic, later),
            "possible": (true, later),
            "degree": (links, later),
        }
        values = {name: correlation_within(*pair, year) for name, pair in pairs.items()}
        columns = {"along": trend.along, "year": year, "intrinsic": trend.intrinsic, "later": later}
        columns["others"] = trend.across
        arrays = {name: np.asarray(column, dtype=np.float32) for name, column in columns.items()}
        return Measured({"r2": trend.r2.value, **values}, arrays)
