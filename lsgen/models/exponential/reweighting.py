r"""Means at each node over the samples of all nodes, by the multistate acceptance ratio.

With p(x|t) = exp(<s(x), psi(t)> - log Z(t)) h(x) and samples x_n at nodes t_j, n_j of each, the likelihood of which
node a sample comes from has its maximum over b_j = log Z(t_j) where

    n_j = sum_n n_j exp(<s(x_n), psi(t_j)> - b_j) / D(x_n),    D(x) = sum_k n_k exp(<s(x), psi(t_k)> - b_k)

and everything else follows, at any t, from all samples weighted by 1/D:

    log Z(t) = log sum_n exp(<s(x_n), psi(t)>) / D(x_n)
    E_t[s]   = sum_n s(x_n) exp(<s(x_n), psi(t)> - log Z(t)) / D(x_n)

so that E_t[s] is the derivative of log Z. With s known and h unknown, that has the least variance asymptotically.

Reference: Vardi, "Empirical distributions in selection bias models" (1985); Shirts & Chodera, "Statistically optimal
analysis of samples from multiple equilibrium states" (2008), https://arxiv.org/abs/0801.1426, equations 11 and 14.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Reweighting"]

_CHUNK = 2**19  # numbers at a time


class Reweighting:
    """Samples of all nodes, weighted so that they are of any parameters.

    Args:
        s: statistics of the samples, (N, r).
        psi: what they are multiplied by at the nodes, (G, r).
        counts: numbers of samples at the nodes, (G,).
        start: log Z at the nodes, (G,), about.
        steps: of L-BFGS, which is well conditioned where nodes overlap.

    """

    def __init__(self, s: Tensor, psi: Tensor, counts: Tensor, start: Tensor, steps: int = 12) -> None:
        self.s, root = s.double(), counts.double().sqrt()
        self._psi, self._log_counts, self._log_d = psi.double(), counts.double().log(), torch.empty(0)
        b = (start.double() * root).detach().clone()
        optimiser = torch.optim.LBFGS([b], max_iter=steps, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            loss, b.grad = self._likelihood(b / root)
            b.grad = (b.grad + counts) / root
            return loss + (b * root).sum()

        optimiser.step(closure)
        b = b / root
        self._log_d = torch.cat([self._logits(part, b).logsumexp(1) for part in self._parts(len(psi))])

    def _parts(self, columns: int) -> tuple[Tensor, ...]:
        return self.s.split(max(1, _CHUNK // columns))

    def _logits(self, s: Tensor, b: Tensor) -> Tensor:
        return s @ self._psi.T + (self._log_counts - b)

    def _likelihood(self, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return sum_n log D(x_n) and its derivatives (G,)."""
        loss, slope = torch.zeros((), dtype=torch.float64), torch.zeros_like(b)
        for part in self._parts(len(b)):
            logits = self._logits(part, b)
            log_d = logits.logsumexp(1)
            loss += log_d.sum()
            slope -= (logits - log_d[:, None]).exp_().sum(0)
        return loss, slope

    def __call__(self, psi: Tensor) -> tuple[Tensor, Tensor]:
        """Return log Z (M,) and the means of the statistics (M, r) at psi(t) (M, r)."""
        top = torch.full((len(psi),), -torch.inf, dtype=torch.float64)
        total, moments = torch.zeros_like(top), torch.zeros_like(psi)
        for s, log_d in zip(self._parts(len(psi)), self._log_d.split(max(1, _CHUNK // len(psi))), strict=True):
            logs = psi @ s.T - log_d
            above = torch.maximum(top, logs.amax(1))
            shrunk, weights = (top - above).exp(), (logs - above[:, None]).exp_()
            total, moments, top = total * shrunk + weights.sum(1), moments * shrunk[:, None] + weights @ s, above
        return total.log() + top, moments / total[:, None]
