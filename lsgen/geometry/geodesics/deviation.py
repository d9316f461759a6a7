r"""What a geodesic meets on its way: its acceleration, the turn of a frame carried along, and the curvature across it.

At a code with velocity v and a frame e_1, ..., e_d of G_ab = <e_a, e_b>,

    Gamma(v, v),    Gamma(v, e_a),    K_ab = R(e_a, v, e_b, v) .

Of an immersion Gauss' equation asks for second derivatives along v and for one contraction with the normal II(v, v),

    K_ab = <II(e_a, e_b), n> - <II(v, e_a), II(v, e_b)>,    n = II(v, v) = H(v, v) - J Gamma(v, v),
    <II(e_a, e_b), n> = <H(e_a, e_b), n> = D^2 <n, f> (e_a, e_b)    for fixed n,

of which the last is the Hessian of a scalar. From d = MANY on it takes two passes backwards for each of d directions,
so that some derivatives a direction are held, and neither the d(d+1)/2 second ones nor the d^4 numbers of the Riemann
tensor; below, all second derivatives at once are cheaper.

Of a metric, with derivatives along the vectors kept constant and T_bac = (d_b g)(e_a, e_c),

    2 <Gamma(x, y), e_b> = (d_x g)(y, e_b) + (d_y g)(x, e_b) - (d_b g)(x, y)
    2 K_ab = d_a d_v g(v, e_b) + d_b d_v g(v, e_a) - d_a d_b g(v, v) - d_v^2 g(e_a, e_b)
             + 2 <Gamma(v, e_a), Gamma(v, e_b)> - 2 <Gamma(v, v), Gamma(e_a, e_b)> .

Reference: do Carmo, "Riemannian Geometry" (1992), chapters 4 and 6; Pearlmutter, "Fast exact multiplication by the
Hessian" (1994), for the products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vjp

from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.immersion import Immersion
from lsgen.geometry.jets import Frame, propagate
from lsgen.geometry.metric_field import MetricField
from lsgen.geometry.metric_tensor import check_definite, inner

__all__ = ["Tide", "tide"]

MANY = 16


class Tide(NamedTuple):
    """Gamma(v, v) (N, d), Gamma(v, e_a) in the columns (N, d, d), and R(e_a, v, e_b, v) (N, d, d)."""

    along: Tensor
    turn: Tensor
    across: Tensor


def tide(im: Immersion | MetricField, z: Tensor, v: Tensor, frame: Tensor) -> Tide:
    """Return what a geodesic with velocity v meets at codes.

    Args:
        im: the immersion, or the metric itself.
        z: codes (N, d).
        v: velocities (N, d).
        frame: bases of the tangent spaces, in the columns (N, d, d), well conditioned in the metric.

    Returns:
        `Tide`; NaN where the frame is.

    """

    def one(z: Tensor, v: Tensor, frame: Tensor) -> tuple[Tensor, ...]:
        if isinstance(im, MetricField):
            return _of_metric(im, z, v, frame)
        return (_by_pairs if im.dim < MANY else _by_directions)(im, z, v, frame)

    return Tide(*in_chunks(one, im, z, None, order=2, beside=(v, frame)))


def _by_pairs(im: Immersion, z: Tensor, v: Tensor, frame: Tensor) -> tuple[Tensor, ...]:
    """Take all second derivatives along the frame at once."""
    d = im.dim
    x = im.expansion(z, 2, directions=frame.movedim(2, 0))
    if not x.curved:
        return _straight(v)
    j = x.j.movedim(0, 1).double()
    h = x.t[d:].movedim(0, 1).double()[:, Frame(d, 2).places(z.device)]
    share = torch.linalg.solve_ex(frame.double(), v[..., None].double())[0][..., 0]
    mixed = torch.einsum("nabm,nb->nam", h, share)
    double = torch.einsum("nam,na->nm", mixed, share)
    found, normal = _gauss(im, j, mixed, double, frame)
    across = torch.einsum("nabm,nm->nab", h, im.signed(normal)) - found[2]
    return _given(v, found[0], found[1], across)


def _by_directions(im: Immersion, z: Tensor, v: Tensor, frame: Tensor) -> tuple[Tensor, ...]:
    """Take second derivatives along v and each vector of the frame, and the Hessian of <n, f> by products."""
    n, d = v.shape
    x = im.expansion(_folded(z, d), 2, directions=torch.stack([_folded(v, d), frame.mT.reshape(-1, d)]))
    if not x.curved:
        return _straight(v)
    slabs = x.t.unflatten(1, (n, d)).double()
    found, normal = _gauss(im, slabs[1], slabs[3], slabs[2, :, 0], frame)
    across = _hessian(lambda u: im.local(im.lifted(u)).flatten(1), z, im.signed(normal).to(z), frame)
    return _given(v, found[0], found[1], across - found[2])


def _gauss(
    im: Immersion, j: Tensor, mixed: Tensor, double: Tensor, frame: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Return Gamma(v, v), Gamma(v, e_a) and <II(v, e_a), II(v, e_b)>, and the normal vector II(v, v) (N, m).

    Args:
        im: the immersion.
        j: J e_a (N, d, m).
        mixed: H(v, e_a) (N, d, m).
        double: H(v, v) (N, m).
        frame: the frame (N, d, d).

    """
    d = j.shape[1]
    products = inner(im, torch.cat([j, mixed, double[:, None]], 1))
    g, tangent = products[:, :d, :d], products[:, :d, d:]
    check_definite(im, g, frame.dtype)
    inside = torch.linalg.solve_ex(g, tangent)[0]
    raised = frame.double() @ inside
    within = products[:, d:-1, d:-1] - tangent[..., :d].mT @ inside[..., :d]
    normal = double - torch.einsum("na,nam->nm", inside[..., d], j)
    return (raised[..., d], raised[..., :d], within), normal


def _of_metric(im: MetricField, z: Tensor, v: Tensor, frame: Tensor) -> tuple[Tensor, ...]:
    n, d = v.shape
    x = propagate(im.fn, _folded(z, d), torch.stack([_folded(v, d), frame.mT.reshape(-1, d)]), 2)
    g, e, w = x.v.unflatten(0, (n, d))[:, 0].double(), frame.double(), v.double()
    slabs = x.t.unflatten(1, (n, d)).double()
    if not x.curved:
        slabs = torch.cat([slabs, torch.zeros_like(slabs[:1]).expand(3, -1, -1, -1, -1)])
    check_definite(im, g, z.dtype)
    dg, by_v = torch.einsum("npa,nbpq,nqc->nbac", e, slabs[1], e), e.mT @ slabs[0, :, 0]
    turned, dv = torch.einsum("npa,nbpq,nq->nab", e, slabs[1], w), by_v @ e
    lower = (dv + turned - turned.mT) / 2
    along = (by_v @ w[..., None])[..., 0] - torch.einsum("np,nbpq,nq->nb", w, slabs[1], w) / 2
    inside = torch.linalg.solve_ex(e.mT @ g @ e, torch.cat([lower, along[..., None]], -1))[0]
    c = inside[..., d]
    sloped = torch.einsum("nc,nabc->nab", c, dg)
    third = (sloped + sloped.mT - torch.einsum("nc,ncab->nab", c, dg)) / 2
    mixed = torch.einsum("npa,nbpq,nq->nab", e, slabs[3], w)
    square = (v[:, :, None] * v[:, None, :]).flatten(1)
    twice = _hessian(lambda u: im.matrices(u).flatten(1), z, square, frame) + e.mT @ slabs[2, :, 0] @ e
    across = (mixed + mixed.mT - twice) / 2 + lower.mT @ inside[..., :d] - third
    return _given(v, (e @ c[..., None])[..., 0], e @ inside[..., :d], across)


def _hessian(fn: Callable[[Tensor], Tensor], z: Tensor, w: Tensor, frame: Tensor) -> Tensor:
    """Return D^2 <w, fn> (e_a, e_b) (N, d, d) in float64, of a map of each code by itself, one product for each e_a."""
    n, d = z.shape
    with torch.inference_mode(False):
        at, weight, u = _folded(z, d).clone(), _folded(w, d).clone(), frame.mT.reshape(-1, d).clone()

        def gradient(x: Tensor) -> Tensor:
            slope: Tensor = vjp(fn, x)[1](weight)[0]
            return slope

        columns = vjp(gradient, at)[1](u)[0].unflatten(0, (n, d)).double()
    made = columns @ frame.double()
    return (made + made.mT) / 2


def _folded(x: Tensor, d: int) -> Tensor:
    """Return rows (N, k) as (N d, k), each d times."""
    return x.repeat_interleave(d, 0)


def _straight(v: Tensor) -> tuple[Tensor, ...]:
    zero = torch.zeros_like(v)
    square = torch.diag_embed(zero)
    return zero, square, square


def _given(v: Tensor, along: Tensor, turn: Tensor, across: Tensor) -> tuple[Tensor, ...]:
    return along.to(v), turn.to(v), ((across + across.mT) / 2).to(v)
