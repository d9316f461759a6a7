r"""The conjugate radius of a code, the distance up to which its geodesics have no conjugate point.

    conj(z) = min over |e|_g = 1 of the least t > 0 with t e conjugate,    inj(z) <= conj(z)

The injectivity radius inj(z), up to which exp_z is one to one and its geodesics are shortest, is the lesser of conj(z)
and half the length of the shortest geodesic loop at z, on a complete manifold (Klingenberg). Jacobi fields tell of the
first alone, so that what they find bounds inj(z) **from above**: two geodesics may meet before without being
neighbours, as around a cylinder or a hill.

Along a geodesic that meets curvatures of at most kappa > 0 in the planes that contain its velocity there is no
conjugate point before pi / sqrt(kappa) (Rauch). The least of these over the directions estimates conj(z) from below, as
well as the directions cover the sphere.

Reference: do Carmo, "Riemannian Geometry" (1992), chapter 10, proposition 2.4, and chapter 13, proposition 2.13
(Klingenberg).
"""

from __future__ import annotations

from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.dtypes import dtype_name
from lsgen.geometry.geodesics.initial_value.jacobi import first_conjugate, followed_to, jacobi_fields, operator_along
from lsgen.geometry.metric_tensor import orthonormal_frames
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["ConjugateRadius", "conjugate_radius"]

BUDGET = 2**22


class ConjugateRadius(NamedTuple):
    """Bounds of the conjugate radius from sampled directions.

    Attributes:
        upper: least distance to a conjugate point (B,), a bound of the conjugate radius and of the injectivity radius
            from above; inf where none lies within the horizon; NaN where that is not known, since a geodesic could not
            be followed so far.
        direction: unit tangent vector |e|_g = 1 towards that point (B, d), NaN where there is none.
        lower: min(horizon, pi / sqrt(kappa)) (B,), kappa the largest curvature that the geodesics meet: an estimate of
            the conjugate radius from below. It says nothing of the injectivity radius. Where a geodesic was lost before
            a conjugate point, it is at most as far as that one was followed; NaN where one has no start.

    """

    upper: Tensor
    direction: Tensor
    lower: Tensor


def conjugate_radius(
    im: RiemannianMetric,
    z: Tensor,
    horizon: float,
    directions: int | Tensor = 32,
    *,
    steps: int = 32,
    tol: float | None = None,
    chunk_size: int | None = None,
    generator: torch.Generator | None = None,
) -> ConjugateRadius:
    r"""Return bounds of the distance up to which geodesics from a code have no conjugate point.

        min over directions e of { t |e|_g : det A(t) = 0 },    min(horizon, pi / sqrt(kappa))

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        horizon: distance up to which geodesics are followed.
        directions: how many, evenly spaced for d = 2, else uniform on the sphere; or tangent vectors (B, k, d), of
            which the directions count.
        steps: see `conjugate_points`.
        tol: see `conjugate_points`.
        chunk_size: number of geodesics to follow at once; by a budget of memory where it is not given.
        generator: source of the directions.

    Returns:
        ConjugateRadius(upper (B,), direction (B, d), lower (B,)).

    Raises:
        TypeError, ValueError: see `jacobi_fields`; also for a horizon or numbers that are not positive, and directions
            of another shape or dtype or of no length.

    """
    codes = flat_codes(im, z)
    if im.normals:
        raise TypeError(f"expected codes that fill flat space, got those of {im.manifold}, whose directions are fewer")
    flat = codes.z.detach()
    if not 0 < horizon < float("inf"):
        raise ValueError(f"expected a positive finite horizon, got {horizon}")
    with torch.no_grad():
        units = _units(im, z, flat, directions, generator)
        n, k, d = units.shape
        size = max(1, BUDGET // (5 * (steps + 1) * d * d)) if chunk_size is None else chunk_size
        bases, beside = flat.repeat_interleave(k, 0), (units.reshape(-1, d),)

        def bounds(z: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
            return _followed(im, z, e, horizon, steps, tol)

        found = in_chunks(bounds, im, bases, size, order=2, beside=beside)
        distance, least = (x.reshape(n, k) for x in found)
        lost = distance.isnan().any(-1)
        upper, best = torch.where(distance.isnan(), torch.inf, distance).min(-1)
        some = torch.isfinite(upper)
        lower = torch.where(least.isnan().any(-1), torch.nan, least.amin(-1))
    upper = torch.where(lost & ~some, torch.nan, upper)
    towards = torch.where(some[:, None], units[torch.arange(n, device=best.device), best], torch.nan)
    return codes.restored(ConjugateRadius(upper, towards, lower))


def _followed(
    im: RiemannianMetric, z: Tensor, e: Tensor, horizon: float, steps: int, tol: float | None
) -> tuple[Tensor, Tensor]:
    """Return the distance to the first conjugate point along unit vectors (N,), and what bounds it from below (N,)."""
    found = jacobi_fields(im, z, horizon * e.nan_to_num(), steps, tol=tol)
    across = operator_along(im, found)
    distance, _ = first_conjugate(found, across, torch.full_like(e[:, 0], horizon))
    kappa = torch.linalg.eigvalsh(across)[..., -1].amax(-1) / horizon**2
    reach = torch.where(distance.isnan(), horizon * followed_to(found), horizon)
    return distance.to(e), torch.minimum(pi / kappa.clamp(min=(pi / horizon) ** 2).sqrt(), reach).to(e)


def _units(
    im: RiemannianMetric, z: Tensor, flat: Tensor, directions: int | Tensor, generator: torch.Generator | None
) -> Tensor:
    """Return tangent vectors (N, k, d) of unit length."""
    frame = orthonormal_frames(im, flat)
    n, d = flat.shape
    if isinstance(directions, Tensor):
        if directions.ndim != z.ndim + 1 or directions[..., 0, :].shape != z.shape or directions.dtype != z.dtype:
            shape = ", ".join(str(size) for size in (*z.shape[:-1], "k", d))
            raise ValueError(
                f"expected directions of dtype {dtype_name(z.dtype)} and shape ({shape}), "
                f"got {dtype_name(directions.dtype)} {tuple(directions.shape)}"
            )
        inside = torch.linalg.solve_ex(frame, directions.reshape(n, -1, d).mT)[0].mT
    elif directions < 1:
        raise ValueError(f"expected at least 1 direction, got {directions}")
    elif d == 2:
        angle = 2 * pi * torch.arange(directions, dtype=z.dtype, device=z.device) / directions
        inside = torch.stack([angle.cos(), angle.sin()], -1).expand(n, -1, -1)
    else:
        inside = torch.randn(n, directions, d, dtype=z.dtype, device=z.device, generator=generator)
    size = inside.norm(dim=-1, keepdim=True)
    if bool((size == 0).any()):
        raise ValueError("expected directions of positive length, got some of length 0")
    return (inside / size) @ frame.mT
