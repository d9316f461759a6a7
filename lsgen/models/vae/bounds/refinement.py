r"""Posteriors fitted to single observations, from what the encoder says of them.

    lambda_0 = encoder(x),    g_k = grad_lambda -L(x; lambda_k),  cut to length c,
    v_{k+1} = mu v_k - g_k,    lambda_{k+1} = lambda_k + alpha v_{k+1}

L is the evidence lower bound of the posterior with raw parameters lambda, by a new draw in every step. Steps of one
observation depend on no other. A step costs a pass of the decoder and its gradient; that it can be differentiated once
more costs about as much again.

Reference: Kim, Wiseman, Miller, Sontag & Rush, "Semi-amortized variational autoencoders" (2018), algorithm 1,
https://arxiv.org/abs/1802.02550.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.divergence import kl_terms
from lsgen.models.vae.objective import SampleTerms

__all__ = ["Refinement", "local_optimum", "terms_of"]


@dataclass(frozen=True)
class Refinement:
    """Steps of stochastic variational inference with momentum.

    Attributes:
        steps: K.
        step_size: alpha, of the gradient of one observation's bound in nats.
        momentum: mu, in [0, 1).
        max_norm: c, the greatest length of one observation's gradient; None for any.

    Raises:
        ValueError: a number is out of its range.

    """

    steps: int = 20
    step_size: float = 0.02
    momentum: float = 0.5
    max_norm: float | None = 5.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.steps < 1 or not self.step_size > 0 or not 0 <= self.momentum < 1:
            raise ValueError(
                "expected at least 1 step, step_size > 0 and momentum in [0, 1), "
                f"got {self.steps}, {self.step_size} and {self.momentum}"
            )
        if self.max_norm is not None and not self.max_norm > 0:
            raise ValueError(f"expected max_norm > 0, got {self.max_norm}")

    def __call__(self, space: EncodableLatentSpace, x: Tensor, raw: Tensor, create_graph: bool) -> Tensor:
        """Return lambda_K, (B, heads * d); gradients must be enabled.

        Args:
            space: posterior, prior, decoder and likelihood.
            x: observations (B, *shape).
            raw: lambda_0, (B, heads * d).
            create_graph: whether the result carries the gradient of the steps, else none at all.

        """
        raw = raw if create_graph and raw.requires_grad else raw.detach().requires_grad_()
        velocity = torch.zeros_like(raw)
        for _ in range(self.steps):
            loss = terms_of(space, x, raw)
            bound = (loss.reconstruction + loss.kl.sum(-1)).sum()
            (gradient,) = torch.autograd.grad(bound, raw, create_graph=create_graph)
            velocity = self.momentum * velocity - self._cut(gradient)
            raw = raw + self.step_size * velocity
            raw = raw if create_graph else raw.detach().requires_grad_()
        return raw

    def _cut(self, gradient: Tensor) -> Tensor:
        if self.max_norm is None:
            return gradient
        length = (gradient.square().sum(-1, keepdim=True) + 1e-24).sqrt()  # whose own gradient at zero is finite
        return gradient * (self.max_norm / length.clamp(min=self.max_norm))


def terms_of(space: EncodableLatentSpace, x: Tensor, raw: Tensor) -> SampleTerms:
    """Return the terms of the bound of observations (B, *shape) at one draw of the posterior of raw parameters."""
    q = space.posterior(raw)
    z, decoded = space.draw(q)
    return SampleTerms(q, z, -decoded.log_prob(x), kl_terms(q, space.prior(), z))


def local_optimum(space: EncodableLatentSpace, x: Tensor, steps: int, lr: float) -> Tensor:
    """Return the raw parameters (B, heads * d) of the best posterior of each observation, found by Adam.

    The learning rate falls linearly to zero, so that the noise of the draws dies out. Gradients must be enabled.

    Args:
        space: encoder, posterior, prior, decoder and likelihood.
        x: observations (B, *shape).
        steps: steps of Adam from what the encoder says.
        lr: learning rate of the first step.

    """
    raw = space.outputs(x).detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([raw], lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        terms = terms_of(space, x, raw)
        (raw.grad,) = torch.autograd.grad((terms.reconstruction + terms.kl.sum(-1)).sum(), raw)
        optimizer.step()
    return raw.detach()
