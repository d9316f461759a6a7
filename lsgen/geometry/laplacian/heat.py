r"""Heat kernel, diffusion distance and diffusion map from eigenfunctions of the Laplace-Beltrami operator.

    p_t(x, y) = sum_k exp(-lambda_k t) phi_k(x) phi_k(y)
    D_t(x, y)^2 = int (p_t(x, u) - p_t(y, u))^2 dvol(u) = sum_k exp(-2 lambda_k t) (phi_k(x) - phi_k(y))^2

The heat kernel is the density at y, with respect to volume, of Brownian motion (`brownian_motion`) at time 2 t from x.
Eigenfunctions left out are bounded, since all of them have sum_k phi_k(x)^2 = (M^-1)_xx: beyond the last eigenvalue
lambda of those taken

    sum_{k > K} exp(-lambda_k t) phi_k(x)^2 <= exp(-lambda t) ( (M^-1)_xx - sum_{k <= K} phi_k(x)^2 ) =: tail_t(x),
    |error of p_t(x, y)| <= sqrt(tail_t(x) tail_t(y)),    error of D_t^2 <= 2 (tail_2t(x) + tail_2t(y)) .

The bounds are those of the matrices; what nodes leave out of the manifold is not in them. Functions up to the first
that did not converge are taken.

Reference: Rosenberg, "The Laplacian on a Riemannian Manifold" (1997), section 3.2; Coifman & Lafon, "Diffusion maps"
(2006), https://doi.org/10.1016/j.acha.2006.04.006; Sun, Ovsjanikov & Guibas, "A concise and provably informative
multi-scale signature based on heat diffusion" (2009).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.laplacian.eigenfunctions import LaplaceSpectrum

__all__ = ["TruncatedSum", "diffusion_distance", "diffusion_map", "heat_kernel", "heat_kernel_signature"]


class TruncatedSum(NamedTuple):
    """A sum over the lowest eigenfunctions, and a bound on what the others add to it, of one shape."""

    value: Tensor
    error: Tensor


def heat_kernel(
    spectrum: LaplaceSpectrum, time: float, rows: Tensor | None = None, columns: Tensor | None = None
) -> TruncatedSum:
    r"""Return the heat kernel between nodes.

        p_t(x, y) = sum_k exp(-lambda_k t) phi_k(x) phi_k(y)

    Args:
        spectrum: see `laplace_spectrum`.
        time: t, in squared length.
        rows: numbers of nodes x (a,); all where they are not given.
        columns: numbers of nodes y (b,); all where they are not given.

    Returns:
        TruncatedSum(value (a, b), error (a, b)), per volume; multiply by `node_volumes` for probabilities.

    Raises:
        ValueError: the time is not positive, a number is none of a node, or no eigenvalue converged.

    """
    (left, right), decay = (_rows(spectrum, x) for x in (rows, columns)), _decay(spectrum, time)
    values = (_functions(spectrum)[left] * decay) @ _functions(spectrum)[right].T
    tails = _tails(spectrum, time)
    return TruncatedSum(values, (tails[left][:, None] * tails[right]).sqrt())


def heat_kernel_signature(spectrum: LaplaceSpectrum, times: Tensor) -> TruncatedSum:
    r"""Return the heat kernel signature p_t(x, x), which isometries leave as it is.

    Args:
        spectrum: see `laplace_spectrum`.
        times: times t (T,), in squared length.

    Returns:
        TruncatedSum(value (T, n), error (T, n)). For small t, p_t(x, x) = (4 pi t)^(-d/2) (1 + R t / 6 + ...) with R
        the scalar curvature.

    Raises:
        ValueError: the times are not positive or no vector, or no eigenvalue converged.

    """
    if times.ndim != 1:
        raise ValueError(f"expected times (T,), got {tuple(times.shape)}")
    square = _functions(spectrum).square()
    values = [square @ _decay(spectrum, t) for t in times.tolist()]
    errors = [_tails(spectrum, t) for t in times.tolist()]
    empty = square.new_empty(0, len(square))
    return TruncatedSum(*(torch.stack(x) if x else empty for x in (values, errors)))


def diffusion_map(spectrum: LaplaceSpectrum, time: float) -> Tensor:
    r"""Return the diffusion map, whose Euclidean distances are diffusion distances.

        x -> ( exp(-lambda_k t) phi_k(x) )_k

    Args:
        spectrum: see `laplace_spectrum`.
        time: t, in squared length; 0 gives the eigenfunctions themselves (Laplacian eigenmaps).

    Returns:
        A tensor (n, K) in float64, for the K eigenvalues before the first that did not converge.

    Raises:
        ValueError: the time is negative, or no eigenvalue converged.

    """
    return _functions(spectrum) * _decay(spectrum, time, zero=True)


def diffusion_distance(
    spectrum: LaplaceSpectrum, time: float, rows: Tensor | None = None, columns: Tensor | None = None
) -> TruncatedSum:
    r"""Return the diffusion distance between nodes.

        D_t(x, y)^2 = sum_k exp(-2 lambda_k t) (phi_k(x) - phi_k(y))^2

    Args:
        spectrum: see `laplace_spectrum`.
        time: t, in squared length.
        rows: numbers of nodes x (a,); all where they are not given.
        columns: numbers of nodes y (b,); all where they are not given.

    Returns:
        TruncatedSum(value (a, b), error (a, b)), both for D_t: D_t <= value + error.

    Raises:
        ValueError: see `heat_kernel`.

    """
    (left, right), places = (_rows(spectrum, x) for x in (rows, columns)), diffusion_map(spectrum, time)
    _decay(spectrum, time)
    known = torch.isfinite(places).all(-1)
    value = torch.cdist(
        places.nan_to_num()[left], places.nan_to_num()[right], compute_mode="donot_use_mm_for_euclid_dist"
    )
    value = torch.where(known[left][:, None] & known[right], value, torch.nan)
    tails = _tails(spectrum, 2 * time)
    more = 2 * (tails[left][:, None] + tails[right])
    return TruncatedSum(value, (value.square() + more).sqrt() - value)


def _functions(spectrum: LaplaceSpectrum) -> Tensor:
    if not spectrum.resolved:
        raise ValueError("expected a spectrum with converged eigenvalues, got one with none")
    return spectrum.functions[:, : spectrum.resolved]


def _decay(spectrum: LaplaceSpectrum, time: float, zero: bool = False) -> Tensor:
    """Return exp(-lambda_k t) (K,)."""
    if not (0 < time < float("inf") or (zero and time == 0)):
        raise ValueError(f"expected a {'time of at least 0' if zero else 'positive time'}, got {time}")
    return (-time * spectrum.eigenvalues[: spectrum.resolved]).exp()


def _tails(spectrum: LaplaceSpectrum, time: float) -> Tensor:
    """Return the bound (n,) on what the diagonal of the heat kernel lacks."""
    whole = int((spectrum.node_volumes > 0).sum()) == spectrum.resolved
    left = (spectrum.inverse_mass - _functions(spectrum).square().sum(-1)).clamp(min=0)
    left = torch.where(spectrum.node_volumes == 0, 0, left)
    return torch.zeros_like(left) if whole else left * _decay(spectrum, time)[-1]


def _rows(spectrum: LaplaceSpectrum, numbers: Tensor | None) -> Tensor:
    n, device = len(spectrum.node_volumes), spectrum.functions.device
    if numbers is None:
        return torch.arange(n, device=device)
    if numbers.ndim != 1 or numbers.dtype.is_floating_point or numbers.dtype == torch.bool:
        raise ValueError(f"expected numbers of nodes as integers (a,), got {numbers.dtype} {tuple(numbers.shape)}")
    if bool(((numbers < 0) | (numbers >= n)).any()):
        raise ValueError(
            f"expected numbers of nodes from 0 to {n - 1}, got {int(numbers.min())} to {int(numbers.max())}"
        )
    return numbers.to(device)
