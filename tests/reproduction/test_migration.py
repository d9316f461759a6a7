"""Counts of flows, and cosines against published ones, by enumeration."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lsgen.data import CosineNetwork, Links
from lsgen.data.graphs.signed_backbone import signed_weights
from lsgen.latent import Codes, ItemTable
from lsgen.reproduction.comparisons.graphs.migration_counts import MigrationCounts, RandomFlows
from lsgen.reproduction.comparisons.graphs.published_cosines import PublishedCosines, YearsKept

N, D = 6, 3


def runs(number: int, columns: dict[str, Any] | None = None) -> list[Any]:
    draws = np.random.default_rng(1)
    data = Links(graph=CosineNetwork(places=N, dim=D), split={"kind": "none"})
    tables = [Codes(draws.normal(size=(N, D)), [f"n{row}" for row in range(N)], columns=columns) for _ in range(number)]
    return [SimpleNamespace(model=SimpleNamespace(latent_space=ItemTable(codes)), data=data) for codes in tables]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_counts() -> None:
    """People, pairs and links are those that are counted one by one."""
    flows = RandomFlows((2001, 2002), places=9)
    found = MigrationCounts(flows, share=0.4, vigour=0.1)({}).values
    ever = set()
    for year, x in flows.flows.items():
        pairs = [(i, j) for i in range(9) for j in range(9) if i != j]
        weights = signed_weights(x)
        sizes = sorted((abs(weights.significance[pair]) for pair in pairs), reverse=True)
        kept = {p for p in pairs if abs(weights.significance[p]) >= sizes[28] and abs(weights.vigour[p]) >= 0.1}
        assert found[f"people_{year}"] == sum(x[pair] for pair in pairs)
        assert found[f"pairs_{year}"] == sum(x[pair] > 0 for pair in pairs)
        assert found[f"links_{year}"] == len(kept)
        ever |= kept
    assert (found["ever"], found["density"]) == (len(ever), 1.0)


def test_distances_of_cosines(tmp_path: Path) -> None:
    """They are means over pairs of nodes, of runs with each other and with a file, whatever the order of its rows."""
    of = runs(3)
    published = np.random.default_rng(7).normal(size=(N, D))
    with (tmp_path / "codes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["", *range(D)], *([f"n{row}", *published[row]] for row in reversed(range(N)))])
    found = PublishedCosines(str(tmp_path / "codes.csv"))({"arm": of})
    tables = [run.model.latent_space.items().z for run in of]
    pairs = [(i, j) for i in range(N) for j in range(N) if i != j]

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([abs(cosine(a[i], a[j]) - cosine(b[i], b[j])) for i, j in pairs]))

    assert found.values["published"] == pytest.approx(np.mean([apart(a, published) for a in tables]))
    between = np.mean([apart(a, b) for a in tables for b in tables if a is not b])
    assert found.values["ours"] == pytest.approx(between)
    assert found.values["ours_and_a_tenth"] == pytest.approx(1.1 * between)
    assert found.arrays["ours"].shape == (3, N)
    own = PublishedCosines(None)({"arm": of}).values["published"]
    s = of[0].data.whole.adjacency().toarray()
    wanted = [np.mean([abs(cosine(a[i], a[j]) - (s[i, j] + s[j, i]) / 2) for i, j in pairs]) for a in tables]
    assert own == pytest.approx(np.mean(wanted))
    with pytest.raises(ValueError, match="one arm with at least 2 runs"):
        PublishedCosines(None)({"arm": of[:1]})
    with pytest.raises(FileNotFoundError, match=r"published codes data at .*nowhere"):
        PublishedCosines("nowhere")({"arm": of})


def test_years_are_matched_by_place() -> None:
    """The cosines are those of a place with itself, in the first and the last year and in following ones."""
    columns = {"year": [1, 1, 2, 2, 3, 3], "place": ["a", "b", "b", "a", "a", "b"]}
    of = runs(2, columns)
    found = YearsKept()({"arm": of}).values
    kept = [cosine(z[0], z[4]) / 2 + cosine(z[1], z[5]) / 2 for z in (run.model.latent_space.items().z for run in of)]
    assert found["kept"] == pytest.approx(np.mean(kept))
    steps = [
        np.mean([cosine(z[0], z[3]), cosine(z[1], z[2]), cosine(z[3], z[4]), cosine(z[2], z[5])])
        for z in (run.model.latent_space.items().z for run in of)
    ]
    assert found["following"] == pytest.approx(np.mean(steps))
    with pytest.raises(ValueError, match="same places in at least 2 years"):
        YearsKept()({"arm": runs(1, {"year": [1] * 6, "place": list("abcdef")})})
