r"""Graph convolutions: what a layer makes of a node depends on the node and its neighbours.

    X <- activation( P X W ),    P = D^(-1/2) (A + I) D^(-1/2),    D = diag( (A + I) 1 )

for features X (N, F) of the nodes and the adjacency A (N, N) without weights. Without features X is the identity: a
node is told from others by its number alone, and W has a row for each.

Reference: Kipf & Welling, "Semi-supervised classification with graph convolutional networks" (2017), equation 2,
https://arxiv.org/abs/1609.02907.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array, eye_array
from torch import Tensor, nn
from torch.nn.functional import dropout, relu

__all__ = ["GraphEncoder", "SparseMatrix", "propagation"]


def propagation(adjacency: csr_array) -> csr_array:
    """Return P (N, N) of an adjacency (N, N), which is made symmetric and whose weights do not count."""
    links = csr_array(((adjacency + adjacency.T) != 0).astype(np.float64))
    own = csr_array(links + eye_array(links.shape[0]))
    scale = np.asarray(own.sum(1)) ** -0.5
    return csr_array(own.multiply(scale[:, None]).multiply(scale[None]))


class SparseMatrix(nn.Module):
    """A matrix (N, M) of which most entries are 0, as buffers that follow the module; it is 0 until it is filled.

    Args:
        rows: N.
        columns: M.

    """

    place: Tensor
    values: Tensor

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.shape = int(rows), int(columns)
        self.register_buffer("place", torch.zeros(2, 0, dtype=torch.int64))
        self.register_buffer("values", torch.zeros(0))

    def fill(self, matrix: Any) -> None:
        """Store the entries of a sparse array of scipy.

        Raises:
            ValueError: it has another shape.

        """
        if tuple(matrix.shape) != self.shape:
            raise ValueError(f"expected a matrix {self.shape}, got {tuple(matrix.shape)}")
        found = coo_array(matrix)
        place = torch.from_numpy(np.stack([np.asarray(part, np.int64) for part in (found.row, found.col)]))
        self.place, self.values = place.to(self.place.device), torch.as_tensor(found.data).to(self.values)

    def forward(self, x: Tensor, rate: float = 0.0) -> Tensor:
        """Return the product (N, k) with x (M, k); a share `rate` of entries is left out in training."""
        row, column = self.place
        terms = x[column] * dropout(self.values, rate, self.training)[:, None]
        return x.new_zeros(self.shape[0], x.shape[1]).index_add(0, row, terms)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take as many entries as there are."""
        for name in ("place", "values"):
            if isinstance(stored := state_dict.get(prefix + name), Tensor):
                own = getattr(self, name)
                setattr(self, name, torch.empty(stored.shape, dtype=own.dtype, device=own.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


class GraphEncoder(nn.Module):
    """A network and the features of its nodes -> (N, heads * dim), by graph convolutions.

    Weights are drawn uniformly as by Glorot & Bengio, for each head by itself, and hidden layers have no biases, as in
    the authors' code. Until the network is known, no node has neighbours, and features are 0.

    Args:
        nodes: number N of nodes.
        dim: latent dimension d.
        hidden: widths of the hidden layers, each with a ReLU.
        heads: posterior parameters per latent dimension.
        features: number F of features of a node; None where a node has none.
        dropout: share of the inputs of each layer that is left out in training.
        bias: whether outputs have a bias, drawn as the weights are. Without one they are 0 for a node that has neither
            features nor neighbours, and that has no direction.

    Raises:
        ValueError: a number is not positive, or dropout is no share.

    Reference: Kipf & Welling, "Variational graph auto-encoders" (2016), https://arxiv.org/abs/1611.07308.
    """

    def __init__(
        self,
        nodes: int,
        dim: int,
        hidden: Sequence[int] = (32,),
        heads: int = 2,
        features: int | None = None,
        dropout: float = 0.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        inputs = nodes if features is None else features
        if min(nodes, dim, heads, inputs, *hidden) < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"expected positive numbers of nodes, dimensions, heads, features and widths and a dropout in [0, 1), "
                f"got {nodes}, {dim}, {heads}, {features}, {list(hidden)} and {dropout}"
            )
        self.nodes, self.dim, self.heads, self.dropout = int(nodes), int(dim), int(heads), float(dropout)
        self.neighbours = SparseMatrix(nodes, nodes)
        self.features = None if features is None else SparseMatrix(nodes, features)
        sizes = [inputs, *hidden]
        layers = [_glorot(width, following) for width, following in pairwise(sizes)]
        last = torch.cat([_glorot(sizes[-1], dim) for _ in range(heads)], 1)
        self.weights = nn.ParameterList(nn.Parameter(weight) for weight in (*layers, last))
        self.bias = nn.Parameter(_glorot(sizes[-1], dim)[:1].repeat(1, heads)[0]) if bias else None
        self.connect(csr_array((nodes, nodes)))

    def connect(self, adjacency: csr_array) -> None:
        """Store the network, a sparse array of scipy (N, N)."""
        self.neighbours.fill(propagation(adjacency))

    def describe(self, features: Any) -> None:
        """Store the features of nodes, a sparse array of scipy (N, F), or None where they have none.

        Raises:
            ValueError: there are features and the encoder takes none, or the reverse, or other numbers of them.

        """
        expected = None if self.features is None else self.features.shape
        got = None if features is None else tuple(features.shape)
        if got != expected:
            raise ValueError(
                f"expected {'no features' if expected is None else f'features {expected}'} of nodes, as "
                f"model.encoder.features says, got {'none' if got is None else got}"
            )
        if self.features is not None:
            self.features.fill(features)

    def forward(self) -> Tensor:
        """Return the outputs (N, heads * dim) of all nodes."""
        first, *rest = self.weights
        if self.features is None:
            x = self.neighbours(first, self.dropout)
        else:
            x = self.neighbours(self.features(first, self.dropout))
        for weight in rest:
            x = self.neighbours(dropout(relu(x), self.dropout, self.training) @ weight)
        return x if self.bias is None else x + self.bias


def _glorot(inputs: int, outputs: int) -> Tensor:
    bound = (6 / (inputs + outputs)) ** 0.5
    return torch.empty(inputs, outputs).uniform_(-bound, bound)
