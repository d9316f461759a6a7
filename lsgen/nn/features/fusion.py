r"""Networks that make one code of the features of several modalities.

    concatenation   MLP([f_1, ..., f_M])
    FiLM            x_0 = relu(conv1 [F, c]);    x_{l+1} = y_l + relu((1 + s_l(f)) norm(conv3 y_l) + t_l(f)),
                    y_l = relu(conv1 [x_l, c]);    MLP([mean over cells, max over cells](x_L))

where F is a grid of features, one vector a cell, c the coordinates of the cells in [-1, 1]^2, and f the features of all
other modalities, which scale and shift every channel of the grid (feature-wise linear modulation); s_l and t_l are
linear, and norm is batch normalisation. Coordinates let a cell know where it is; means count what maxima find.

Reference: Perez et al., "FiLM: visual reasoning with a general conditioning layer" (AAAI 2018),
https://arxiv.org/abs/1709.07871. Theirs takes maxima alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lsgen.nn.mlp import perceptron

__all__ = ["ConcatenationFusion", "FiLMFusion"]


class ConcatenationFusion(nn.Module):
    """Features (N, size) of modalities by name -> codes (N, dim), by a perceptron of all of them side by side.

    Args:
        features: number of features of each modality, by name.
        dim: dimension d of codes.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.

    Raises:
        ValueError: there is no modality.

    """

    def __init__(
        self,
        features: Mapping[str, int],
        dim: int,
        hidden: Sequence[int] = (256,),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        if not features:
            raise ValueError("expected the features of at least one modality, got none")
        self.features, self.dim = {name: int(size) for name, size in features.items()}, int(dim)
        self.layers = perceptron([sum(self.features.values()), *hidden, self.dim], activation)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return codes (N, dim)."""
        out: Tensor = self.layers(_side_by_side(features, self.features))
        return out


class FiLMFusion(nn.Module):
    """Features of modalities by name -> codes (N, dim): those of one are a grid, which all others modulate.

    Args:
        features: number of features of each modality, by name.
        dim: dimension d of codes.
        grid: the name of the modality whose features are a grid, cell by cell, row by row, such as those of
            `GridEncoder`.
        side: cells along a side of the grid.
        width: channels.
        blocks: residual blocks, each with a modulation of its own.
        hidden: width of the hidden layer after the grid.

    Raises:
        ValueError: the grid is no modality, its features are no multiple of the number of cells, or it is the only
            modality.

    """

    coordinates: Tensor

    def __init__(
        self,
        features: Mapping[str, int],
        dim: int,
        grid: str,
        side: int,
        width: int = 64,
        blocks: int = 2,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        if grid not in features or len(features) < 2:
            raise ValueError(f"expected a grid {grid!r} and another modality, got {', '.join(features) or 'none'}")
        if side < 1 or features[grid] % side**2:
            raise ValueError(f"expected features of {grid!r} on {side} x {side} cells, got {features[grid]}")
        self.grid, self.side, self.dim, self.width = grid, int(side), int(dim), int(width)
        self.features = {name: int(size) for name, size in features.items()}
        self.conditions = {name: size for name, size in self.features.items() if name != grid}
        axis = torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1)
        self.register_buffer("coordinates", torch.stack(torch.meshgrid(axis, axis, indexing="ij")), persistent=False)
        self.first = nn.Conv2d(self.features[grid] // side**2 + 2, width, 1)
        self.before = nn.ModuleList(nn.Conv2d(width + 2, width, 1) for _ in range(blocks))
        self.inside = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, affine=False) for _ in range(blocks))
        self.modulation = nn.Linear(sum(self.conditions.values()), 2 * blocks * width)
        self.last = perceptron([2 * width, hidden, self.dim], nn.ReLU)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return codes (N, dim)."""
        cells = features[self.grid].unflatten(1, (self.side, self.side, -1)).movedim(-1, 1)
        scales, shifts = self.modulation(_side_by_side(features, self.conditions)).chunk(2, 1)
        scales, shifts = (part.unflatten(1, (-1, self.width, 1, 1)).unbind(1) for part in (scales, shifts))
        x = relu(self.first(self._placed(cells)))
        for before, inside, norm, scale, shift in zip(
            self.before, self.inside, self.norms, scales, shifts, strict=True
        ):
            y = relu(before(self._placed(x)))
            x = y + relu(norm(inside(y)) * (1 + scale) + shift)
        out: Tensor = self.last(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))
        return out

    def _placed(self, x: Tensor) -> Tensor:
        """Return a grid with the coordinates of its cells as channels."""
        return torch.cat([x, self.coordinates.to(x.dtype).expand(len(x), -1, -1, -1)], 1)


def _side_by_side(features: Mapping[str, Tensor], sizes: Mapping[str, int]) -> Tensor:
    return torch.cat([features[name].flatten(1) for name in sizes], 1)
