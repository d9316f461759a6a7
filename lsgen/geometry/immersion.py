r"""An immersion of the latent space into a flat space, and its jet.

    f : R^d -> R^m,   J_i = df/dz_i,   H_ij = d^2 f / dz_i dz_j,   <a, b> = sum_k s_k a_k b_k,  s_k = +1 or -1.

A decoder z -> h followed by the flat embedding h -> e(h) of its likelihood is an immersion whose induced metric
<J_i, J_j> is the pulled-back Fisher-Rao metric. An image as such (`euclidean`), its features, and the pair of mean
and standard deviation (`expected`, the expected metric of Latent Space Oddity) are immersions too.

Reference: Arvanitidis, Hansen & Hauberg, "Latent space oddity" (2018), https://arxiv.org/abs/1710.11379;
Arvanitidis et al., "Pulling back information geometry" (2022), https://arxiv.org/abs/2106.05367.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lsgen.geometry.checks import check_codes, check_map, check_signature
from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.jets import Taylor, propagate
from lsgen.geometry.members import member_features
from lsgen.latent import LatentSpace
from lsgen.likelihoods import FlatLikelihood, Likelihood

__all__ = ["Immersion", "Jet", "immersion", "jet"]

Map = Callable[[Tensor], Tensor]
Kind = Literal["fisher", "euclidean", "expected"]


class Jet(NamedTuple):
    """A map's value (B, m), Jacobian (B, d, m) and Hessian (B, d, d, m)."""

    value: Tensor
    jacobian: Tensor
    hessian: Tensor


class Immersion:
    r"""A map from the latent space into a flat space, z (B, d) -> f(z) (B, m).

    Args:
        fn: maps codes (N, d) to (N, ...), each code by itself; what follows the first dimension is flattened.
        dim: latent dimension d.
        signature: signs (m,) of the flat space, +1 or -1; all +1 where it is not given.

    Raises:
        TypeError: fn cannot be called.
        ValueError: dim is not positive, or the signature holds other values than +1 and -1.

    Example:
        >>> circle = Immersion(lambda t: torch.cat([t.cos(), t.sin()], -1), dim=1)
        >>> circle(torch.zeros(1))
        tensor([1., 0.])

    """

    def __init__(self, fn: Map, dim: int, signature: Tensor | Sequence[float] | None = None) -> None:
        check_map(fn, dim)
        self.fn, self.dim = fn, int(dim)
        self.signature = None if signature is None else check_signature(signature)
        self.trusted = signature is None
        self.origin: Tensor | None = None
        self.basis: Tensor | None = None
        self._local: Map | None = None

    def __call__(self, z: Tensor) -> Tensor:
        """Return f(z), of shape (B, m), at codes (B, d)."""
        flat = check_codes(self.fn, self.dim, z)
        value = self.fn(self.lifted(flat))
        return value.reshape(*z.shape[:-1], -1)

    @property
    def local(self) -> Map:
        """The map whose derivatives are taken: f, moved by an isometry of the flat space where that is more precise."""
        return self.fn if self._local is None else self._local

    def signed(self, v: Tensor) -> Tensor:
        """Return vectors (..., m) of the flat space with the signs of its signature, so that <a, b> = a . signed(b)."""
        return v if self.signature is None else v * self.signature.to(v)

    def lifted(self, z: Tensor) -> Tensor:
        """Return the codes of the whole space at coordinates (N, d) of the plane of `restrict`."""
        if self.origin is None or self.basis is None:
            return z
        return self.origin.to(z) + z @ self.basis.to(z)

    def restrict(self, origin: Tensor, basis: Tensor) -> Immersion:
        r"""Return the immersion restricted to an affine plane, a -> f(origin + sum_i a_i basis_i).

        A sub-latent is the plane whose basis is the unit vectors of the free coordinates, and whose origin holds the
        values of the others. Its jet costs k + k(k+1)/2 forward passes, whatever the dimension of the whole.

        Args:
            origin: code (d,).
            basis: directions (k, d).

        Returns:
            An immersion of dimension k.

        Raises:
            ValueError: the shapes are not (d,) and (k, d), or a value is not finite.

        """
        if origin.shape != (self.dim,) or basis.ndim != 2 or basis.shape[1] != self.dim or len(basis) < 1:
            raise ValueError(
                f"expected an origin ({self.dim},) and a basis (k, {self.dim}), "
                f"got {tuple(origin.shape)} and {tuple(basis.shape)}"
            )
        if not bool(torch.isfinite(origin).all() & torch.isfinite(basis).all()):
            raise ValueError("expected a finite origin and basis, got values that are not")
        restricted = Immersion(self.fn, len(basis))
        restricted.signature, restricted.trusted, restricted._local = self.signature, self.trusted, self._local
        restricted.origin = self.lifted(origin[None])[0]
        restricted.basis = basis if self.basis is None else basis @ self.basis.to(basis)
        return restricted

    def expansion(self, z: Tensor, order: int, directions: Tensor | None = None, isometric: bool = False) -> Taylor:
        """Return f with its derivatives at codes (N, d), flattened to (N, m).

        Args:
            z: codes (N, d), checked.
            order: 1 or 2.
            directions: vectors (k, d) or (k, N, d); the coordinate vectors where they are not given.
            isometric: f may be moved by an isometry, where only inner products of derivatives are wanted; the
                result may then have fewer than m coordinates.

        Raises:
            ValueError: the map does not return one row per code, or its length is not that of the signature.

        """
        vectors = torch.eye(self.dim, dtype=z.dtype, device=z.device) if directions is None else directions
        if self.basis is not None:
            vectors = vectors @ self.basis.to(z)
        x = propagate(self.local, self.lifted(z), vectors, order, isometric and self.signature is None)
        n = z.shape[0]
        if x.ndim < 1 or x.shape[0] != n:
            raise ValueError(f"expected a map ({n}, {self.dim}) -> ({n}, m), got {tuple(x.shape)}")
        m = x.shape[1:].numel()
        if self.signature is not None and len(self.signature) != m:
            raise ValueError(f"expected a signature of length m = {m}, got one of length {len(self.signature)}")
        return x.map(lambda v: v.reshape(n, m), lambda t: t.reshape(t.shape[0], n, m))


class SpaceMap:
    """The map of a latent space that an immersion of some kind takes."""

    widened = False

    def __init__(self, space: LatentSpace, kind: Kind, features: nn.Module | Map | None, local: bool = False) -> None:
        self.decoder, self.likelihood = space.decoder, space.likelihood
        self.kind, self.features, self.local = kind, features, local
        self.manifold = space.manifold

    def belongs_to(self) -> tuple[Any, Any]:
        """Return the decoder and what distinguishes this map of it, for the cache of traces."""
        others = tuple(None if x is None else weakref.ref(x) for x in (self.likelihood, self.features))
        return self.decoder, (self.kind, self.local, others)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the image of codes (N, d)."""
        h = self.decoder(z)
        if self.kind == "fisher":
            embedded: Tensor = _flat(self.likelihood).embed(h, at=h.detach() if self.local else None)
            return embedded
        features = self.features
        if self.kind == "expected":
            return member_features(self.likelihood, h, [lambda p: p.mean, lambda p: p.stddev])
        return member_features(self.likelihood, h, [lambda p: p.mean if features is None else features(p.mean)])


def immersion(
    space: LatentSpace,
    kind: Kind = "fisher",
    features: nn.Module | Map | None = None,
    uncertainty: Callable[[LatentSpace], LatentSpace] | None = None,
) -> Immersion:
    r"""Return the immersion of a latent space.

        fisher:     z -> e(h(z)), whose metric is the pulled-back Fisher-Rao metric J_h^T F J_h.
        euclidean:  z -> E[x|z], or features(E[x|z]).
        expected:   z -> (E[x|z], std[x|z]), whose metric is J_mu^T J_mu + J_sigma^T J_sigma.

    Args:
        space: the latent space.
        kind: which of the three.
        features: a network (N, *shape) -> (N, ...) after the mean, for a perceptual metric; euclidean only.
        uncertainty: what makes the space one whose metric knows how sure the decoder is, see
            `lsgen.geometry.uncertainty.sources`; with members the metric is the average of theirs.

    Raises:
        TypeError: space is no `LatentSpace`, uncertainty cannot be called, or kind is "fisher" and the likelihood has
            no flat embedding.
        ValueError: another kind, or features with a kind that does not take them.

    Reference:
        Arvanitidis, Hansen & Hauberg (2018), equation 11, for `expected`.

    """
    if not isinstance(space, LatentSpace):
        raise TypeError(f"expected a LatentSpace, got {type(space).__name__}")
    if kind not in ("fisher", "euclidean", "expected"):
        raise ValueError(f'expected kind "fisher", "euclidean" or "expected", got {kind!r}')
    if features is not None and kind != "euclidean":
        raise ValueError(f'expected features with kind "euclidean" only, got them with {kind!r}')
    if uncertainty is not None:
        if not callable(uncertainty):
            raise TypeError(f"expected uncertainty to be an Uncertainty, got {type(uncertainty).__name__}")
        space = uncertainty(space)
    made = Immersion(SpaceMap(space, kind, features), space.dim)
    if kind == "fisher":
        likelihood = _flat(space.likelihood)
        if bool((likelihood.signature < 0).any()):
            made.signature = likelihood.signature
            made._local = SpaceMap(space, kind, features, local=True)
    return made


def _flat(likelihood: Likelihood) -> FlatLikelihood:
    if not isinstance(likelihood, FlatLikelihood):
        raise TypeError(
            f"expected a likelihood with a flat embedding (a FlatLikelihood), got {type(likelihood).__name__}: "
            "metric_field(space) is its Fisher-Rao metric; kinds euclidean and expected work too"
        )
    return likelihood


def jet(fn: Map | Immersion, z: Tensor, chunk_size: int | None = None) -> Jet:
    r"""Return the value, Jacobian and Hessian of a map, from one second-order Taylor propagation.

        J_i = df/dz_i,    H_ij = d^2 f / dz_i dz_j.

    The value is that of the map itself; the derivatives of a Fisher immersion with negative signs are taken in a frame
    moved to each point by an isometry, which leaves inner products as they are. Under grad mode all three are
    differentiable with respect to z and the weights.

    Args:
        fn: an `Immersion`, or a map (N, d) -> (N, ...).
        z: codes (B, d), for any batch shape B.
        chunk_size: number of codes to propagate at once; chosen by itself where it is not given.

    Returns:
        Jet(value (B, m), jacobian (B, d, m), hessian (B, d, d, m)).

    Raises:
        TypeError: z is neither float32 nor float64, or of another dtype than the weights.
        ValueError: z has another shape than (B, d), is not finite, or a module is in train mode.

    Reference:
        Griewank & Walther, "Evaluating Derivatives" (2008), chapter 13.

    """
    im = fn if isinstance(fn, Immersion) else Immersion(fn, z.shape[-1])
    flat = check_codes(im.fn, im.dim, z)

    def one(part: Tensor) -> tuple[Tensor, ...]:
        x = im.expansion(part, 2)
        value = x.v if im._local is None else im.fn(im.lifted(part)).flatten(1)
        return value, x.j.movedim(0, 1), full_hessian(x)

    value, jacobian, hessian = in_chunks(one, im, flat, chunk_size, order=2)
    batch, m = z.shape[:-1], value.shape[-1]
    d = im.dim
    return Jet(value.reshape(*batch, m), jacobian.reshape(*batch, d, m), hessian.reshape(*batch, d, d, m))


def full_hessian(x: Taylor) -> Tensor:
    """Return the second derivatives of an expansion (N, m) as (N, d, d, m)."""
    d, (n, m) = x.frame.d, x.shape
    if not x.curved:
        return x.t.new_zeros(n, d, d, m)
    return x.t[d:].movedim(0, 1)[:, x.frame.places(x.t.device)]
