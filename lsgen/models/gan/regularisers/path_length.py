r"""The path-length regulariser: a code moved by a unit step should change the image by the same amount everywhere.

    E (l - a)^2,   l^2 = 1/L sum_l |J_l^T y|^2,  y ~ N(0, I)/sqrt(pixels),  a the running mean of l,
    J_l = dG/dw_l for the style w_l of each of L layers; without styles, L = 1 and J = dG/dz

Reference: Karras et al. (2020), https://arxiv.org/abs/1912.04958, section 3.
"""

from __future__ import annotations

from math import prod, sqrt

import torch
from torch import Tensor, nn

from lsgen.models.gan.regularisers.base import GeneratorRegulariser
from lsgen.nn.adversarial.stylegan import StyleGenerator

__all__ = ["PathLength", "path_lengths"]


def path_lengths(x: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Return |J^T y| for every code, (N,), with J = dx/dz, differentiable in what x depends on.

    Args:
        x: observations (N, *shape), made from z.
        z: codes (N, d), or styles (N, L, d) of L layers, over which the root mean square is taken.
        y: directions in data space, (N, *shape).

    """
    (pulled,) = torch.autograd.grad((x * y).sum(), z, create_graph=True)
    layers = z.shape[1] if z.ndim == 3 else 1
    return torch.linalg.vector_norm(pulled.flatten(1), dim=1) / sqrt(layers)


class PathLength(GeneratorRegulariser):
    """The path-length regulariser of StyleGAN2: |J^T y| should not depend on the code.

    The codes are the styles of all L layers where the generator is a `StyleGenerator`, mixed as in training, else z.
    The root mean square over layers makes a weight of 2 the paper's gamma = ln 2 / (r^2 (ln r - ln 2)) = 2 / (r^2 L),
    for images of r x r pixels and L = 2 log2(r) - 2 layers. Unlike in the authors' code, the penalty takes the whole
    batch, not half of it.

    Args:
        weight: factor, 2 in the paper's configuration.
        decay: how fast the running mean a follows the batch mean.
        every: see `Regulariser`; 4 in the paper.

    """

    mean: Tensor

    def __init__(self, weight: float = 2.0, decay: float = 0.01, every: int = 4) -> None:
        super().__init__(weight, every)
        if not 0 < decay <= 1:
            raise ValueError(f"expected a decay in (0, 1], got {decay}")
        self.decay = float(decay)
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, generator: nn.Module, z: Tensor, fake: Tensor) -> Tensor:
        """Return E (|J^T y| - a)^2 and move the running mean a."""
        if isinstance(generator, StyleGenerator):
            code = generator.layer_styles(z)
            x = generator.synthesis(code)
        else:
            code = z.detach().requires_grad_(True)
            x = generator(code)
        lengths = path_lengths(x, code, torch.randn_like(x) / sqrt(prod(x.shape[2:])))
        self.mean.lerp_(lengths.detach().mean(), self.decay)
        return (lengths - self.mean).square().mean()
