r"""A multilayer perceptron that cleans noisy observations of any shape.

    h_{k+1} = act((1 + s_k(e)) (W_k h_k + b_k) + t_k(e)),    out = W h + b

with scales s_k and shifts t_k that are linear in the embedding e of noise level and class. W and b start at zero.
Every operation has a rule of Taylor expansion in `lsgen.geometry`, so that metric and curvature through many steps of
a sampler cost little more than the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from lsgen.nn.denoisers.conditioning import Conditioning, Features, checked_denoiser_inputs

__all__ = ["MLPDenoiser"]


class MLPDenoiser(nn.Module):
    """Noisy observations x (B, *shape), noise (B,) and labels (B,) -> (B, *shape).

    Args:
        shape: shape of one observation.
        classes: number of classes, 0 for none.
        hidden: widths of the hidden layers, at least one.
        embedding: size of the embedding of noise level and class, even.
        features: how the noise level is encoded, "sinusoidal" or "fourier".
        activation: constructor of the activation; a smooth one gives a smooth density.

    Raises:
        ValueError: there is no hidden layer, or the embedding is odd.

    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int = 0,
        hidden: Sequence[int] = (256, 256, 256),
        embedding: int = 64,
        features: Features = "sinusoidal",
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("expected at least one hidden layer, got none")
        self.shape, self.classes = tuple(shape), classes
        self.condition = Conditioning(embedding, classes, features)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([prod(shape), *hidden]))
        self.modulations = nn.ModuleList(nn.Linear(embedding, 2 * width) for width in hidden)
        self.activation = activation()
        self.last = nn.Linear(hidden[-1], prod(shape))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return one value for each of x (B, *shape); 0 before training.

        Raises:
            ValueError: shapes do not fit, or there are labels without classes.

        """
        checked_denoiser_inputs(self.shape, x, noise, label)
        condition, h = self.condition(noise, label), x.flatten(1)
        for layer, modulation in zip(self.layers, self.modulations, strict=True):
            scale, shift = modulation(condition).chunk(2, 1)
            h = self.activation(torch.addcmul(shift, layer(h), 1 + scale))
        out: Tensor = self.last(h)
        return out.unflatten(1, self.shape)
