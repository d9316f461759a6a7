r"""Noise that is paired with observations by optimal transport within a batch.

    P = argmin  sum_ij P_ij |x_i - eps_j|^2 - r H(P),    rows and columns of P sum to 1/B,

found by Sinkhorn's iteration in logarithms; observation i is given eps_j with probability B P_ij. On average over draws
the paired noise is that of the batch, so it stays standard normal, and paths x_i -> eps_j cross less than those of
independent pairs. The exact assignment (`scipy.optimize.linear_sum_assignment`) runs on the host, which training would
have to wait for at every step; the iteration stays on the device.

Reference: Tong et al., "Improving and generalizing flow-based generative models with minibatch optimal transport"
(2023), https://arxiv.org/abs/2302.00482; Cuturi, "Sinkhorn distances" (2013), https://arxiv.org/abs/1306.0895.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["log_transport_plan", "paired_noise"]


def log_transport_plan(cost: Tensor, regularisation: float = 0.02, iterations: int = 100) -> Tensor:
    """Return the logarithm of the entropic transport plan between two uniform distributions, (N, M).

    Args:
        cost: (N, M).
        regularisation: weight of the entropy, as a part of the mean cost.
        iterations: passes over rows and columns; columns are exact at the end, rows nearly.

    """
    logits = -cost / (regularisation * cost.mean()).clamp(min=torch.finfo(cost.dtype).tiny)
    for _ in range(iterations):
        logits = logits.log_softmax(1)
        logits = logits.log_softmax(0)
    return logits - torch.full((), cost.shape[1], dtype=cost.dtype, device=cost.device).log()


@torch.no_grad()
def paired_noise(x: Tensor, eps: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return noise (B, *shape), rows of eps (B, *shape) that an entropic transport plan pairs with x (B, *shape)."""
    flat, noise = x.flatten(1), eps.flatten(1)
    cost = flat.square().sum(1, keepdim=True) + noise.square().sum(1) - 2 * flat @ noise.T
    uniform = torch.rand(cost.shape, dtype=cost.dtype, device=cost.device, generator=generator)
    gumbel = -(-uniform.clamp(min=torch.finfo(cost.dtype).tiny).log()).log()
    return eps[(log_transport_plan(cost) + gumbel).argmax(1)]
