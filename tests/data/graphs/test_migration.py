"""Signed weights of flows, their backbones and the migration of Turkey, against the authors' program and files."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from lsgen.data import CosineNetwork, TurkishMigration
from lsgen.data.graphs.signed_backbone import SignedBackbone, signed_weights

ROOT = Path(os.environ.get("LSGEN_DATA_DIR", "data"))
needs_files = pytest.mark.skipif(
    not (ROOT / "migration_tr" / "migration.csv").exists(), reason="needs migration_tr in LSGEN_DATA_DIR"
)


def random_flows(n: int, seed: int) -> np.ndarray:
    """Return flows between places of very different sizes."""
    draws = np.random.default_rng(seed)
    sizes = draws.lognormal(0, 1, n)
    flows = draws.poisson(200 * np.outer(sizes, sizes) * draws.lognormal(0, 0.7, (n, n))).astype(float)
    np.fill_diagonal(flows, 0)
    return flows


def test_sizes_explain_what_leaves_and_arrives() -> None:
    """What sizes explain, which follows from x and s, has the sums of x, and is a product off the diagonal."""
    x = random_flows(12, 0)
    s = signed_weights(x).vigour
    m = np.where(np.eye(12, dtype=bool) | (x == 0), np.nan, x * (1 - s) / (1 + s))
    assert not np.isnan(m[~np.eye(12, dtype=bool)]).any()
    for axis, sums in ((1, x.sum(1)), (0, x.sum(0))):
        np.testing.assert_allclose(np.nansum(m, axis), sums, rtol=1e-10)
    np.testing.assert_allclose(m[0, 2] * m[1, 3], m[0, 3] * m[1, 2], rtol=1e-10)


def test_flows_that_sizes_explain_have_no_weight() -> None:
    """A product without its diagonal has the weight 0 everywhere."""
    a, b = np.random.default_rng(1).lognormal(size=(2, 9))
    x = np.outer(a, b)
    np.fill_diagonal(x, 0)
    found = signed_weights(x)
    np.testing.assert_allclose(found.vigour, 0, atol=1e-11)


def test_weights_are_those_of_the_authors_program() -> None:
    """Weights, significance and backbones agree with signed_backbones, with places that exchange nothing as well."""
    backbones = pytest.importorskip("signed_backbones")
    pandas = pytest.importorskip("pandas")
    x = random_flows(14, 2)
    x[3, 5] = x[7, 1] = 0
    names = np.array([f"n{row:02d}" for row in range(14)])
    i, j = np.nonzero(x)
    table = pandas.DataFrame({"i": names[i], "j": names[j], "x": x[i, j]})
    found, apart = signed_weights(x), ~np.eye(14, dtype=bool)
    options = {"return_weights": True, "return_significance": True}
    every = backbones.extract(table, significance_threshold=0, vigor_threshold=0, **options)
    at = tuple(np.searchsorted(names, every[:, column].astype(str)) for column in (0, 1))
    assert len(every) == apart.sum()
    np.testing.assert_allclose(found.vigour[at], every[:, 2].astype(float), atol=1e-9)
    np.testing.assert_allclose(found.significance[at], every[:, 3].astype(float), rtol=1e-7, atol=1e-7)
    for share, vigour in ((0.075, 0.33), (0.2, 0.1), (0.5, 0.6), (1, 0)):
        wanted = backbones.extract(table, significance_threshold=f"{100 * share}pc", vigor_threshold=vigour)
        kept = np.argwhere(SignedBackbone(share, vigour).kept(found))
        assert {(names[a], names[b]) for a, b in kept} == {(a, b) for a, b in wanted[:, :2]}


@pytest.mark.slow
@needs_files
def test_published_backbones() -> None:
    """Weights of 2008 and 2020 are those that the authors give out, and backbones have the links that they count."""
    source = TurkishMigration(years=None)
    number = {name: row for row, name in enumerate(source.places)}
    kept = {year: SignedBackbone().kept(signed_weights(flows)) for year, flows in source.flows.items()}
    for year, links in ((2008, 397), (2020, 392)):
        with (ROOT / "migration_tr/output/backbones" / f"{year}.csv").open(encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))[1:]
        found = signed_weights(source.flows[year])
        at = tuple([number[row[column]] for row in rows] for column in (0, 1))
        np.testing.assert_allclose(found.vigour[at], [float(row[2]) for row in rows], atol=1e-9)
        np.testing.assert_allclose(found.significance[at], [float(row[3]) for row in rows], rtol=1e-7, atol=1e-7)
        assert kept[year].sum() == len(TurkishMigration((year,), {"share": 0.075, "vigour": 0.33}).graph()) == links
    assert sum(kept.values()).astype(bool).sum() == 606


@pytest.mark.slow
@needs_files
def test_years_of_migration() -> None:
    """Nodes are provinces in years, with the flows of their year and no link between years."""
    one, graph = TurkishMigration((2020,)).graph(), TurkishMigration((2008, 2020)).graph()
    assert (graph.nodes, len(graph), one.nodes, len(one)) == (162, 2 * 6480, 81, 6480)
    year = graph.columns["year"]
    assert (year[graph.edges] == graph.times.numpy()[:, None]).all()
    later = graph.subgraph(graph.numbers([f"{name} 2020" for name in one.names]).new_tensor(year == 2020).bool())
    np.testing.assert_array_equal(later.adjacency().toarray(), one.adjacency().toarray())
    istanbul = one.numbers(["İstanbul"])[0]
    assert one.columns["latitude"][istanbul] == pytest.approx(41, abs=0.2)
    assert TurkishMigration((2008,)).flows[2008].sum() == 2_273_492
    with pytest.raises(ValueError, match="expected years among 2008 to 2020, got 2021"):
        TurkishMigration((2020, 2021)).graph()


def test_files_are_missing(tmp_path: Path) -> None:
    """Files that are not there or damaged are refused by name."""
    with pytest.raises(FileNotFoundError, match=r"expected the migration_tr data at .*migration_tr"):
        TurkishMigration(root=str(tmp_path)).graph()
    folder = tmp_path / "migration_tr"
    folder.mkdir()
    (folder / "city_meta.csv").write_text("city,lat,long\nA,1,2\nB,3,4\nC,5,6\n")
    (folder / "migration.csv").write_text("2008,A,B,5\n,,C,2\n")
    with pytest.raises(ValueError, match=r"migration\.csv.*not all provinces"):
        TurkishMigration((2008,), root=str(tmp_path)).graph()


@pytest.mark.parametrize(
    ("flows", "words"),
    [
        (np.ones((2, 2)), "at least 3 places"),
        (np.ones((3, 4)), "expected flows"),
        (-np.ones((3, 3)), "not negative"),
        (np.array([[0, 1, 1], [0, 0, 0], [1, 1, 0]]), "got place 1 without"),
        (np.array([[0, 9, 9], [9, 0, 0], [9, 0, 0]]), "half of all"),
    ],
)
def test_flows_that_are_refused(flows: np.ndarray, words: str) -> None:
    """Flows without an answer are refused."""
    with pytest.raises(ValueError, match=words):
        signed_weights(flows)


def test_known_codes() -> None:
    """Without noise the weights are cosines of the known codes of a year, which drift on the sphere."""
    source = CosineNetwork(places=7, dim=4, years=3, noise=0.0)
    graph, codes = source.graph(), source.codes.reshape(21, 4)
    i, j = graph.edges.T.numpy()
    np.testing.assert_allclose((codes[i] * codes[j]).sum(1), graph.weights.numpy(), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1)
    assert len(graph) == 3 * 42
    assert (i // 7 == j // 7).all()
    noisy = CosineNetwork(places=60, dim=4, noise=0.2)
    errors = noisy.graph().weights.numpy() - (noisy.codes[0] @ noisy.codes[0].T)[~np.eye(60, dtype=bool)]
    assert abs(errors).mean() == pytest.approx(0.2, rel=0.1)  # of a Laplace variable, with 3540 draws
    assert (noisy.graph().weights == CosineNetwork(places=60, dim=4, noise=0.2).graph().weights).all()


@pytest.mark.parametrize("bad", [{"places": 1}, {"dim": 1}, {"years": 0}, {"noise": -1.0}, {"drift": float("nan")}])
def test_networks_that_are_refused(bad: dict[str, float]) -> None:
    """Numbers out of range are refused."""
    with pytest.raises(ValueError, match="expected at least 2 places"):
        CosineNetwork(**bad)
    with pytest.raises(ValueError, match="ascending years"):
        TurkishMigration((2009, 2008))
