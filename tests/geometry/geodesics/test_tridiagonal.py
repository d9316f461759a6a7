"""Cyclic reduction against a dense solver."""

import pytest
import torch

from lsgen.geometry.geodesics.tridiagonal import solve

f64 = torch.float64


def dense(diagonal, coupling):
    b, n, d, _ = diagonal.shape
    whole = torch.zeros(b, n, d, n, d, dtype=f64)
    for i in range(n):
        whole[:, i, :, i] = diagonal[:, i]
    for i in range(n - 1):
        whole[:, i, :, i + 1], whole[:, i + 1, :, i] = coupling[:, i], coupling[:, i].mT
    return whole.reshape(b, n * d, n * d)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 16, 31])
def test_solutions_and_definiteness_are_those_of_the_dense_matrix(n):
    d, shift = 3, torch.tensor([8.0, 7.0, 0.5, 0.0, -1.0], dtype=f64)
    root = torch.randn(5, n, d, d, dtype=f64)
    diagonal = root @ root.mT + shift[:, None, None, None] * torch.eye(d, dtype=f64)
    coupling, side = torch.randn(5, n - 1, d, d, dtype=f64), torch.randn(5, n, d, dtype=f64)
    before = diagonal.clone(), coupling.clone(), side.clone()
    found, definite = solve(diagonal, coupling, side)
    whole = dense(diagonal, coupling)
    assert definite.tolist() == (torch.linalg.eigvalsh(whole)[:, 0] > 0).tolist()
    exact = torch.linalg.solve(whole, side.flatten(1)).reshape(side.shape)
    torch.testing.assert_close(found[definite], exact[definite], rtol=1e-8, atol=1e-8)
    assert all(torch.equal(x, y) for x, y in zip(before, (diagonal, coupling, side), strict=True))
