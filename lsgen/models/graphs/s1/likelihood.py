r"""The log-likelihood of a network in the S1 model, and its derivatives.

    log L = sum_(i, j) [ a_ij log p_ij + (1 - a_ij) log(1 - p_ij) ],    p_ij = s(h_ij),
    h_ij = -beta ( log Delta_ij + log(R / mu) - log kappa_i - log kappa'_j )

over unordered pairs of different nodes, or over ordered ones where links have directions; with e_ij = a_ij - p_ij,

    d/d log kappa_i  =  beta sum_j e_ij,    d/d theta_i  =  -beta sum_j e_ij sign_ij / Delta_ij,
    d/d beta         =  sum_(i, j) e_ij ( h_ij / beta + beta d log mu / d beta ),
    d log mu / d beta = 1/beta - pi/beta^2 cot(pi/beta),

where sign_ij is the sign of the change of Delta_ij as theta_i grows. Hidden degrees are therefore most likely where
every expected degree is the observed one, which no hidden degree reaches for a node without links in a direction, or
with all of them. Such a node adds (log kappa_i)/2, or the negative of it, to what is maximised: its expected degree is
then off by 1/(2 beta). Where links have directions, the mean of the logs of the other kind of hidden degrees is added
to log kappa_i, as the likelihood leaves open how large one kind is at the cost of the other.

All N^2 pairs are looked at, a block of rows at a time; memory grows with N alone but for the dense links of a block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lsgen.latent.graphs import Graph, S1Coordinates
from lsgen.latent.graphs.circle import degree_factor

__all__ = ["Gradients", "PairLikelihood"]

_PAIRS = 2**18  # that are looked at together


@dataclass(frozen=True, eq=False)
class Gradients:
    """Log-likelihood () and its derivatives.

    Attributes:
        value: what is maximised: log L and the terms of nodes without links in a direction or with all of them, ().
        theta: derivatives with respect to angles, (N,).
        log_out: with respect to the logs of hidden out-degrees, or of hidden degrees, (N,).
        log_in: with respect to the logs of hidden in-degrees, (N,); zeros where links have no directions.
        beta: with respect to beta, mu following from it, ().

    """

    value: Tensor
    theta: Tensor
    log_out: Tensor
    log_in: Tensor
    beta: Tensor


class PairLikelihood:
    """The log-likelihood of one network.

    Args:
        graph: the network, whose weights do not matter.
        device: where to compute.

    Attributes:
        links: whether there is a link from each node to each, bool (N, N).
        directed: whether links have directions.
        mean_degree: <k>.
        out_sides: what log kappa_i is multiplied by and added to the log-likelihood, (N,).
        in_sides: the same of hidden in-degrees, (N,).

    """

    def __init__(self, graph: Graph, device: torch.device | None = None) -> None:
        i, j = graph.edges.to(device).unbind(1)
        self.links = torch.zeros(graph.nodes, graph.nodes, dtype=torch.bool, device=device)
        self.links[i, j] = True
        self.directed = graph.directed
        if not graph.directed:
            self.links[j, i] = True
        self.mean_degree = float(self.links.sum()) / graph.nodes
        out, into = _side(self.links.sum(1)), _side(self.links.sum(0))
        shared = graph.directed / graph.nodes
        self.out_sides, self.in_sides = out + shared * into.sum(), into + shared * out.sum()

    def mu(self, beta: Tensor) -> Tensor:
        """Return mu of a beta, ()."""
        return degree_factor(beta, self.mean_degree)

    def log_likelihood(self, at: S1Coordinates) -> Tensor:
        """Return log L, ()."""
        total = at.theta.new_zeros(())
        for rows in self._blocks():
            h, _, _ = self._logits(at, rows)
            total = total + torch.where(self.links[rows], h, 0.0).sum() - softplus(h).sum()
        return total if self.directed else total / 2

    def gradients(self, at: S1Coordinates) -> Gradients:
        """Return what is maximised with its derivatives."""
        beta, n = at.beta, at.nodes
        slope = 1 / beta - math.pi / beta**2 / torch.tan(math.pi / beta)
        total, of_beta, inward = (at.theta.new_zeros(shape) for shape in ((), (), (n,)))
        outward, turning, turned = (at.theta.new_zeros(n) for _ in range(3))
        for rows in self._blocks():
            h, delta, sign = self._logits(at, rows)
            linked = self.links[rows].to(h)
            e = torch.where(h > -math.inf, linked - h.sigmoid(), 0.0)
            some = torch.where(h > -math.inf, h, 0.0)
            total += (linked * some).sum() - softplus(h).sum()
            of_beta += (e * (some / beta + beta * slope)).sum()
            pull = e * sign / delta
            outward[rows] = e.sum(1)
            turning[rows] = pull.sum(1)
            inward += e.sum(0)
            turned += pull.sum(0)
        out, into = at.log_out @ self.out_sides, at.log_in @ self.in_sides
        if self.directed:
            return Gradients(total + out + into, -beta * (turning - turned), beta * outward + self.out_sides,
                             beta * inward + self.in_sides, of_beta)  # fmt: skip
        return Gradients(total / 2 + out, -beta * turning, beta * outward + self.out_sides,
                         torch.zeros_like(outward), of_beta / 2)  # fmt: skip

    def with_beta(self, at: S1Coordinates, beta: Tensor) -> S1Coordinates:
        """Return the same coordinates with another beta, and the mu that follows."""
        return replace(at, beta=beta, mu=self.mu(beta))

    def _blocks(self) -> list[Tensor]:
        n = len(self.links)
        return list(torch.arange(n, device=self.links.device).split(max(1, _PAIRS // n)))

    def _logits(self, at: S1Coordinates, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return h (b, N), -inf of loops, Delta (b, N), 1 there and above 0, and its change with the angle of a row."""
        difference = torch.remainder(at.theta[rows, None] - at.theta + math.pi, 2 * math.pi) - math.pi
        same = torch.zeros_like(difference, dtype=torch.bool)
        same[torch.arange(len(rows), device=rows.device), rows] = True
        delta = difference.abs().clamp(min=torch.finfo(difference.dtype).tiny).masked_fill(same, 1.0)
        h = -at.beta * (delta.log() + at.log_scale - at.log_out[rows, None] - at.log_in)
        return h.masked_fill(same, -math.inf), delta, difference.sign()


def _side(degrees: Tensor) -> Tensor:
    """Return 1/2 for nodes without links, -1/2 for nodes with all, and 0 for others, float64 (N,)."""
    return (degrees == 0).double() / 2 - (degrees == len(degrees) - 1).double() / 2
