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
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, cast, final

import torch
from torch import Tensor, nn
from torch.func import jvp, vjp

from lsgen.geometry.batching import flat_codes, pointwise
from lsgen.geometry.checks import check_map, check_signature
from lsgen.geometry.double import DecoderMap, DistanceBound, widened_map
from lsgen.geometry.embedded import EmbeddedMetric, full_hessian
from lsgen.geometry.factorisation import raised
from lsgen.geometry.jets import Taylor, propagate
from lsgen.geometry.members import member_features
from lsgen.geometry.riemannian import Map
from lsgen.geometry.surroundings import flat_likelihood
from lsgen.latent import LatentSpace

__all__ = ["Immersion", "Jet", "immersion", "jet"]

Kind = Literal["fisher", "euclidean", "expected"]
NUDGE = 2.0**-10


class Jet(NamedTuple):
    """A map's value (B, m), Jacobian (B, d, m) and Hessian (B, d, d, m)."""

    value: Tensor
    jacobian: Tensor
    hessian: Tensor


class Restriction(NamedTuple):
    """An affine plane of the latent space: its origin (d,) and its basis (k, d)."""

    origin: Tensor
    basis: Tensor


class SpaceMap(DecoderMap):
    """The map from codes to flat space that defines the immersion of a latent space of a given kind.

    Args:
        space: the latent space.
        kind: "fisher", "euclidean" or "expected".
        features: a network after the mean.
        local: whether the embedding of the likelihood is moved by an isometry to each code.

    """

    def __init__(self, space: LatentSpace, kind: Kind, features: nn.Module | Map | None, local: bool = False) -> None:
        super().__init__(space)
        self.kind, self.features, self.local = kind, features, local

    def belongs_to(self) -> tuple[Any, Any]:
        """Return the decoder and what distinguishes this map of it, for the cache of traces."""
        others = tuple(None if x is None else weakref.ref(x) for x in (self.family, self.features))
        return self.owner, (self.kind, self.local, others, self.normal_length)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the image of codes (N, d)."""
        h = self.decoder(z)
        if self.kind == "fisher":
            embedded: Tensor = flat_likelihood(self.likelihood).embed(h, at=h.detach() if self.local else None)
            return embedded
        features = self.features
        if self.kind == "expected":
            return member_features(self.likelihood, h, [lambda p: p.mean, lambda p: p.stddev])
        return member_features(self.likelihood, h, [lambda p: p.mean if features is None else features(p.mean)])

    def differences(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return e(h_{i+1}) - e(h_i) of outputs (B, N, *raw), in the frame of h_i and in that of h_{i+1}."""
        left, right, embed = h[:, :-1], h[:, 1:], flat_likelihood(self.likelihood).embed
        in_left = embed(right, at=left.detach()) - embed(left, at=left.detach())
        in_right = embed(right, at=right.detach()) - embed(left, at=right.detach())
        return in_left, in_right


@final
@dataclass(frozen=True, eq=False)
class Immersion(EmbeddedMetric):
    r"""A map from the latent space into a flat space, z (B, d) -> f(z) (B, m).

    Args:
        fn: maps codes (N, d) to (N, ...), each code by itself; what follows the first dimension is flattened.
        dim: latent dimension d.
        signature: signs (m,) of the flat space, +1 or -1; all +1 where it is not given.
        moved: the same map in a frame that an isometry of the flat space moves to each code, whose derivatives and
            differences are more precise; where it is not given they are those of fn.
        restriction: the plane whose coordinates the codes are, see `restrict`.
        definite: whether the metric is known to be positive definite, as it is without a signature; else it is checked.
        bound: lower bounds (N,) of the distances of codes (N, d) and (N, d); else chords where all signs are +1.

    Raises:
        TypeError: fn cannot be called.
        ValueError: dim is not positive, or the signature holds other values than +1 and -1.

    Example:
        >>> circle = Immersion(lambda t: torch.cat([t.cos(), t.sin()], -1), dim=1)
        >>> circle(torch.zeros(1))
        tensor([1., 0.])

    """

    fn: Map
    dim: int
    signature: Tensor | Sequence[float] | None = None
    moved: SpaceMap | None = None
    restriction: Restriction | None = None
    definite: bool = False
    bound: Callable[[Tensor, Tensor], Tensor] | None = None

    requirement = "a signature that makes the metric positive definite"

    def __post_init__(self) -> None:
        check_map(self.fn, self.dim)
        if self.signature is None:
            object.__setattr__(self, "definite", True)
        else:
            object.__setattr__(self, "signature", check_signature(self.signature))

    def __call__(self, z: Tensor) -> Tensor:
        """Return f(z), of shape (B, m), at codes (B, d)."""
        value = self.fn(self.lifted(flat_codes(self, z).z))
        return value.reshape(*z.shape[:-1], value.shape[1:].numel())

    @property
    def local(self) -> Map:
        """The map whose derivatives are taken: f, moved by an isometry of the flat space where that is more precise."""
        return self.fn if self.moved is None else self.moved

    @property
    def euclidean(self) -> bool:
        """Whether all signs of the flat space are +1."""
        return self.signature is None

    @property
    def signs(self) -> Tensor | None:
        """The signature (m,) as a tensor, None where all signs are +1."""
        return cast("Tensor | None", self.signature)

    def signed(self, v: Tensor) -> Tensor:
        """Return vectors (..., m) of the flat space with the signs of its signature, so that <a, b> = a . signed(b)."""
        return v if self.signs is None else v * self.signs.to(v)

    def lifted(self, z: Tensor) -> Tensor:
        """Return the codes of the whole space at coordinates (N, d) of the plane of `restrict`."""
        if self.restriction is None:
            return z
        return self.restriction.origin.to(z) + z @ self.restriction.basis.to(z)

    def restrict(self, origin: Tensor, basis: Tensor) -> Immersion:
        r"""Return the immersion restricted to an affine plane, a -> f(origin + sum_i a_i basis_i).

        The subspace of some axes is the plane whose basis is the unit vectors of these axes, and whose origin holds
        the values of the other coordinates. Its jet costs k + k(k+1)/2 forward passes, whatever the latent dimension.

        Args:
            origin: code (d,).
            basis: directions (k, d).

        Returns:
            An immersion of dimension k.

        Raises:
            TypeError: codes lie on a curved manifold, which the plane leaves.
            ValueError: the shapes are not (d,) and (k, d), or a value is not finite.

        """
        if self.normals:
            raise TypeError(f"expected codes that fill flat space, got those of {self.manifold}, which a plane leaves")
        if origin.shape != (self.dim,) or basis.ndim != 2 or basis.shape[1] != self.dim or len(basis) < 1:
            raise ValueError(
                f"expected an origin ({self.dim},) and a basis (k, {self.dim}), "
                f"got {tuple(origin.shape)} and {tuple(basis.shape)}"
            )
        if not bool(torch.isfinite(origin).all() & torch.isfinite(basis).all()):
            raise ValueError("expected a finite origin and basis, got values that are not")
        whole = basis if self.restriction is None else basis @ self.restriction.basis.to(basis)
        return replace(self, dim=len(basis), restriction=Restriction(self.lifted(origin[None])[0], whole))

    def expansion(
        self, z: Tensor, order: int, directions: Tensor | None = None, isometric: bool = False, split: int = 0
    ) -> Taylor:
        """Return f with its derivatives at codes (N, d), flattened to (N, m); see `EmbeddedMetric.expansion`.

        Raises:
            ValueError: the map does not return one row per code, or its length is not that of the signature.

        """
        vectors = torch.eye(self.dim, dtype=z.dtype, device=z.device) if directions is None else directions
        if self.restriction is not None:
            vectors = vectors @ self.restriction.basis.to(z)
        x = propagate(self.local, self.lifted(z), vectors, order, isometric and self.euclidean, split)
        n = z.shape[0]
        if x.ndim < 1 or x.shape[0] != n:
            raise ValueError(f"expected a map ({n}, {self.dim}) -> ({n}, m), got {tuple(x.shape)}")
        m = x.shape[1:].numel()
        if self.signs is not None and len(self.signs) != m:
            raise ValueError(f"expected a signature of length m = {m}, got one of length {len(self.signs)}")
        return x.map(lambda v: v.reshape(n, m), lambda t: t.reshape(t.shape[0], n, m))

    def embedded(self, z: Tensor) -> Tensor:
        """Return f at codes (N, d), in the frame in which derivatives are taken, of shape (N, m)."""
        value = self.local(self.lifted(z))
        return value.reshape(len(z), value.shape[1:].numel())

    def segment_data(self, curves: Tensor) -> Tensor:
        """Return the values f (B, N, m) of curves (B, N, d), or the decoder's outputs where frames are moved."""
        b, n, d = curves.shape
        z = self.lifted(curves.reshape(-1, d))
        if self.moved is None:
            value = self.fn(z)
            return value.reshape(b, n, value.shape[1:].numel())
        h = self.moved.decoder(z)
        return cast(Tensor, h.reshape(b, n, *h.shape[1:]))

    def differences(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z_{i+1}) - f(z_i) from segment data, in the frames of z_i and of z_{i+1}; each (B, N-1, m)."""
        return super().differences(known) if self.moved is None else self.moved.differences(known)

    def in_double(self) -> Immersion:
        """Return the same immersion computed in float64."""
        moved = None if self.moved is None else self.moved.in_double()
        bound = None if self.bound is None else widened_map(self.bound)
        return replace(self, fn=widened_map(self.fn), moved=moved, bound=bound)

    def lower_bound(self, start: Tensor, end: Tensor) -> Tensor:
        """Return a lower bound (N,) of the geodesic distance of codes (N, d); NaN where none is known.

        It is the given bound, else the chord |f(end) - f(start)| where all signs of the flat space are +1.
        """
        a, b = self.lifted(start), self.lifted(end)
        if self.bound is not None:
            return self.bound(a, b)
        if self.signs is not None and bool((self.signs < 0).any()):
            return super().lower_bound(start, end)
        return torch.linalg.vector_norm((self.fn(b) - self.fn(a)).flatten(1), dim=-1)

    def value_norm(self, known: Tensor) -> Tensor:
        """Return the norm of f at every point (B, N), or at the ends (B, 1) in the frame that chords are taken in.

        In a moved frame f is small, and |De(h) h| tells what rounding of h moves. In a fixed frame with negative signs
        squares of coordinates cancel in the square of a chord D, which magnifies rounding by |D| / sqrt <D, D>.
        """
        if self.signs is None:
            return known.norm(dim=-1)
        if self.moved is None:
            chord, _ = self.differences(known)
            size, square = chord.norm(dim=-1), self.dot(chord, chord)
            magnified = torch.where(square > 0, size / square.clamp(min=0).sqrt(), torch.where(size > 0, torch.inf, 1))
            return known.norm(dim=-1) * magnified.amax(-1, keepdim=True)
        ends = known[:, [0, -1]]
        pairs = torch.stack([ends, ends * (1 + NUDGE)], 2).flatten(0, 1)
        change = self.differences(pairs)[0].norm(dim=-1).reshape(len(known), 2)
        return change.amax(-1, keepdim=True) / NUDGE + len(self.signs) ** 0.5

    def product_size(self, z: Tensor) -> Tensor:
        """Return |J|^2 (N,) by the plain square of J, of whose terms negative signs make a difference."""
        if self.signs is None:
            return torch.zeros_like(z[:, 0])
        j = self.expansion(z, 1, isometric=True).t
        return j.double().square().sum((0, -1))

    def coordinate_norm(self, curves: Tensor) -> Tensor:
        """Return the norm of the codes (B, N), of the whole space in units of the coordinates."""
        codes = self.lifted(curves.flatten(0, 1)).unflatten(0, curves.shape[:2]).norm(dim=-1)
        if self.restriction is None:
            return codes
        basis = self.restriction.basis
        return codes * (len(basis) ** 0.5 / basis.norm().to(codes))

    def within_manifold(self, z: Tensor, w: Tensor) -> Tensor:
        """Return the part within the statistical manifold of vectors (N, m) of the flat space at codes (N, d).

        Of a Fisher immersion that is J_e F^-1 J_e^T S w, J_e the derivative of the embedding; of others all of w.
        """
        made = self.local
        if not isinstance(made, SpaceMap) or made.kind != "fisher":
            return w
        likelihood = flat_likelihood(made.likelihood)
        h = made.decoder(self.lifted(z)).detach()
        base = h if made.local else None

        def embed(h: Tensor) -> Tensor:
            return likelihood.embed(h, at=base)

        (pulled,) = vjp(embed, h)[1](w * likelihood.signature.to(w))
        vector = likelihood.join(raised(likelihood.fisher(h), likelihood.split(pulled)))
        part: Tensor = jvp(embed, (h,), (vector,))[1]
        return part


def immersion(
    space: LatentSpace,
    kind: Kind = "fisher",
    features: nn.Module | Map | None = None,
    uncertainty: Callable[[LatentSpace], LatentSpace] | None = None,
    frozen_noise: int | None = None,
) -> Immersion:
    r"""Return the immersion of a latent space.

        fisher:     z -> e(h(z)), whose metric is the pulled-back Fisher-Rao metric J_h^T F J_h.
        euclidean:  z -> E[x|z], or features(E[x|z]).
        expected:   z -> (E[x|z], std[x|z]), whose metric is J_mu^T J_mu + J_sigma^T J_sigma.

    Codes on a sphere, or on a product with spheres such as the torus, keep their coordinates; the map then ends in the
    normal coordinates of the manifold, see `lsgen.geometry.surroundings`.

    Args:
        space: the latent space.
        kind: which of the three.
        features: a network (N, *shape) -> (N, ...) after the mean, for a perceptual metric; euclidean only.
        uncertainty: what makes the space one whose metric knows how sure the decoder is, see
            `lsgen.geometry.uncertainty.sources`; with members the metric is the average of theirs.
        frozen_noise: seed of what the decoder draws, held fixed by `lsgen.geometry.jets.FrozenNoise`; else refused.

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
    fn = SpaceMap(space, kind, features).with_frozen_noise(frozen_noise)
    if kind != "fisher":
        return Immersion(fn, space.dim)
    signature, bound = flat_likelihood(fn.likelihood).signature, DistanceBound(space).with_frozen_noise(frozen_noise)
    if not bool((signature < 0).any()):
        return Immersion(fn, space.dim, bound=bound)
    moved = copy(fn)
    moved.local = True
    return Immersion(fn, space.dim, signature, moved, definite=True, bound=bound)


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

    def one(part: Tensor) -> tuple[Tensor, ...]:
        x = im.expansion(part, 2)
        value = x.v if im.moved is None else im.fn(im.lifted(part)).flatten(1)
        return value, x.j.movedim(0, 1), full_hessian(x)

    return Jet(*pointwise(one, im, z, chunk_size, order=2))
