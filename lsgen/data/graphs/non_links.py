r"""Pairs of nodes without a link, drawn to be told from links.

    uniform             P(i, j) = const
    degree-corrected    P(i, j) ~ k_i k_j        (directed: out-degree of i times in-degree of j)

over all pairs of two nodes that are not linked, without drawing one twice. Ends of links are reached like k, so that
among uniform pairs the degrees alone tell links from non-links; among degree-corrected ones they do not.

Reference: Aiyappa et al., "Implicit degree bias in the link prediction task" (2024), https://arxiv.org/abs/2405.14985.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.latent.graphs import Graph

__all__ = ["draw_non_links"]

FEW = 2**22  # pairs that are listed rather than drawn and refused
ROUNDS = 200


def draw_non_links(graph: Graph, number: int, by_degree: bool, rng: np.random.Generator) -> Tensor:
    """Return different pairs of nodes that are not linked, int64 (M, 2); the smaller number first where undirected.

    Args:
        graph: all links.
        number: of pairs M.
        by_degree: whether they are degree-corrected, else uniform.
        rng: draws.

    Raises:
        ValueError: there are fewer pairs that are not linked.

    """
    out, into = (degrees.numpy().astype(np.float64) for degrees in (graph.degrees(), graph.in_degrees()))
    if not by_degree:
        out, into = np.ones(graph.nodes), np.ones(graph.nodes)
    listed = graph.nodes**2 <= FEW
    codes = (_listed if listed else _refused)(graph, number, out, into, rng)
    if len(codes) < number:
        kind = " of nodes with links" if by_degree else ""
        raise ValueError(
            f"expected {number} pairs{kind} without a link to tell from held-out links, got {len(codes)} in {graph}: "
            "lower data.split.negatives, data.split.val_size or data.split.test_size"
        )
    return torch.from_numpy(np.stack([codes // graph.nodes, codes % graph.nodes], 1))


def _listed(
    graph: Graph, number: int, out: NDArray[np.float64], into: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw from the list of all pairs, one after another without replacement: by the largest of Gumbel numbers."""
    with np.errstate(divide="ignore"):
        scores = np.log(out)[:, None] + np.log(into)
    if graph.directed:
        np.fill_diagonal(scores, -np.inf)
    else:
        scores[np.tri(graph.nodes, dtype=bool)] = -np.inf
    scores[tuple(graph.edges.numpy().T)] = -np.inf
    scores = scores.reshape(-1)
    codes = np.flatnonzero(scores > -np.inf)
    if len(codes) <= number:
        return rng.permutation(codes)
    order = np.argsort(-(scores[codes] + rng.gumbel(size=len(codes))), kind="stable")
    return codes[order[:number]]


def _refused(
    graph: Graph, number: int, out: NDArray[np.float64], into: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw pairs of nodes and refuse links, loops and pairs drawn before."""
    ends = [degrees.cumsum() / degrees.sum() for degrees in (out, into)]
    found = np.zeros(0, np.int64)
    for _ in range(ROUNDS):
        pairs = np.stack([np.searchsorted(end, rng.random(2 * number + 16), "right") for end in ends], 1)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        pairs = pairs if graph.directed else np.sort(pairs, 1)
        pairs = pairs[~graph.has(torch.from_numpy(pairs)).numpy()]
        codes = np.concatenate([found, pairs[:, 0] * graph.nodes + pairs[:, 1]])
        found = codes[np.sort(np.unique(codes, return_index=True)[1])]
        if len(found) >= number:
            break
    return found[:number]
