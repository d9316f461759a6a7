r"""First coordinates of a network in the S1 model: hidden degrees by expectation, angles by Laplacian eigenmaps.

Hidden degrees are those at which the expected degree of every node, over uniform angles, is the observed one. They say
how far apart two linked nodes are on average, Delta_ij, which gives each link the weight

    w_ij = exp(-c_ij^2 / (b mean c^2)),    c_ij = 2 sin(Delta_ij / 2),

of the chord: a link between two hubs says little of their angles. Two eigenvectors u, v of the Laplacian normalised by
the weights of nodes, among those of the three least eigenvalues above 0, give the order of the angles atan2(u_i, v_i),
and the nodes are put at equal distances in that order. Of several widths b and pairs of eigenvectors that is taken
under which the network is the likeliest.

Reference: Garcia-Perez, Allard, Serrano & Boguna (2019), https://arxiv.org/abs/1904.10814, for eigenmaps with weights
that the model corrects; Belkin & Niyogi, "Laplacian eigenmaps for dimensionality reduction" (2003).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import eigsh
from torch import Tensor

from lsgen.latent.graphs import Graph, S1Coordinates
from lsgen.latent.graphs.circle import mean_connection, mean_separation
from lsgen.models.graphs.s1.likelihood import PairLikelihood

__all__ = ["eigenmap_start", "expected_degrees", "with_hidden_degrees"]

WIDTHS, PAIRS = (0.25, 1.0, 4.0), ((0, 1), (0, 2), (1, 2))
_DENSE = 500  # nodes up to which all eigenvectors are computed
_UPDATES = 100  # of hidden degrees, at most

_Numbers = NDArray[np.float64]


def expected_degrees(out: _Numbers, into: _Numbers, scale: float, beta: float) -> _Numbers:
    """Return the expected degree of a node with each hidden degree, over uniform angles, (n,).

    Args:
        out: hidden degrees (n,).
        into: those of the nodes that links go to, (N,), among which the node is itself.
        scale: mu / R.
        beta: that of the model.

    """
    kinds, counts = np.unique(into, return_counts=True)
    classes, of = np.unique(out, return_inverse=True)
    p = mean_connection(scale * classes[:, None] * kinds, beta) @ counts
    found: _Numbers = (p * (1 - 1 / len(into)))[of]
    return found


def with_hidden_degrees(graph: Graph, theta: Tensor, likelihood: PairLikelihood, beta: float) -> S1Coordinates:
    """Return coordinates with hidden degrees whose expected degrees over uniform angles are those of a network.

    A node without links, or with all of them, is taken to have half a link more or less; in-degrees are scaled so that
    there are as many links out as in.
    """
    n, at = graph.nodes, torch.tensor(beta, dtype=torch.float64)
    mu = likelihood.mu(at).cpu()
    scale = float(mu) * 2 * math.pi / n
    degrees = [graph.degrees(), graph.in_degrees()]
    goals = [side.double().clamp(0.5, n - 1.5).numpy() for side in degrees]
    goals[1] *= goals[0].sum() / goals[1].sum()
    hidden = [goal.copy() for goal in goals]
    for _ in range(_UPDATES):
        found = [expected_degrees(own, other, scale, beta) for own, other in (hidden, hidden[::-1])]
        if max(np.abs(own / goal - 1).max() for own, goal in zip(found, goals, strict=True)) < 1e-3:
            break
        hidden = [side * (goal / own) ** 0.6 for side, goal, own in zip(hidden, goals, found, strict=True)]
    logs = [torch.from_numpy(side).log().to(theta.device) for side in hidden]
    return S1Coordinates(theta, logs[0], logs[1], at.to(theta.device), mu.to(theta.device))


def eigenmap_start(graph: Graph, likelihood: PairLikelihood, beta: float) -> S1Coordinates:
    """Return the first coordinates of a connected network of 3 nodes or more."""
    n, device = graph.nodes, likelihood.links.device
    at = with_hidden_degrees(graph, torch.zeros(n, dtype=torch.float64, device=device), likelihood, beta)
    i, j = graph.edges.T.numpy()
    reach = (float(at.mu) * 2 * math.pi / n) * np.exp(at.log_out.cpu().numpy()[i] + at.log_in.cpu().numpy()[j])
    square = (2 * np.sin(mean_separation(reach, beta) / 2)) ** 2
    starts, parts = [], graph.components().numpy()
    for width in WIDTHS:
        weights = np.exp(-square / (width * square.mean()))
        w = csr_array((np.concatenate([weights] * 2), (np.concatenate([i, j]), np.concatenate([j, i]))), shape=(n, n))
        for theta in _orders(w, parts):
            starts.append(S1Coordinates(theta.to(device), at.log_out, at.log_in, at.beta, at.mu))
    scores = [float(likelihood.log_likelihood(one)) for one in starts]
    return starts[int(np.argmax(scores))]


def _orders(w: csr_array, parts: NDArray[np.int64]) -> list[Tensor]:
    """Return angles (N,) by each pair of eigenvectors, the components beside each other, the largest first."""
    sizes = np.bincount(parts)
    found: list[list[NDArray[np.int64]]] = [[] for _ in PAIRS]
    for part in np.argsort(-sizes, kind="stable"):
        rows = np.flatnonzero(parts == part)
        vectors = _eigenvectors(w[rows][:, rows]) if len(rows) > 2 else np.zeros((len(rows), 2))
        for orders, pair in zip(found, PAIRS, strict=True):
            u, v = (vectors[:, min(column, vectors.shape[1] - 1)] for column in pair)
            orders.append(rows[np.argsort(np.arctan2(u, v), kind="stable")])
    ranks = [np.argsort(np.concatenate(orders)) for orders in found]
    return [torch.from_numpy(rank * (2 * math.pi / len(parts))) for rank in ranks]


def _eigenvectors(w: csr_array) -> _Numbers:
    """Return the eigenvectors of the three least eigenvalues above 0, or of as many as there are, (n, 3)."""
    scale = np.asarray(w.sum(1)) ** -0.5
    normalised = diags_array(scale) @ w @ diags_array(scale)
    if len(scale) <= _DENSE:
        vectors = np.linalg.eigh(normalised.toarray())[1]
    else:
        values, vectors = eigsh(normalised, k=4, which="LA", v0=1 / scale, tol=1e-8)
        vectors = vectors[:, np.argsort(values)]
    found: _Numbers = vectors[:, -4:-1][:, ::-1] * scale[:, None]
    return found
