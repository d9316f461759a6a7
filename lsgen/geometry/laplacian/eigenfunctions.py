r"""Eigenvalues and eigenfunctions of the Laplace-Beltrami operator, and what they were left uncertain by.

    S phi_k = lambda_k M phi_k,    phi_k^T M phi_l = delta_kl,    0 = lambda_0 <= lambda_1 <= ...

The constants of connected components are put in exactly, with eigenvalue 0; the others are M-orthogonal to them, by a
Rayleigh-Ritz projection of a span that holds them. Finite elements are inverted, in a block Krylov space. A graph,
whose factors would fill up, is multiplied with, by Lanczos' method; that misses multiple eigenvalues, so what is
orthogonal to those found is searched again until it holds none that is lower.

The average over a kernel of width h is exp(h^2 Delta) to leading order, while the graph's operator is the quotient
(1 - exp(h^2 Delta)) / h^2. Its eigenvalues mu are corrected for that by

    lambda = -log(1 - mu eta) / eta,        eta = sum_i M_ii h_i^2 phi_i^2,

where lambda eta <= 1; an eigenfunction that varies faster is not resolved by the kernel.

Reference: Golub & Underwood, "The block Lanczos method for computing eigenvalues" (1977); Lehoucq, Sorensen & Yang,
"ARPACK users' guide" (1998); Parlett, "The Symmetric Eigenvalue Problem" (1998),
chapters 4 and 11, for the error bound |lambda - theta| <= |M^-1/2 (S - theta M) u| and the projection.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.sparse import diags_array, eye_array
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, splu
from torch import Tensor

from lsgen.geometry.laplacian.operator import LaplaceBeltrami

__all__ = ["LaplaceSpectrum", "laplace_spectrum"]

Array = NDArray[Any]
DENSE, STEPS, BLOCK = 400, 32, 24


class LaplaceSpectrum(NamedTuple):
    """The lowest eigenvalues of the Laplace-Beltrami operator, all tensors in float64.

    Attributes:
        eigenvalues: lowest first (k,); NaN where not converged.
        functions: eigenfunctions in the columns (n, k), orthonormal in the volumes of nodes; NaN where not converged.
        converged: which eigenvalues are known within tol, and resolved by the kernel of a graph (k,).
        residual: bound on the error of each eigenvalue of the matrices, relative to it (k,).
        node_volumes: volume of each node (n,), which sum up to that of the manifold; 0 at nodes held at 0, NaN at codes
            that the kernel joins to no other.
        inverse_mass: upper bound of the diagonal of M^-1 (n,), which all eigenfunctions together would sum up to.
        components: number of connected components; as many of the eigenvalues are 0 if nothing is held at 0.

    """

    eigenvalues: Tensor
    functions: Tensor
    converged: Tensor
    residual: Tensor
    node_volumes: Tensor
    inverse_mass: Tensor
    components: int

    @property
    def resolved(self) -> int:
        """Number of eigenvalues before the first that did not converge."""
        return int(self.converged.long().cumprod(0).sum())


def laplace_spectrum(
    operator: LaplaceBeltrami, k: int = 16, *, tol: float = 1e-6, max_iterations: int | None = None
) -> LaplaceSpectrum:
    r"""Return the lowest eigenvalues and the eigenfunctions of the Laplace-Beltrami operator.

        -Delta phi = lambda phi

    Args:
        operator: from `finite_element_laplacian`, `surface_laplacian`, `edge_length_laplacian` or `graph_laplacian`.
        k: number of eigenvalues, counted with their multiplicity.
        tol: bound on the relative error of a converged eigenvalue of the matrices.
        max_iterations: bound on the blocks of inverse products for finite elements beyond 2 k vectors (32 where it is
            not given), or on the restarts of Lanczos' method for a graph (10 for each node).

    Returns:
        `LaplaceSpectrum`; NaN, and converged = False, for each eigenvalue that did not converge or that the kernel of
        a graph does not resolve. The sign of an eigenfunction makes its largest value positive.

    Raises:
        ValueError: k is not within 1, ..., the number of free nodes, or tol is not positive.

    """
    m = int(operator.free.sum())
    if not 1 <= k <= m:
        raise ValueError(f"expected a number of eigenvalues from 1 to the {m} free nodes, got {k}")
    if not tol > 0 or (max_iterations is not None and max_iterations < 1):
        raise ValueError(f"expected positive tol and max_iterations, got {tol} and {max_iterations}")
    constants = operator.constants()[:, :k]
    rest = np.empty((m, 0)) if constants.shape[1] == k else _span(operator, k, tol, max_iterations)
    values, functions = _projected(operator, constants, rest, k - constants.shape[1])
    found = np.concatenate([np.zeros(constants.shape[1]), values])
    functions = np.concatenate([constants, functions], 1)
    error = _relative_error(operator, found, functions)
    found, resolved = _corrected(operator, found, functions)
    order = np.argsort(np.where(np.isnan(found), np.inf, found), kind="stable")
    found, functions, error, resolved = found[order], functions[:, order], error[order], resolved[order]
    converged = resolved & (error <= tol)
    missing = k - len(found)
    found = np.append(np.where(converged, found, np.nan), np.full(missing, np.nan))
    functions = np.append(np.where(converged, _signed(functions), np.nan), np.full((m, missing), np.nan), 1)
    volumes, device = operator.node_volumes, operator.device
    return LaplaceSpectrum(
        torch.as_tensor(found, device=device),
        operator.filled(functions),
        torch.as_tensor(np.append(converged, np.zeros(missing, dtype=bool)), device=device),
        torch.as_tensor(np.append(error, np.full(missing, np.inf)), device=device),
        operator.filled(volumes),
        operator.filled(1 / (volumes * max(operator.mass_floor, np.finfo(float).tiny))),
        operator.components,
    )


def _span(operator: LaplaceBeltrami, k: int, tol: float, max_iterations: int | None) -> Array:
    """Return vectors (m, l) whose span holds the k lowest eigenfunctions, or those of them that converged."""
    m = len(operator.held)
    if m <= max(DENSE, 3 * k):
        whole = operator.stiffness.toarray(), operator.mass.toarray()
        vectors: Array = scipy.linalg.eigh(*whole, subset_by_index=(0, k - 1))[1]
        return vectors
    if operator.bandwidths.any():
        return _by_products(operator, k, max_iterations)
    return _by_inversion(operator, k, tol, max_iterations or STEPS)


def _by_inversion(operator: LaplaceBeltrami, k: int, tol: float, steps: int) -> Array:
    """Return vectors (m, l) of a block Krylov space of T = (S + a M)^-1 M in which the k lowest functions converged.

    Multiple eigenvalues are found up to as many times as a block has vectors, and beyond that by rounding.
    """
    s, mass, m = operator.stiffness, operator.mass, len(operator.held)
    factor = splu((s + 4 * np.pi / operator.volume * mass).tocsc())
    width = min(m, k + 4, BLOCK)
    block = np.random.default_rng(0).standard_normal((m, width))
    basis, inside = np.empty((m, 0)), np.empty((0, 0))
    vectors: Array = basis
    for _ in range(steps + 2 * k // width):
        for _ in ("once", "twice is enough"):
            block = block - basis @ (basis.T @ (mass @ block))
            size, turn = np.linalg.eigh(block.T @ (mass @ block))
            keep = size > 1e-12 * max(size.max(), np.finfo(float).tiny)
            block = block @ (turn[:, keep] / np.sqrt(size[keep]))
        basis = np.concatenate([basis, block], 1)
        block = factor.solve(mass @ block)
        fresh = basis.T @ (mass @ block)
        inside = np.block([[inside, fresh[: len(inside)]], [fresh[: len(inside)].T, fresh[len(inside) :]]])
        if len(inside) < min(m, 2 * k):
            continue
        turn = scipy.linalg.eigh((inside + inside.T) / 2, subset_by_index=(len(inside) - k, len(inside) - 1))[1]
        vectors = basis @ turn[:, ::-1]
        values = np.einsum("nk,nk->k", vectors, s @ vectors)
        if (_relative_error(operator, values, vectors)[values > 1e-9 * values.max()] <= tol / 10).all():
            break
    return vectors


def _by_products(operator: LaplaceBeltrami, k: int, restarts: int | None) -> Array:
    """Return the k lowest functions (m, l) by Lanczos' method, with those of multiple eigenvalues that it misses first.

    One more is sought in what is orthogonal to those found, until it lies above them.
    """
    m, root = len(operator.held), diags_array(operator.node_volumes**-0.5)
    a = (root @ operator.stiffness @ root).tocsr()
    top = float(2 * a.diagonal().max())
    rest = (top * eye_array(m) - a).tocsr()
    found, values = np.empty((m, 0)), np.empty(0)
    options = {"which": "LA", "v0": np.random.default_rng(0).standard_normal(m), "maxiter": restarts}
    while found.shape[1] < m:
        seen, size = found, (k if not found.shape[1] else 1)

        def apart(x: Array, seen: Array = seen) -> Array:
            made: Array = rest @ x - seen @ (top * (seen.T @ x))
            return made

        try:
            new, vectors = eigsh(LinearOperator((m, m), apart), size, ncv=min(m, max(2 * size + 1, 20)), **options)
        except ArpackNoConvergence as error:
            vectors = np.asarray(error.eigenvectors).reshape(m, -1)
            found = np.concatenate([found, vectors], 1)
            break
        lowest = np.sort(values)[k - 1] if len(values) >= k else np.inf
        if (top - new > lowest).all():
            break
        found, values = np.concatenate([found, vectors], 1), np.concatenate([values, top - new])
    return np.asarray(root @ found)


def _projected(operator: LaplaceBeltrami, constants: Array, vectors: Array, k: int) -> tuple[Array, Array]:
    """Return Ritz values (l,) and vectors (m, l), l <= k, in the part of a span that is orthogonal to constants."""
    if not vectors.shape[1] or not k:
        return np.empty(0), np.empty((len(vectors), 0))
    mass, s = operator.mass, operator.stiffness
    for _ in range(2):
        vectors = vectors - constants @ (constants.T @ (mass @ vectors))
    size, turn = np.linalg.eigh(vectors.T @ (mass @ vectors))
    keep = size > 1e-10 * size.max()
    basis = vectors @ (turn[:, keep] / np.sqrt(size[keep]))
    values, turn = np.linalg.eigh(basis.T @ (s @ basis))
    return values[:k], basis @ turn[:, :k]


def _relative_error(operator: LaplaceBeltrami, values: Array, functions: Array) -> Array:
    """Return |M^-1/2 (S - lambda M) phi| / lambda, with M bounded below by its diagonal; 0 for constants."""
    left = operator.stiffness @ functions - (operator.mass @ functions) * values
    weights = 1 / (operator.node_volumes * max(operator.mass_floor, np.finfo(float).tiny))
    size = np.sqrt((weights[:, None] * left**2).sum(0))
    error: Array = np.where(values > 0, size / np.where(values > 0, values, 1), np.where(values == 0, 0.0, np.inf))
    return error


def _corrected(operator: LaplaceBeltrami, values: Array, functions: Array) -> tuple[Array, Array]:
    """Return eigenvalues corrected for the width of a graph's kernel, and which of them it resolves."""
    if not operator.bandwidths.any():
        return values, np.ones(len(values), dtype=bool)
    eta = (operator.node_volumes * operator.bandwidths) @ functions**2
    part = np.minimum(values * eta, 1 - np.exp(-1.0))
    return -np.log1p(-part) / eta, values * eta < 1 - np.exp(-1.0)


def _signed(functions: Array) -> Array:
    largest = np.take_along_axis(functions, np.abs(functions).argmax(0)[None], 0)
    signed: Array = functions * np.where(largest < 0, -1.0, 1.0)
    return signed
