r"""Symmetric block-tridiagonal systems, many at once, by cyclic reduction.

    C_{i-1}^T x_{i-1} + A_i x_i + C_i x_{i+1} = b_i

Every other unknown is eliminated by the Cholesky factor of its block, which leaves a system of the same form and half
the size: log2(n) rounds of batched operations, where elimination from first to last takes n. All factors exist if and
only if the whole matrix is positive definite.

Reference: Golub & Van Loan, "Matrix Computations" (2013), section 4.5.4.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["product", "solve"]


def solve(diagonal: Tensor, coupling: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
    """Return the solution (B, n, d), and which systems (B,) are positive definite; only those are solved.

    Args:
        diagonal: blocks A (B, n, d, d).
        coupling: blocks C (B, n-1, d, d), of row i and column i+1.
        side: right-hand sides b (B, n, d).

    """
    factor, info = torch.linalg.cholesky_ex(diagonal[:, ::2])
    definite = (info == 0).all(-1)
    n, d = side.shape[1:]
    after, before = coupling[:, ::2], coupling[:, 1::2]
    if n == 1:
        return torch.cholesky_solve(side[..., None], factor)[..., 0], definite
    sides = torch.cat([_last(after, factor), _first(before, factor), side[:, ::2, :, None]], -1)
    solved = torch.cholesky_solve(sides, factor)
    to_next, to_previous, own = solved[..., :d], solved[..., d : 2 * d], solved[..., 2 * d :]
    odd = n // 2
    reduced = diagonal[:, 1::2] - after.mT @ to_next[:, :odd]
    rest = side[:, 1::2] - (after.mT @ own[:, :odd])[..., 0]
    inner = before.shape[1]
    reduced = reduced.clone()
    reduced[:, :inner] -= before @ to_previous[:, 1:]
    rest[:, :inner] -= (before @ own[:, 1 : inner + 1])[..., 0]
    between = -before[:, : odd - 1] @ to_next[:, 1:odd]
    found, also = solve(reduced, between, rest)
    x = torch.empty_like(side)
    x[:, 1::2] = found
    even = own[..., 0].clone()
    even[:, :odd] -= (to_next[:, :odd] @ found[..., None])[..., 0]
    even[:, 1 : inner + 1] -= (to_previous[:, 1 : inner + 1] @ found[:, :inner, :, None])[..., 0]
    x[:, ::2] = even
    return x, definite & also


def product(diagonal: Tensor, coupling: Tensor, x: Tensor) -> Tensor:
    """Return the products of symmetric block-tridiagonal matrices with vectors x (B, n, d)."""
    made = (diagonal @ x[..., None])[..., 0]
    after = (coupling @ x[:, 1:, :, None])[..., 0]
    before = (coupling.mT @ x[:, :-1, :, None])[..., 0]
    return made + pad(after, (0, 0, 0, 1)) + pad(before, (0, 0, 1, 0))


def _last(blocks: Tensor, like: Tensor) -> Tensor:
    """Pad with zeros after the last block."""
    missing = like.shape[1] - blocks.shape[1]
    return pad(blocks, (0, 0, 0, 0, 0, missing))


def _first(blocks: Tensor, like: Tensor) -> Tensor:
    """Transpose, and pad with zeros before the first block."""
    missing = like.shape[1] - blocks.shape[1] - 1
    return pad(blocks.mT, (0, 0, 0, 0, 1, missing))
