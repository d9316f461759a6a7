r"""The decoder of the S1 model: logits of links from points of the hyperbolic plane.

A code z of the Poincare disk has the angle atan2(z_2, z_1) and the hidden degree log kappa = C/2 - artanh |z|, and

    h(z, w) = -beta log( R Delta(z, w) / (mu kappa(z) kappa(w)) ) .

At the very code of a node its own logit is a constant beyond what a probability can show, and its derivatives are
multiplied by 0 in every Fisher information. See `lsgen.latent.graphs.circle`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lsgen.latent import PoincareBall
from lsgen.latent.graphs import S1Coordinates
from lsgen.latent.graphs.circle import degree_factor, disk_angle, disk_log_degree, disk_points, separation
from lsgen.models.graphs.decoders import LinkDecoder

__all__ = ["HiddenDegreeLinks"]

_START = 2.5, 10.0  # beta and the mean degree until a network is fitted


class HiddenDegreeLinks(LinkDecoder):
    """Logits -beta log(d / (mu kappa kappa')) of the angle and the hidden degrees of two points of the Poincare disk.

    Everything is in double precision, whatever that of the model: codes lie near the boundary.

    Args:
        nodes: number N of nodes.
        directed: whether links have directions: nodes have hidden in-degrees then, which the codes as targets of links
            have in place of their hidden out-degrees, at the same angle.

    Attributes:
        beta: how strongly links depend on distance, ().
        mu: what sets the mean degree, ().
        top: C/2, the log hidden degree at the origin, ().

    Raises:
        ValueError: see `LinkDecoder`.

    """

    beta: Tensor
    mu: Tensor
    top: Tensor

    def __init__(self, nodes: int, directed: bool = False) -> None:
        super().__init__(nodes, 2, PoincareBall(), contexts=directed)
        beta = torch.tensor(_START[0], dtype=torch.float64)
        self.register_buffer("beta", beta)
        self.register_buffer("mu", degree_factor(beta, _START[1]))
        self.register_buffer("top", self.log_scale + math.log(2))
        if self.contexts is not None:
            self.contexts = nn.Parameter(self.manifold.parametrised(self.contexts.detach().double()))

    @property
    def log_scale(self) -> Tensor:
        """log(R / mu), ()."""
        return math.log(self.nodes / (2 * math.pi)) - self.mu.log()

    def targets(self) -> Tensor:
        """Return the codes (N, 2) of all nodes as targets of links."""
        return super().targets() if self.contexts is None else self.contexts

    def pair(self, z: Tensor, w: Tensor) -> Tensor:
        """Return -beta log(d / (mu kappa kappa'))."""
        z, w = z.double(), w.double()
        delta = separation(disk_angle(z), disk_angle(w)).clamp(min=torch.finfo(torch.float64).tiny)
        log_kappas = disk_log_degree(z, self.top) + disk_log_degree(w, self.top)
        return -self.beta * (delta.log() + self.log_scale - log_kappas)

    def place(self, at: S1Coordinates) -> Tensor:
        """Take the parameters of a network in the S1 model, and return the codes (N, 2) of its nodes."""
        like = self.beta
        for name in ("beta", "mu", "top"):
            self.get_buffer(name).copy_(getattr(at, name))
        if self.contexts is not None:
            self.contexts.data.copy_(disk_points(at.theta.to(like), at.log_in.to(like), self.top))
        return disk_points(at.theta.to(like), at.log_out.to(like), self.top)

    def coordinates(self, codes: Tensor) -> S1Coordinates:
        """Return the coordinates in the S1 model that codes (N, 2) of the nodes have."""
        z, w = codes.double(), codes.double() if self.contexts is None else self.contexts
        log_out, log_in = disk_log_degree(z, self.top), disk_log_degree(w, self.top)
        theta = torch.remainder(disk_angle(z), 2 * math.pi)
        return S1Coordinates(*(x.detach().clone() for x in (theta, log_out, log_in, self.beta, self.mu)))
