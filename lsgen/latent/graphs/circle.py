r"""The S1 model of networks: nodes on a circle with hidden degrees, and the same nodes in the hyperbolic plane.

Node i has an angle theta_i and a hidden degree kappa_i. N nodes lie on a circle of radius R = N / (2 pi), one per unit
of length, and two of them are linked with the probability

    p_ij = 1 / (1 + (d_ij / (mu kappa_i kappa_j))^beta),    d_ij = R Delta_ij,    0 <= Delta_ij <= pi,
    mu = beta sin(pi/beta) / (2 pi <k>),    beta > 1,

so that the expected degree of a node tends to its hidden degree as N grows. The links of a directed network have the
product of the hidden out-degree of their source and the hidden in-degree of their target instead. At any N, with
A = mu kappa kappa' / R, averages over a uniform angle are

    mean of p          = F(1, 1/beta; 1 + 1/beta; -(pi/A)^beta),
    mean of p Delta    = pi/2 F(1, 2/beta; 1 + 2/beta; -(pi/A)^beta),    F = 2F1 .

The hyperbolic plane of curvature -1 has node i at the angle theta_i and the distance r_i = C - 2 log kappa_i from the
origin. As R Delta / (mu kappa kappa') = exp((x - X)/2) with

    x = r + r' + 2 log(Delta/2),    X = 2 C - 2 log(N / (pi mu)),

where x is the hyperbolic distance of the two but for terms that vanish far from the origin, this is the Fermi-Dirac
distribution 1 / (1 + exp(beta (x - X)/2)) of that distance. With C = 2 log(N / (pi mu)) - 2 log min kappa, X is the
radius R_hat of the node of the least hidden degree; a greater C describes the same network.

Reference: Serrano, Krioukov & Boguna, "Self-similarity of complex networks and hidden metric spaces" (2008); Krioukov
et al., "Hyperbolic geometry of complex networks" (2010); Garcia-Perez, Allard, Serrano & Boguna, "Mercator: uncovering
faithful hyperbolic embeddings of complex networks" (2019), https://arxiv.org/abs/1904.10814; for directed networks
Allard, Serrano & Boguna, "Geometric description of clustering in directed networks" (2024),
https://arxiv.org/abs/2302.09055. The averages over angles are our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "S1Coordinates",
    "degree_factor",
    "disk_angle",
    "disk_log_degree",
    "disk_points",
    "mean_connection",
    "mean_separation",
    "separation",
]


def degree_factor(beta: Tensor, mean_degree: float) -> Tensor:
    """Return mu, of the shape of beta.

    Args:
        beta: how strongly links depend on distance, above 1.
        mean_degree: <k>.

    """
    return beta * torch.sin(math.pi / beta) / (2 * math.pi * mean_degree)


def separation(theta: Tensor, other: Tensor) -> Tensor:
    """Return the angle between two angles, from 0 to pi, (B,)."""
    return math.pi - (math.pi - torch.remainder(theta - other, 2 * math.pi)).abs()


def mean_connection(reach: NDArray[Any], beta: float) -> NDArray[np.float64]:
    """Return the mean of p over a uniform angle, for A = mu kappa kappa' / R, (B,)."""
    from scipy.special import hyp2f1

    return np.asarray(hyp2f1(1, 1 / beta, 1 + 1 / beta, -((math.pi / reach) ** beta)), np.float64)


def mean_separation(reach: NDArray[Any], beta: float) -> NDArray[np.float64]:
    """Return the mean angle between two nodes that are linked, for A = mu kappa kappa' / R, (B,)."""
    from scipy.special import hyp2f1

    moment = math.pi / 2 * hyp2f1(1, 2 / beta, 1 + 2 / beta, -((math.pi / reach) ** beta))
    return np.asarray(moment / mean_connection(reach, beta), np.float64)


def disk_points(theta: Tensor, log_degree: Tensor, top: Tensor) -> Tensor:
    """Return the points (N, 2) of the Poincare disk, |z| = tanh(r/2) with r = 2 (top - log kappa).

    Args:
        theta: angles (N,).
        log_degree: log kappa (N,), below top.
        top: C/2, the log hidden degree at the origin.

    """
    return torch.tanh(top - log_degree)[:, None] * torch.stack([theta.cos(), theta.sin()], -1)


def disk_angle(z: Tensor) -> Tensor:
    """Return the angle of points (B, 2), from -pi to pi, (B,)."""
    return torch.atan2(z[..., 1], z[..., 0])


def disk_log_degree(z: Tensor, top: Tensor) -> Tensor:
    """Return log kappa = top - artanh |z| of points (B, 2), (B,)."""
    return top - torch.atanh(torch.linalg.vector_norm(z, dim=-1))


@final
@dataclass(frozen=True, eq=False)
class S1Coordinates:
    """The coordinates and parameters of a network in the S1 model, in float64.

    Attributes:
        theta: angles of the nodes, (N,).
        log_out: log of the hidden degrees, (N,); of the hidden out-degrees where links have a direction.
        log_in: log of the hidden in-degrees, (N,); the same as log_out where links have none.
        beta: how strongly links depend on distance, ().
        mu: what sets the mean degree, ().

    """

    theta: Tensor
    log_out: Tensor
    log_in: Tensor
    beta: Tensor
    mu: Tensor

    @property
    def nodes(self) -> int:
        """The number N of nodes."""
        return len(self.theta)

    @property
    def log_scale(self) -> Tensor:
        """log(R / mu), ()."""
        return math.log(self.nodes / (2 * math.pi)) - self.mu.log()

    @property
    def top(self) -> Tensor:
        """C/2, the log hidden degree at the origin of the disk, ().

        That which makes X the radius of the least hidden degree, unless the greatest would be less than 1 from the
        origin.
        """
        both = torch.cat([self.log_out, self.log_in])
        return torch.maximum(self.log_scale + math.log(2) - both.min(), both.max() + 0.5)

    def logits(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the logits -beta log(d / (mu kappa kappa')) of links between nodes, whole numbers (B,); no loops."""
        delta = separation(self.theta[source], self.theta[target])
        return -self.beta * (delta.log() + self.log_scale - self.log_out[source] - self.log_in[target])
