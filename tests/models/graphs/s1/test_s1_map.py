"""Maps of networks that the S1 model draws have their angles, hidden degrees and parameters."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from lsgen.data import GeometricWeights, KarateClub, Links, LinkSplit, S1Graph
from lsgen.geometry import immersion, metric
from lsgen.latent.graphs import Graph, S1Coordinates
from lsgen.latent.graphs.circle import degree_factor
from lsgen.metrics import circular_correlation
from lsgen.models.graphs import HiddenDegreeLinks, InnerProductLinks, S1Map
from lsgen.models.graphs.s1 import S1Search, fit_s1
from lsgen.models.graphs.s1.weights import fitted_weights

QUICK = S1Search(softer=(1.5,), rounds=1, ascent=10, last=30)


def _truth(graph: Graph, beta: float, mean_degree: float = 10.0) -> S1Coordinates:
    columns, at = graph.columns, torch.tensor(beta, dtype=torch.float64)
    kappa, into = columns["kappa"], columns.get("kappa_in", columns["kappa"])
    log_out, log_in = (torch.from_numpy(np.log(side)) for side in (kappa, into))
    return S1Coordinates(torch.tensor(columns["theta"]), log_out, log_in, at, degree_factor(at, mean_degree))


def _model(graph: Graph, **options: object) -> S1Map:
    model = S1Map(HiddenDegreeLinks(graph.nodes, graph.directed), QUICK, **options)  # type: ignore[arg-type]
    model.learn(graph)
    model.fit(graph.edges)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("directed", [False, True])
def test_angles_hidden_degrees_and_beta_are_found_again(directed: bool) -> None:
    graph = S1Graph(300 - 120 * directed, seed=1, directed=directed).graph()
    at, truth = fit_s1(graph, QUICK), _truth(graph, 2.5)
    assert abs(float(circular_correlation(at.theta, truth.theta))) > 0.8
    some = (graph.degrees() > 2) & (graph.in_degrees() > 2)
    for own, other in ((at.log_out, truth.log_out), (at.log_in, truth.log_in)):
        assert float(torch.corrcoef(torch.stack([own[some], other[some]]))[0, 1]) > 0.8
    assert float(at.beta) == pytest.approx(2.5, abs=0.6)
    again = fit_s1(graph, QUICK)
    assert torch.equal(again.theta, at.theta)


def test_beta_stays_where_it_is_fixed_and_within_its_bounds() -> None:
    graph = KarateClub().graph()
    assert float(fit_s1(graph, S1Search(beta=3.0, fixed=True, rounds=1, last=20)).beta) == 3.0
    path = Graph.of([[0, 1], [1, 2], [2, 3], [3, 4]])  # which the greatest beta fits best
    assert float(fit_s1(path, S1Search(bounds=(1.05, 12.0))).beta) == pytest.approx(12.0)


@pytest.mark.parametrize("directed", [False, True])
def test_codes_have_the_links_of_the_coordinates(directed: bool) -> None:
    graph = S1Graph(60, directed=directed, seed=2).graph()
    model = _model(graph)
    space, at = model.latent_space, fit_s1(graph, QUICK)
    pairs = torch.cartesian_prod(torch.arange(graph.nodes), torch.arange(graph.nodes))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    torch.testing.assert_close(space.link_scores(pairs), at.logits(*pairs.T))
    rows = space.raw(space.table())
    torch.testing.assert_close(rows[pairs[:, 0], pairs[:, 1]], at.logits(*pairs.T))
    assert bool(space.manifold.contains(space.table()).all())
    degrees = graph.degrees().double()
    radius = torch.atanh(torch.linalg.vector_norm(torch.tensor(space.items().z), dim=-1))
    assert float(torch.corrcoef(torch.stack([radius, degrees.clamp(min=0.5).log()]))[0, 1]) < -0.9
    found = model.coordinates
    for own, other in ((found.log_out, at.log_out), (found.log_in, at.log_in), (found.beta, at.beta)):
        torch.testing.assert_close(own, other)


def test_the_metric_of_a_code_leaves_its_own_node_out() -> None:
    graph = KarateClub().graph()
    model = _model(graph)
    space, node = model.latent_space.eval(), 5
    z = space.table().detach()
    rows = torch.func.jacrev(lambda code: space.decoder.pair(code, z[torch.arange(34) != node]))(z[node])
    p = space.raw(z[node]).sigmoid()[torch.arange(34) != node]
    expected = torch.einsum("ni,n,nj->ij", rows, p * (1 - p), rows)
    torch.testing.assert_close(metric(immersion(space), z[node][None])[0], expected)


def test_weights_of_a_known_network_are_found_again() -> None:
    graph = S1Graph(500, weights=GeometricWeights(alpha=0.4, eta=1.3, noise=0.3), component=False, seed=3).graph()
    truth = _truth(graph, 2.5)
    found = fitted_weights(graph, truth)
    assert float(found.alpha) == pytest.approx(0.4, abs=0.05)
    assert float(found.noise) == pytest.approx(0.3, abs=0.05)
    some, sigma = graph.degrees() > 5, truth.log_out.exp() ** 1.3
    ratio = found.sigma_out[some] / sigma[some]
    assert float(ratio.median()) == pytest.approx(1, abs=0.1)
    assert float(torch.corrcoef(torch.stack([found.sigma_out[some].log(), sigma[some].log()]))[0, 1]) > 0.9
    exact = S1Graph(500, weights=GeometricWeights(alpha=0.4, eta=1.3, noise=0.0), component=False, seed=3).graph()
    means = fitted_weights(exact, truth).log_means(truth, *exact.edges.T)
    torch.testing.assert_close(means, exact.strengths().log(), atol=1e-3, rtol=0)


def test_weights_of_links_with_directions_are_of_sources_and_targets() -> None:
    graph = S1Graph(150, directed=True, component=False, seed=4).graph()
    truth, (i, j) = _truth(graph, 2.5), graph.edges.T
    rng = np.random.default_rng(0)
    u, v = torch.from_numpy(rng.normal(size=(2, 150)))
    delta = torch.from_numpy(np.abs(np.angle(np.exp(1j * (truth.theta[i] - truth.theta[j]).numpy()))))
    weighted = Graph.of(graph.edges, 150, directed=True, weights=torch.exp(u[i] + v[j] - 0.25 * delta.log()))
    found = fitted_weights(weighted, truth)
    assert float(found.alpha) == pytest.approx(0.25, abs=1e-3)
    torch.testing.assert_close(found.log_means(truth, i, j), weighted.strengths().log(), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.sigma_out.mean(), found.sigma_in.mean())


def test_a_fit_of_a_data_module_is_kept_in_its_checkpoint(tmp_path: Path) -> None:
    source = S1Graph(80, weights=GeometricWeights(), seed=6)
    data = Links(graph=source, split=LinkSplit(connected=True), batch_size=64)
    model, loaded = (S1Map(HiddenDegreeLinks(data.nodes), QUICK) for _ in range(2))
    trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "map.ckpt")
    content = torch.load(tmp_path / "map.ckpt", weights_only=False)
    loaded.load_state_dict(content["state_dict"])
    loaded.on_load_checkpoint(content)
    held_out = data.held_out("test").positive
    assert torch.equal(loaded.latent_space.link_scores(held_out), model.latent_space.link_scores(held_out))
    assert loaded.latent_space.names == data.graph.names
    assert model.weights is not None
    assert loaded.weights is not None
    assert torch.equal(loaded.weights.sigma_out, model.weights.sigma_out)
    assert torch.equal(loaded.coordinates.theta, _refitted(model, data))


def _refitted(model: S1Map, data: Links) -> torch.Tensor:
    """Return the angles that the links of training give."""
    decoder = model.latent_space.decoder
    assert isinstance(decoder, HiddenDegreeLinks)
    model.latent_space.codes.data.copy_(decoder.place(fit_s1(data.graph, QUICK)))
    return model.coordinates.theta


def test_a_network_of_several_components_gets_one_sentence() -> None:
    graph = Graph.of([[0, 1], [1, 2], [0, 2], [3, 4], [4, 5], [3, 5]], 7)
    model = S1Map(HiddenDegreeLinks(7), QUICK)
    with pytest.warns(UserWarning, match="expected a connected network, got one of 3 components, 1 of them"):
        model.learn(graph)
    model.fit(graph.edges)
    assert np.isfinite(model.latent_space.items().z).all()
    scores = model.latent_space.link_scores(torch.tensor([[0, 1], [0, 4]]))
    assert float(scores[0]) > float(scores[1])


@pytest.mark.parametrize("edges", [[[0, 1], [1, 2]], [[0, 1], [0, 2], [1, 2]], [[0, 1], [0, 2], [0, 3], [0, 4]]])
def test_tiny_networks_have_a_map(edges: list[list[int]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at = fit_s1(Graph.of(edges), S1Search(last=50))
    for part in (at.theta, at.log_out, at.beta, at.mu, at.top):
        assert bool(part.isfinite().all())


def test_what_is_refused() -> None:
    pair, triangle = Graph.of([[0, 1]]), Graph.of([[0, 1], [1, 2], [0, 2]])
    with pytest.raises(ValueError, match="expected a network of at least 3 nodes on a circle, got 2"):
        fit_s1(pair)
    with pytest.raises(ValueError, match="expected a graph of at least 2 links, got 1"):
        fit_s1(Graph.of([[0, 1]], 3))
    signed = Graph.of(triangle.edges, weights=[1.0, -1.0, 1.0], signed=True)
    with pytest.raises(ValueError, match="S1Map expected weights above 0, got -1"):
        S1Map(HiddenDegreeLinks(3)).learn(signed)
    directed = Graph.of(triangle.edges, directed=True)
    with pytest.raises(ValueError, match="HiddenDegreeLinks expected an undirected graph, got a directed graph"):
        S1Map(HiddenDegreeLinks(3)).learn(directed)
    with pytest.raises(TypeError, match=r"S1Map expected model.decoder to be HiddenDegreeLinks, got InnerProductLinks"):
        S1Map(InnerProductLinks(3, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected betas above 1 and one within its bounds"):
        S1Search(beta=30.0)
    with pytest.raises(ValueError, match="expected a network with weights, got one without"):
        fitted_weights(triangle, _truth(S1Graph(30, seed=1).graph(), 2.5))
    assert math.isfinite(S1Search().beta)
