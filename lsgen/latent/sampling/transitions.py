r"""Markov moves of codes that leave a tempered posterior invariant, on whatever manifold the codes lie.

    f(z) = p(z) p(x|z)^b,    b between 0 (the prior) and 1 (the posterior),

with respect to the volume of the manifold. A move has two parts.

Where codes can move, Hamiltonian Monte Carlo along geodesics: v ~ N(0, g^-1) in the tangent space, then in turn a half
kick v <- v + (e/2) g^-1 grad log f, the geodesic flow for a time e, a half kick, and a proposal that is accepted with
probability min(1, exp(H - H')), H = -log f + |v|^2/2. The flow is exact (great circles, geodesics of the Poincare ball,
reflection at the walls of a cube), so no code leaves its manifold.

Where they are one of K values, as classes and the entries of a codebook are, a draw from the conditional of one group
of coordinates given all others, among all values or, where these are many, among the present one and a random set of
others. As the set is chosen without looking at f, the draw is reversible.

Reference: Byrne & Girolami, "Geodesic Monte Carlo on embedded manifolds" (2013), algorithm 1,
https://arxiv.org/abs/1301.6064; Liu, "Monte Carlo strategies in scientific computing" (2001), section 6.3.2, for the
conditional draws.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from lsgen.latent.densities import check_density
from lsgen.latent.manifolds.manifold import Choice
from lsgen.latent.space import LatentSpace

__all__ = ["TemperedPosterior", "Walkers", "candidates"]


class Walkers(NamedTuple):
    """Codes (C, B, d), and log p(x|z) of each (C, B)."""

    z: Tensor
    fit: Tensor


class TemperedPosterior:
    """The densities p(z) p(x|z)^b of observations (B, *shape), and moves that leave them invariant.

    Args:
        space: prior, decoder and likelihood.
        x: observations (B, *shape).

    Raises:
        TypeError: the prior has no density.

    """

    def __init__(self, space: LatentSpace, x: Tensor) -> None:
        check_density(space.prior)
        self.space, self.x, self.prior, self.manifold = space, x, space.prior(), space.manifold
        self.choices = self.manifold.choices

    @torch.no_grad()
    def at(self, z: Tensor) -> Walkers:
        """Return walkers at codes (C, B, d)."""
        return Walkers(z, self.space.decode(z).log_prob(self.x))

    def begin(self, walkers: int) -> Walkers:
        """Return C walkers of each observation, drawn from the prior."""
        return self.at(self.prior.sample(torch.Size((walkers, len(self.x)))))

    def move(self, walkers: Walkers, beta: Tensor, size: Tensor, steps: int) -> tuple[Walkers, Tensor]:
        """Return the walkers after a move that decodes each about `steps` times, and whether it was accepted, (C, B).

        Args:
            walkers: where they are.
            beta: the power b of the likelihood, ().
            size: length e of a step of Hamiltonian flow, (B,).
            steps: number of those steps; of candidates of the conditional draws.

        Returns:
            The walkers, and 1 where the Hamiltonian proposal was accepted, else 0; for codes that cannot move
            continuously, 1 where any group of coordinates has changed.

        """
        before = walkers.z
        accepted = torch.ones_like(walkers.fit)
        if self.manifold.continuous:
            walkers, accepted = self._flow(walkers, beta, size, steps)
        if self.choices:
            walkers = self._choose(walkers, beta, steps)
        if not self.manifold.continuous:
            accepted = (walkers.z != before).any(-1).to(accepted)
        return walkers, accepted

    def _force(self, z: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log f (C, B), log p(x|z) (C, B) and the coordinate derivatives of log f (C, B, d)."""
        with torch.enable_grad():
            at = z.detach().requires_grad_()
            fit = self.space.decode(at).log_prob(self.x)
            value = self.prior.log_prob(at) + beta * fit
            (gradient,) = torch.autograd.grad(value.sum(), at)
        return value.detach(), fit.detach(), gradient

    @torch.no_grad()
    def _flow(self, walkers: Walkers, beta: Tensor, size: Tensor, steps: int) -> tuple[Walkers, Tensor]:
        """Propose by Hamiltonian flow; proposals that are not finite are rejected."""
        m, z, step = self.manifold, walkers.z, size.unsqueeze(-1)
        v = m.tangent(z, torch.randn_like(z)) / m.conformal_factor(z)
        value, fit, gradient = self._force(z, beta)
        before, there = value - self._kinetic(z, v), z
        for _ in range(steps):
            v = v + step / 2 * self._raised(there, gradient)
            there, v = m.flow(there, step * v)
            value, fit, gradient = self._force(there, beta)
            v = v / step + step / 2 * self._raised(there, gradient)
        accept = torch.rand_like(value).log() < value - self._kinetic(there, v) - before
        moved = Walkers(torch.where(accept.unsqueeze(-1), there, z), torch.where(accept, fit, walkers.fit))
        return moved, accept.to(z)

    def _raised(self, z: Tensor, gradient: Tensor) -> Tensor:
        return self.manifold.tangent(z, gradient) / self.manifold.conformal_factor(z).square()

    def _kinetic(self, z: Tensor, v: Tensor) -> Tensor:
        return vector_norm(self.manifold.conformal_factor(z) * v, dim=-1).square() / 2

    @torch.no_grad()
    def _choose(self, walkers: Walkers, beta: Tensor, steps: int) -> Walkers:
        """Draw from conditionals of random groups of coordinates."""
        spent = 0
        while spent < steps:
            choice = self.choices[int(torch.randint(len(self.choices), ()))]
            codes = candidates(walkers.z, choice, steps)
            fit = self.space.decode(codes).log_prob(self.x)
            logits = self.prior.log_prob(codes) + beta * fit
            chosen = torch.distributions.Categorical(logits=logits.movedim(0, -1)).sample().unsqueeze(0)
            z = codes.gather(0, chosen.unsqueeze(-1).expand(1, *walkers.z.shape)).squeeze(0)
            walkers = Walkers(z, fit.gather(0, chosen).squeeze(0))
            spent += max(len(codes) - 1, 1)
        return walkers


def candidates(z: Tensor, choice: Choice, most: int) -> Tensor:
    """Return codes (M, B, d) that differ from z (B, d) in one group of coordinates at most; the first is z itself.

    M - 1 = min(K - 1, most) other values, a random set for each code where they are not all.
    """
    values = choice.values.to(z)
    k, w = values.shape
    group = z[..., choice.start : choice.start + w]
    present = (values.square().sum(1) - 2 * group @ values.T).argmin(-1, keepdim=True)
    order = torch.rand(*z.shape[:-1], k, device=z.device).scatter(-1, present, 2.0)
    chosen = values[order.topk(1 + min(k - 1, most), -1).indices].movedim(-2, 0)
    before, after = z[..., : choice.start], z[..., choice.start + w :]
    others = [part.expand(len(chosen), *part.shape) for part in (before, after)]
    return torch.cat([others[0], chosen, others[1]], -1)
