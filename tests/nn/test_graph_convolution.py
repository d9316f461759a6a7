"""Graph convolutions against matrices without zeros left out."""

import networkx
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from lsgen.nn import GraphEncoder
from lsgen.nn.graph_convolution import SparseMatrix, propagation


def dense_propagation(adjacency: np.ndarray) -> np.ndarray:
    own = adjacency + np.eye(len(adjacency))
    scale = np.diag(own.sum(1) ** -0.5)
    return scale @ own @ scale


@pytest.mark.parametrize("features", [None, 11])
def test_the_encoder_is_that_of_dense_matrices(features: int | None) -> None:
    """The last node has no neighbour."""
    graph = networkx.gnp_random_graph(9, 0.4, seed=2)
    graph.add_node(9)
    a = networkx.to_numpy_array(graph)
    encoder = GraphEncoder(10, 3, (5, 4), heads=2, features=features).double()
    encoder.connect(csr_array(a))
    x = np.eye(10)
    if features is not None:
        drawn = np.random.default_rng(1).random((10, features))
        described = csr_array(drawn * (drawn < 0.3))
        encoder.describe(described)
        x = described.toarray()
    p, (u, v, w) = dense_propagation(a), (weight.detach().numpy() for weight in encoder.weights)
    assert (u.shape, v.shape, w.shape) == ((x.shape[1], 5), (5, 4), (4, 6))
    expected = p @ np.maximum(p @ np.maximum(p @ x @ u, 0) @ v, 0) @ w
    np.testing.assert_allclose(encoder().detach().numpy(), expected, rtol=1e-10)
    for inputs, part in ((4, w[:, :3]), (4, w[:, 3:]), (x.shape[1], u)):
        assert np.abs(part).max() <= (6 / (inputs + part.shape[1])) ** 0.5
    again = GraphEncoder(10, 3, (5, 4), heads=2, features=features).double()
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(), encoder(), rtol=0, atol=0)


def test_weights_and_directions_do_not_count() -> None:
    a = csr_array(np.array([[0, 3.0, 0], [0, 0, 0], [0, 2.0, 0]]))
    expected = dense_propagation(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    np.testing.assert_allclose(propagation(a).toarray(), expected)


def test_gradients_and_the_share_that_is_left_out() -> None:
    matrix = SparseMatrix(4, 3).double()
    matrix.fill(csr_array(np.array([[1.0, 0, 2], [0, 0, 0], [0, -1, 0], [4, 5, 6]])))
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrix, x)
    torch.manual_seed(0)
    drawn = torch.stack([matrix(torch.eye(3, dtype=torch.float64), 0.25) for _ in range(4000)])
    entries = drawn[:, 3] / torch.tensor([4.0, 5.0, 6.0])
    assert set((entries * 0.75).round(decimals=6).unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(entries.mean(0), torch.ones(3, dtype=torch.float64), rtol=0, atol=0.05)
    torch.testing.assert_close(matrix.eval()(x, 0.25), matrix(x))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="expected a matrix"):
        SparseMatrix(4, 3).fill(csr_array((3, 4)))
    with pytest.raises(ValueError, match="expected no features of nodes, as"):
        GraphEncoder(4, 2).describe(csr_array((4, 3)))
    with pytest.raises(ValueError, match=r"expected features \(4, 5\) of nodes, .*, got none"):
        GraphEncoder(4, 2, features=5).describe(None)
    with pytest.raises(ValueError, match="a dropout in"):
        GraphEncoder(4, 2, dropout=1.0)
