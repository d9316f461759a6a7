"""Callbacks of networks log what the metrics of networks say of the codes, the links and the network they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from named_points import NamedNodes
from pytorch_lightning import Trainer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict

from lsgen.callbacks import (
    Communities,
    GraphReconstructionTest,
    LinkTests,
    NetworkPictures,
    NodeClassification,
    PeriodicCallback,
    Routing,
    TimeTrend,
)
from lsgen.callbacks.evaluation.graphs.of_networks import scores_of
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Digits, GraphData, GrowingCitations, KarateClub, LesMiserables, Nodes, StochasticBlocks
from lsgen.latent import Codes, ItemSpace, ItemTable, Lorentz, PoincareBall, Sphere
from lsgen.metrics.graphs import CodeScores, adamic_adar, graph_reconstruction, greedy_routing, radius_degree
from lsgen.models.graphs import DistanceLinks, NodeSpace
from lsgen.runs.keys import find

ALL = (LinkTests, GraphReconstructionTest, NodeClassification, Communities, Routing, NetworkPictures)


class Kept(Sink):
    """Keeps pictures and tables."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir, 1)
        self.shown: dict[str, object] = {}

    def image(self, key: str, pixels: object) -> None:  # type: ignore[override]
        self.shown[key] = pixels

    def rows(self, key: str, columns: object, rows: object) -> None:  # type: ignore[override]
        self.shown[key] = rows


def _space(data: GraphData, manifold: object = None) -> NodeSpace:
    torch.manual_seed(0)
    space = NodeSpace(DistanceLinks(data.nodes, 2, PoincareBall() if manifold is None else manifold), 1.0, True)  # type: ignore[arg-type]
    space.take(data.graph)
    return space.double()


def _found(callback: PeriodicCallback, space: ItemSpace, data: GraphData, tmp_path: Path) -> Kept:
    sink = Kept(tmp_path)
    callback._network = data  # type: ignore[attr-defined]
    callback.run(space, None, sink)
    return sink


def test_links_are_told_apart_by_the_model_and_by_scores_without_codes(tmp_path: Path) -> None:
    data = Nodes(split={"test_size": 0.3})
    space = _space(data)
    found = _found(LinkTests(splits=["test"], ks=[3]), space, data, tmp_path)
    held_out = data.held_out("test")
    pairs = torch.cat([held_out.positive, held_out.negative])
    link = np.arange(len(pairs)) < len(held_out.positive)
    values = found.values
    assert values["graph/links/test/model/auc"] == pytest.approx(roc_auc_score(link, space.link_scores(pairs).detach()))
    index = adamic_adar(data.graph, pairs)
    assert values["graph/links/test/adamic_adar/auc"] == pytest.approx(roc_auc_score(link, index))
    assert values["graph/links/test/pairs"] == len(held_out.positive)
    low, high = (values[f"graph/links/test/model/auc_{end}"] for end in ("low", "high"))
    assert low < values["graph/links/test/model/auc"] < high
    assert {row[0] for row in found.shown["graph/links/test/scores"]} == {  # type: ignore[attr-defined]
        "model", "common_neighbours", "adamic_adar", "resource_allocation", "preferential_attachment"
    }  # fmt: skip
    assert "graph/links/test/bars" in found.shown


def test_reconstruction_and_routing_are_those_of_the_network_of_training(tmp_path: Path) -> None:
    data = Nodes()
    space = _space(data)
    codes = space.items()
    found = _found(GraphReconstructionTest(n=None), space, data, tmp_path).values
    expected = graph_reconstruction(CodeScores(codes), data.graph)
    for name in ("mean_rank", "map"):
        assert found[f"graph/reconstruction/{name}"] == pytest.approx(float(expected[name]["value"]))
        assert found[f"graph/reconstruction/{name}_chance"] == pytest.approx(float(expected[name]["chance"]))
    some = _found(GraphReconstructionTest(n=10), space, data, tmp_path).values
    assert some["graph/reconstruction/nodes"] == 10
    found = _found(Routing(targets=None), space, data, tmp_path).values
    way = greedy_routing(CodeScores(codes), data.graph, targets=None)
    assert found["graph/routing/success"] == float(way["success"]["value"])
    assert found["graph/routing/stretch"] == pytest.approx(float(way["stretch"]["value"]))
    assert found["graph/routing/radius_degree"] == pytest.approx(float(radius_degree(codes, data.counts)["value"]))


def test_labels_and_communities_of_blocks_are_found_by_codes_that_know_them(tmp_path: Path) -> None:
    data = Nodes(graph=StochasticBlocks())
    (column,) = (name for name in data.graph.columns if len(np.unique(data.graph.columns[name])) > 1)
    groups = np.unique(data.graph.columns[column], return_inverse=True)[1]
    z = 5 * np.eye(groups.max() + 1)[groups] + np.random.default_rng(0).standard_normal((data.nodes, groups.max() + 1))
    space = ItemTable(Codes(z, list(data.graph.names)))
    probes = _found(NodeClassification([column]), space, data, tmp_path)
    assert probes.values[f"graph/classification/{column}/codes/at_100"] > 0.95
    assert probes.values[f"graph/classification/{column}/majority/at_100"] < 0.6
    assert f"graph/classification/{column}/spectrum/at_100" in probes.values
    assert f"graph/classification/{column}/curves" in probes.shown
    agreed = _found(Communities([column]), space, data, tmp_path).values
    for clusters in ("kmeans", "spectral"):
        assert agreed[f"graph/communities/{column}/{clusters}/rand_index"] > 0.9
    assert agreed[f"graph/communities/{column}/network/mutual_information_chance"] == 0


def test_pictures_are_drawn_on_every_manifold_and_lorentz_codes_as_those_of_the_ball(tmp_path: Path) -> None:
    data = Nodes(graph=LesMiserables())
    ball = PoincareBall(0.5).parametrised(torch.randn(77, 2, generator=torch.Generator().manual_seed(0)).double())
    names, drawn = list(data.graph.names), []
    lorentz = Lorentz(0.5)
    for codes in (
        Codes(ball, names, PoincareBall(0.5)),
        Codes(lorentz.from_ball(ball), names, lorentz),
        Codes(torch.cat([ball, ball], 1), names),
        Codes(torch.nn.functional.normalize(torch.cat([ball, ball[:, :1] + 1], 1)), names, Sphere()),
        Codes(PoincareBall().parametrised(torch.cat([ball, ball], 1)), names, PoincareBall()),
    ):
        found = _found(NetworkPictures(most_links=100), ItemTable(codes), data, tmp_path).shown
        drawn.append(np.asarray(found["graph/map"], dtype=int))
    assert np.abs(drawn[0] - drawn[1]).mean() < 0.01
    assert drawn[2].shape != drawn[0].shape
    assert drawn[4].shape == drawn[0].shape


def test_pairs_are_scored_as_asked() -> None:
    data = Nodes()
    space, pairs = _space(data), torch.tensor([[0, 1], [3, 9]])
    codes = space.items()
    with torch.no_grad():
        torch.testing.assert_close(scores_of(space, codes).of_pairs(pairs), space.link_scores(pairs))
        rows = scores_of(space, codes, "model").to_all(torch.tensor([0, 3]))
        torch.testing.assert_close(rows[[0, 1], [1, 9]], space.link_scores(pairs))
    z = codes.tensor()
    distance = PoincareBall().distance(z[[0, 3]], z[[1, 9]])
    torch.testing.assert_close(scores_of(space, codes, "distance").of_pairs(pairs), -distance)
    torch.testing.assert_close(scores_of(space, codes, "dot").of_pairs(pairs), (z[[0, 3]] * z[[1, 9]]).sum(1))
    plain = ItemTable(Codes(codes.z, codes.ids))
    cosine = torch.nn.functional.cosine_similarity(z[[0, 3]], z[[1, 9]])
    torch.testing.assert_close(scores_of(plain, plain.items()).of_pairs(pairs), cosine)
    with pytest.raises(ValueError, match="expected a space with logits of links for scores by model, got ItemTable"):
        scores_of(plain, plain.items(), "model")
    with pytest.raises(ValueError, match="expected scores by model, distance, cosine, dot, got 'rank'"):
        scores_of(plain, plain.items(), "rank")  # type: ignore[arg-type]


@pytest.mark.slow
def test_they_fire_in_training_with_keys_of_the_registry(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    data = Nodes(batch_size=8)
    hooks = [kind(every_n_steps=4) for kind in ALL]
    trainer = Trainer(
        default_root_dir=tmp_path, max_epochs=1, accelerator="cpu", callbacks=hooks, logger=False,  # type: ignore[arg-type]
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, limit_val_batches=0,
    )  # fmt: skip
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sink, "close", lambda self: rows.append(self.values))
        trainer.fit(NamedNodes(max_steps=5, names=data.graph.names), data)
    assert len(rows) == 2 * len(ALL)  # after 4 and 5 steps
    keys = {key for row in rows for key in row}
    assert {"graph/links/val/model/auc", "graph/routing/success", "graph/reconstruction/map"} <= keys
    assert {found.entry.section for key in keys if (found := find(key)) is not None} == {"networks", "progress"}
    assert all(find(key) is not None for key in keys)
    for key in ("graph/map", "graph/links/val/bars", "graph/links/test/scores", "graph/classification/club/curves"):
        assert len(list((tmp_path / "figures" / key).iterdir())) == 2
        assert find(key) is not None


def test_other_data_and_codes_are_refused_or_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, told = NamedNodes(names=KarateClub().graph().names), list[str]()
    for where in ("link_tests.rank_zero_info", "node_labels.rank_zero_info", "of_networks.rank_zero_warn"):
        monkeypatch.setattr(f"lsgen.callbacks.evaluation.graphs.{where}", told.append)
    trainer = Trainer(logger=False, accelerator="cpu")
    trainer.datamodule = Digits()  # type: ignore[attr-defined]
    for kind in ALL:
        with pytest.raises(TypeError, match=f"{kind.__name__} expected a network, a lsgen.data.GraphData, got Digits"):
            kind().setup(trainer, model, "fit")
    trainer.datamodule = Nodes(graph=LesMiserables(), split={"kind": "none"})  # type: ignore[attr-defined]
    for kind in (LinkTests, NodeClassification):
        kind().setup(trainer, model, "fit")
    assert told == [
        "LinkTests asks nothing: no link of val or test is held out; GraphReconstructionTest measures how well links "
        "of training are found again",
        "NodeClassification asks nothing: the network has no labels of its nodes",
    ]
    with pytest.raises(ValueError, match="NodeClassification expected columns out of none, got 'club'"):
        NodeClassification(["club"]).setup(trainer, model, "fit")
    data = Nodes()
    for kind in ALL:
        strangers = ItemTable(Codes(np.eye(34, 2), [f"x{name}" for name in data.graph.names]))
        assert not _found(kind(), strangers, data, tmp_path).values
        assert told[-1].startswith(f"{kind.__name__} measured nothing: expected ids of the table, got 34")
    with pytest.raises(ValueError, match="LinkTests expected baselines out of"):
        LinkTests(baselines=["jaccard"])
    with pytest.raises(ValueError, match="Routing expected rule nearest or closer, got 'far'"):
        Routing(rule="far")  # type: ignore[arg-type]


def test_the_trend_of_codes_is_that_of_a_regression_on_other_folds(tmp_path: Path) -> None:
    data = Nodes(graph=GrowingCitations(years=10, per_year=20, citations=3), split={"kind": "none"})
    year = data.graph.columns["year"].astype(float)
    z = np.random.default_rng(0).standard_normal((data.nodes, 3))
    z[:, 1] += year
    space = ItemTable(Codes(z, list(data.graph.names)))
    found = _found(TimeTrend(), space, data, tmp_path)
    asked = ~data.graph.isolated().numpy()
    told = cross_val_predict(LinearRegression(), z[asked], year[asked], cv=KFold(10, shuffle=True, random_state=0))
    assert found.values["graph/trend/r2"] == pytest.approx(r2_score(year[asked], told))
    low, high, chance = (found.values[f"graph/trend/r2_{end}"] for end in ("low", "high", "chance"))
    assert low < found.values["graph/trend/r2"] < high
    assert chance < 0.1
    rows = found.shown["graph/trend/nodes"]
    assert [row[2] for row in rows] == pytest.approx(told.tolist())  # type: ignore[attr-defined]
    with pytest.warns(UserWarning, match="TimeTrend measured nothing: expected a column of numbers of the network"):
        _found(TimeTrend(column="decade"), space, data, tmp_path)
    curved = ItemTable(Codes(0.01 * z / np.abs(z).max(), list(data.graph.names), PoincareBall()))
    with pytest.warns(UserWarning, match="expected codes of flat space, got those of PoincareBall"):
        _found(TimeTrend(), curved, data, tmp_path)
