"""Attractiveness of places, against sums over their links."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lsgen.latent.graphs import Graph
from lsgen.metrics.graphs import attractiveness


def test_means_of_links() -> None:
    """Each node has the means of the links that arrive and that go out, NaN where there is none."""
    generator = np.random.default_rng(0)
    s = np.where(generator.random((7, 7)) < 0.6, generator.normal(size=(7, 7)), np.nan)
    np.fill_diagonal(s, np.nan)
    s[3, :] = np.nan
    i, j = np.nonzero(~np.isnan(s))
    graph = Graph.of(np.stack([i, j], 1), 7, directed=True, weights=s[i, j], signed=True)
    found = attractiveness(graph)
    for node in range(7):
        leaving = s[node][~np.isnan(s[node])]
        if len(leaving):
            assert float(found.leaving[node]) == pytest.approx(leaving.mean())
        else:
            assert torch.isnan(found.leaving[node])
        arriving = s[:, node][~np.isnan(s[:, node])]
        assert float(found.arriving[node]) == pytest.approx(arriving.mean())


def test_links_without_weights() -> None:
    """They are refused."""
    with pytest.raises(ValueError, match="expected links with weights, got Graph"):
        attractiveness(Graph.of([[0, 1]], directed=True))
