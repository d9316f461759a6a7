r"""The Laplace-Beltrami operator on a graph of codes, corrected for the density from which they were drawn.

Codes z_i are draws from any density p on a manifold of d dimensions, d_ij their distances under the metric. With the
kernel of widths h_ij = sqrt(h_i h_j), cut off at d_ij^2 = 4 c h_ij^2, c = 3,

    k_ij = exp(-d_ij^2 / 4 h_ij^2) / (4 pi h_ij^2)^(d/2) / P(d/2, c),        q_i = sum_{j != i} k_ij  ~  n p(z_i)
    w_ij = k_ij / (q_i q_j),                                             M_ii = sum_j w_ij  ~  1 / (n p(z_i))
    s_ij = w_ij / (r h_ij^2),                                            S = diag(sum_j s_ij) - s

Division by q_i q_j takes the density out (Coifman and Lafon's alpha = 1): w_ij sums over draws to an integral over
volume, M_ii is the volume of the node, and u^T S u ~ (1/2) int int k (u - u')^2 / h^2 ~ int |grad u|^2. P is the
regularised incomplete gamma function, and r = P(d/2 + 1, c) / P(d/2, c) what the cut leaves of the second moment. A
code does not count itself: its own kernel would add to q_i what no independent draw does.

Without a given bandwidth h_i = r_i / (2 sqrt c), with r_i the distance from code i to its k-th neighbour, so that the
kernel reaches over k codes wherever they are dense or sparse. A given bandwidth is h_i for all codes. Neighbours under
a metric are those by (z_i - z_j)^T (g_i + g_j) (z_i - z_j) / 2, exactly; the lengths of edges are then measured.

Eigenvalues of smooth functions err by O(h^2) and by the draws: for 10^4 draws on the unit sphere, of a density that
varies by 9, averages over the multiplets l <= 4 by up to 0.9 %, and their single eigenvalues by up to 6 %. In two
dimensions finite elements on the triangulation of the codes (`delaunay_mesh`) do not have the second error.

Reference: Coifman & Lafon, "Diffusion maps" (2006), https://doi.org/10.1016/j.acha.2006.04.006, section 3; Zelnik-Manor
& Perona, "Self-tuning spectral clustering" (2004), for local widths; Berry & Harlim, "Variable bandwidth diffusion
kernels" (2016), https://doi.org/10.1016/j.acha.2015.01.001.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array, diags_array
from scipy.special import gammainc
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.geodesics.arc_length import polygon_length
from lsgen.geometry.laplacian.operator import LaplaceBeltrami
from lsgen.geometry.metric_tensor import metric, spectrum
from lsgen.geometry.riemannian import RiemannianMetric, check_metric
from lsgen.latent import paths
from lsgen.latent.neighbours import NeighbourGraph

__all__ = ["graph_laplacian", "neighbour_laplacian"]

log = logging.getLogger(__name__)
CUT, ON_CUT, SPARE, ENTRIES = 3.0, 1e-6, 8, 2**22


def graph_laplacian(
    im: RiemannianMetric,
    codes: Tensor,
    neighbours: int = 64,
    *,
    bandwidth: float | None = None,
    samples: int = 2,
    chunk_size: int | None = None,
) -> LaplaceBeltrami:
    r"""Return the Laplace-Beltrami operator of a metric on a graph of codes, in any latent dimension.

        S = diag(sum_j s_ij) - s,    s_ij = k_ij / (q_i q_j r h_ij^2),    M_ii = sum_j k_ij / (q_i q_j)

    Args:
        im: the immersion, or the metric itself.
        codes: independent draws (n, d) from any density, such as the encoded training set.
        neighbours: number k of neighbours of each code.
        bandwidth: width h of the kernel exp(-dist^2 / 4 h^2), in length; of each code's own, by its k neighbours, where
            it is not given.
        samples: number of segments that measure an edge; 0 takes the metric at both its ends alone, which costs n
            metrics and no more of the map.
        chunk_size: number of codes whose derivatives are taken at once.

    Returns:
        The operator, whose nodes are the codes; see `neighbour_laplacian`.

    Raises:
        TypeError, ValueError: see `metric` and `neighbour_laplacian`; also for codes of another shape, as many
            neighbours as codes, or a metric that is not of full rank at every code.

    """
    check_metric(im)
    z = check_codes(im.fn, im.dim, codes).detach()
    if codes.ndim != 2:
        raise ValueError(f"expected codes (n, {im.dim}), got {tuple(codes.shape)}")
    if isinstance(neighbours, bool) or not isinstance(neighbours, int):
        raise TypeError(f"expected a whole number of neighbours, got {neighbours!r}")
    if not 1 <= neighbours < len(z):
        raise ValueError(f"expected from 1 to {len(z) - 1} neighbours among {len(z)} codes, got {neighbours}")
    if samples < 0:
        raise ValueError(f"expected at least 0 samples, got {samples}")
    with torch.no_grad():
        g = _full_metric(im, z, chunk_size)
        near = _nearest(z.double(), g, neighbours)
        here = torch.arange(len(z), device=z.device)[:, None].expand_as(near)
        names = torch.unique(torch.minimum(here, near) * len(z) + torch.maximum(here, near))
        edges = torch.stack([names // len(z), names % len(z)], 1)
        graph = NeighbourGraph(len(z), edges, _lengths(im, z, g, edges, samples))
    return neighbour_laplacian(graph, im.dim, neighbours, bandwidth=bandwidth)


def neighbour_laplacian(
    graph: NeighbourGraph, dim: int, neighbours: int, *, bandwidth: float | None = None
) -> LaplaceBeltrami:
    """Return the Laplace-Beltrami operator on a graph of nearest neighbours with any lengths of its edges.

    Args:
        graph: joins every code to its k nearest neighbours, see `lsgen.latent.neighbours.neighbour_graph`, whose
            `distance` knows codes on spheres, hyperbolic spaces and products.
        dim: dimension d of the manifold.
        neighbours: that number k.
        bandwidth: see `graph_laplacian`.

    Returns:
        The operator, whose nodes are the codes. Codes that the kernel joins to no other are not free: NaN there. A
        warning says how many they are, and of how many components the graph is, if of more than one.

    Raises:
        ValueError: dim or neighbours are not positive, a code has fewer neighbours, all of them at distance 0 or
            without a length, or bandwidth is not positive or exceeds the reach of the neighbours of a code.

    """
    if dim < 1 or neighbours < 1 or (bandwidth is not None and not 0 < bandwidth < float("inf")):
        raise ValueError(
            f"expected a positive dimension, number of neighbours and bandwidth, got {dim}, {neighbours}, {bandwidth}"
        )
    low, high = graph.edges.cpu().numpy().T
    square = graph.lengths.detach().double().cpu().numpy() ** 2
    h2 = _widths(low, high, square, graph.nodes, neighbours, bandwidth)
    return _operator(low, high, square, h2, dim, graph.lengths.device)


def _full_metric(im: RiemannianMetric, z: Tensor, chunk_size: int | None) -> Tensor:
    """Return g (n, d, d) in float64, or refuse one that is not finite or not of full rank."""
    g = metric(im, z, chunk_size).double()
    bad = int((~torch.isfinite(g).flatten(1).all(-1)).sum())
    if bad:
        raise ValueError(f"expected a finite metric, got one that is not at {bad} of {len(z)} codes")
    least = spectrum(im, z, chunk_size).rank
    if bool((least < im.dim).any()):
        raise ValueError(
            f"expected a metric of full rank {im.dim}, got rank {int(least.min())} at {int((least < im.dim).sum())} of "
            f"{len(z)} codes: restrict the metric to the axes that the decoder uses"
        )
    return g


def _nearest(z: Tensor, g: Tensor, k: int) -> Tensor:
    """Return the k nearest others of each code (n, k) by the average of the metrics at both."""
    n, z = len(z), z - z.mean(0)
    turned = torch.einsum("nij,nj->ni", g, z)
    form = torch.cat([g.flatten(1), -2 * turned, (turned * z).sum(-1, keepdim=True)], 1)
    powers = torch.cat([(z[:, :, None] * z[:, None]).flatten(1), z, torch.ones_like(z[:, :1])], 1)
    left, right = torch.cat([form, powers], 1), torch.cat([powers, form], 1).T
    made = []
    for rows in torch.arange(n, device=z.device).split(max(1, ENTRIES // n)):
        twice = left[rows] @ right
        twice[torch.arange(len(rows), device=z.device), rows] = torch.inf
        some = twice.topk(min(k + SPARE, n - 1), largest=False).indices
        step = z[rows][:, None] - z[some]
        exact = torch.einsum("nki,nkij,nkj->nk", step, g[rows][:, None] + g[some], step)
        made.append(some.gather(1, exact.topk(k, largest=False).indices))
    return torch.cat(made)


def _lengths(im: RiemannianMetric, z: Tensor, g: Tensor, edges: Tensor, samples: int) -> Tensor:
    """Return the lengths (e,) of edges in float64."""
    low, high = edges.unbind(1)
    if not samples:
        step = (z[low] - z[high]).double()
        return torch.einsum("ei,eij,ej->e", step, (g[low] + g[high]) / 2, step).sqrt()
    pieces = zip(low.split(1024), high.split(1024), strict=True)
    return torch.cat([polygon_length(im, paths.linear(z[a], z[b], samples + 1)).double() for a, b in pieces])


def _widths(low: Any, high: Any, square: Any, n: int, k: int, bandwidth: float | None) -> Any:
    """Return h_i^2 (n,) from the squared lengths of edges, or refuse them."""
    node, size = np.concatenate([low, high]), np.concatenate([square, square])
    order = np.lexsort((size, node))
    count = np.bincount(node, minlength=n)
    if count.min() < k:
        raise ValueError(f"expected a graph of {k} neighbours of each code, got one with {count.min()} of some code")
    reach = size[order][np.cumsum(count) - count + k - 1]
    sound = np.isfinite(reach) & (reach > 0)
    if not sound.all():
        raise ValueError(
            f"expected neighbours at positive, finite distances, got {(~sound).sum()} of {n} codes with all {k} of "
            "them at distance 0, or some without a length"
        )
    own: Any = reach / (4 * CUT)
    if bandwidth is None:
        return own
    short = int((own < bandwidth**2).sum())
    if short:
        raise ValueError(
            f"expected a bandwidth of at most {own.min() ** 0.5:.4g}, whose kernel the neighbours of each code hold, "
            f"got {bandwidth:.4g}, which exceeds it at {short} of {n} codes: take more neighbours"
        )
    return np.full_like(own, bandwidth**2)


def _operator(low: Any, high: Any, square: Any, h2: Any, dim: int, device: torch.device) -> LaplaceBeltrami:
    """Return the operator from edges with their squared lengths and the squared widths of codes."""
    n, width = len(h2), np.sqrt(h2[low] * h2[high])
    # Codes that are the last neighbours of each other lie on the cut, which rounding must not decide.
    keep = square <= (1 + ON_CUT) * 4 * CUT * width
    low, high, square, width = (x[keep] for x in (low, high, square, width))
    share = float(gammainc(dim / 2, CUT))
    ratio = float(gammainc(dim / 2 + 1, CUT)) / share
    kernel = np.exp(-square / (4 * width) - dim / 2 * np.log(4 * np.pi * width)) / share

    def symmetric(values: Any) -> Any:
        half = coo_array((values, (low, high)), shape=(n, n))
        return (half + half.T).tocsr()

    q = np.asarray(symmetric(kernel).sum(1)).ravel()
    free = q > 0
    w = kernel / (q[low] * q[high])
    mass = np.asarray(symmetric(w).sum(1)).ravel()
    s = symmetric(w / (ratio * width))
    s = (diags_array(np.asarray(s.sum(1)).ravel()) - s).tocsr()[free][:, free]
    nothing = np.zeros(int(free.sum()), dtype=bool)
    made = LaplaceBeltrami(s, diags_array(mass[free]).tocsr(), free, np.nan, nothing, 1.0, ratio * h2[free], device)
    if not free.all():
        log.warning("%d of %d codes have no neighbour within the reach of the kernel: NaN there", (~free).sum(), n)
    if made.components > 1:
        log.warning("the graph of codes has %d connected components, each with eigenvalue 0", made.components)
    return made
