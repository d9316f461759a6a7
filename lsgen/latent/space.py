"""The spaces that models learn, which models return and geometry, analysis and callbacks take.

What a space can do is its type:

    Space                     codes of a dimension, on a manifold
    EncodableSpace            observations -> distributions over codes
    ItemSpace                 the codes of a closed set of items, such as words or nodes
    FeatureSpace              an encoder and nothing else
    LatentSpace               a prior p(z), a decoder z -> h and a likelihood h -> p(x|h)
    EncodableLatentSpace      a latent space with a posterior q(z|x)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lsgen.latent.codes import Codes
from lsgen.latent.densities import check_density
from lsgen.latent.discrete.quantised import CodebookPrior, Quantiser
from lsgen.latent.distances import CodeDistance, distance_on
from lsgen.latent.families.ladder import LadderNormal, TopDownDecoder
from lsgen.latent.families.points import Deterministic, Point
from lsgen.latent.manifolds.manifold import Euclidean, Manifold
from lsgen.latent.posteriors import DecoderDependentPosterior, DiagonalNormal, Posterior
from lsgen.latent.priors import EncoderDependentPrior, Prior
from lsgen.likelihoods import Likelihood

__all__ = ["EncodableLatentSpace", "EncodableSpace", "FeatureSpace", "ItemSpace", "LatentSpace", "Space"]


class Space(nn.Module, ABC):
    """Abstract space of codes (B, d)."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension d of codes."""

    @property
    @abstractmethod
    def manifold(self) -> Manifold:
        """The geometry that codes have by construction."""

    @property
    def distance(self) -> CodeDistance:
        """What is near: the distance of the manifold, unless the model has learned to compare codes in another way."""
        return distance_on(self.manifold)


class EncodableSpace(Space):
    """Abstract space in which observations have codes."""

    @abstractmethod
    def encode(self, x: Tensor) -> Distribution:
        """Return the distribution over codes, of batch shape (N,) and event shape (d,), of observations (N, *shape)."""


class ItemSpace(Space):
    """Abstract space of a closed set of items, each of which has one code."""

    @abstractmethod
    def items(self) -> Codes:
        """Return the codes of all items, by name."""


class FeatureSpace(EncodableSpace):
    """A space with an encoder alone, such as that of a siamese network or of the features of a classifier.

    Codes are points without a spread: the raw outputs in the parametrisation of the manifold, which on a sphere is
    their direction.

    Args:
        encoder: maps observations (N, *shape) to raw outputs (N, d); a `dim` attribute, where it has one, must agree.
        dim: the dimension d.
        manifold: where codes lie; flat space unless given.
        shape: shape of one observation; any that the encoder takes unless given.
        distance: returns the distance by which codes are compared, as it stands; that of the manifold unless given.

    Attributes:
        shape: shape of one observation; None where the encoder decides.

    Raises:
        ValueError: dim is not positive, or the encoder or the manifold has another.

    """

    def __init__(
        self,
        encoder: nn.Module,
        dim: int,
        manifold: Manifold | None = None,
        shape: Sequence[int] | None = None,
        distance: Callable[[], CodeDistance] | None = None,
    ) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"expected a dimension of at least 1, got {dim}")
        self._manifold = Euclidean() if manifold is None else manifold
        _agree("encoder.dim", getattr(encoder, "dim", None), "dim", dim)
        _agree("encoder.heads", getattr(encoder, "heads", None), "heads", 1)
        _agree("manifold.coordinates", self._manifold.coordinates, "dim", dim)
        self.encoder, self._dim, self._distance = encoder, int(dim), distance
        self.shape = None if shape is None else tuple(int(size) for size in shape)

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self._dim

    @property
    def manifold(self) -> Manifold:
        """The manifold on which codes lie."""
        return self._manifold

    @property
    def distance(self) -> CodeDistance:
        """The distance by which codes are compared."""
        return super().distance if self._distance is None else self._distance()

    def encode(self, x: Tensor) -> Point:
        """Return the codes of observations (N, *shape) as points, of batch shape (N,) and event shape (d,).

        Raises:
            ValueError: the encoder has given another shape than (N, d).

        """
        raw = _single(self.encoder(x))
        if raw.shape != (len(x), self.dim):
            raise ValueError(f"expected an encoder with outputs ({len(x)}, {self.dim}), got {tuple(raw.shape)}")
        return Point(self.manifold.parametrised(raw))


class LatentSpace(Space):
    """A prior, a decoder and a likelihood.

    Args:
        decoder: maps codes (N, d) to raw outputs (N, heads * C, ...); a `heads` attribute, where it has one,
            must agree with the likelihood's, and a `curvature` with that of the prior's manifold.
        likelihood: turns raw outputs into a distribution over observations.
        prior: distribution over codes.

    Raises:
        ValueError: the decoder and the likelihood disagree on the number of heads, or the decoder and the
            prior on the latent dimension or on the curvature of the space of codes.
        TypeError: the likelihood or the prior is none.

    """

    def __init__(self, decoder: nn.Module, likelihood: Likelihood, prior: Prior) -> None:
        super().__init__()
        for name, part, kind in (("likelihood", likelihood, Likelihood), ("prior", prior, Prior)):
            if not isinstance(part, kind):
                raise TypeError(f"expected {name} to be a {kind.__name__}, got {type(part).__name__}")
        _agree("decoder.heads", getattr(decoder, "heads", None), "likelihood.heads", likelihood.heads)
        _agree("decoder.dim", getattr(decoder, "dim", None), "prior.dim", prior.dim)
        if (c := getattr(decoder, "curvature", None)) is not None:
            _agree("decoder.curvature", c, "prior.manifold.curvature", getattr(prior.manifold, "curvature", None))
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior

    @property
    def dim(self) -> int:
        """The latent dimension d."""
        return self.prior.dim

    @property
    def manifold(self) -> Manifold:
        """The geometry that codes have by construction, which paths through them follow."""
        return self.prior.manifold

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The dimension of every level of codes, the top one first; a space without levels has one."""
        return self.decoder.sizes if isinstance(self.decoder, TopDownDecoder) else (self.dim,)

    def raw(self, z: Tensor) -> Tensor:
        """Return the decoder's raw outputs (B, heads * C, ...) at codes (B, d), for any batch shape B.

        They are in single precision at least, also where automatic mixed precision runs the decoder in half.

        Raises:
            ValueError: z does not end in the latent dimension.

        """
        if z.shape[-1:] != (self.dim,):
            raise ValueError(f"expected codes of shape (B, {self.dim}), got {tuple(z.shape)}")
        h = _single(self.decoder(z.reshape(-1, self.dim)))
        return h.reshape(*z.shape[:-1], *h.shape[1:])

    def decode(self, z: Tensor) -> Distribution:
        """Return p(x|z), of batch shape B, at codes (B, d)."""
        distribution: Distribution = self.likelihood(self.raw(z))
        return distribution

    def sample(self, n: int) -> Tensor:
        """Draw n observations: z from the prior, then x as `observe` does; shape (n, *shape)."""
        with torch.no_grad():
            return self.observe(self.prior().sample((n,)))

    def observe(self, z: Tensor) -> Tensor:
        """Return an observation (B, *shape) for every code (B, d), drawn from p(x|z)."""
        return self.decode(z).sample()


class EncodableLatentSpace(LatentSpace, EncodableSpace):
    """A latent space with a posterior q(z|x).

    Args:
        encoder: maps observations (N, C, ...) to raw outputs (N, posterior.heads * d).
        decoder: see `LatentSpace`.
        likelihood: see `LatentSpace`.
        prior: see `LatentSpace`.
        posterior: family of q(z|x); a diagonal normal unless another is given.

    Raises:
        ValueError: see `LatentSpace`; also where encoder and prior disagree on the latent dimension, or prior and
            posterior on the manifold to whose volume densities of codes refer: a posterior may reach beyond a cube.
        TypeError: see `LatentSpace`; also where a codebook's prior and its quantiser are not together, or a prior that
            is made of posteriors gets points.

    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        posterior: Posterior | None = None,
    ) -> None:
        super().__init__(decoder, likelihood, prior)
        self.encoder = encoder
        self.posterior = DiagonalNormal() if posterior is None else posterior
        part = self.posterior.raw_dim
        name, dim = ("prior.dim", prior.dim) if part is None else ("posterior.raw_dim", part)
        _agree("encoder.dim", getattr(encoder, "dim", None), name, dim)
        _agree("encoder.heads", getattr(encoder, "heads", None), "posterior.heads", self.posterior.heads)
        self._missingness: list[nn.Module] = []
        self._bind()

    @property
    def missingness(self) -> nn.Module | None:
        """The model p(s|x) of which values are observed, where one was bound: values are missing not at random."""
        return self._missingness[0] if self._missingness else None

    def bind_missingness(self, missingness: nn.Module) -> None:
        """Store p(s|x), observations (N, *shape) -> logits that values are observed, without registering it."""
        self._missingness = [missingness]

    def _bind(self) -> None:
        """Connect the parts that depend on one another, and refuse a prior and a posterior on different manifolds."""
        prior, posterior = self.prior, self.posterior
        names = f"{type(prior).__name__} and {type(posterior).__name__}"
        if isinstance(prior, EncoderDependentPrior):
            check_density(posterior)
            prior.bind(self.encode, posterior.manifold)
        if isinstance(prior, CodebookPrior) != isinstance(posterior, Quantiser):
            raise TypeError(f"expected a CodebookPrior and a VectorQuantiser together, got {names}")
        if isinstance(prior, CodebookPrior) and isinstance(posterior, Quantiser):
            prior.bind(posterior)
        if isinstance(posterior, Deterministic):
            posterior.bind_to(prior.manifold)
        if isinstance(posterior, DecoderDependentPosterior):
            posterior.bind(self.decoder)
        if prior.manifold.measure != posterior.manifold.measure:
            raise ValueError(
                "expected prior and posterior to agree where codes lie, "
                f"got {prior.manifold} of {type(prior).__name__} and {posterior.manifold} of {type(posterior).__name__}"
            )

    def encode(self, x: Tensor) -> Distribution:
        """Return q(z|x), of batch shape (N,) and event shape (d,), for observations (N, *shape)."""
        posterior: Distribution = self.posterior(self.outputs(x))
        return posterior

    def outputs(self, x: Tensor) -> Tensor:
        """Return the encoder's raw outputs for observations (N, *shape), in single precision at least."""
        return _single(self.encoder(x))

    def draw(self, q: Distribution, sample_shape: Sequence[int] = ()) -> tuple[Tensor, Distribution]:
        """Return codes (*sample_shape, B, d) of a posterior of this space, and p(x|z) at them.

        Codes are reparameterised where the posterior can; a space with levels goes down them once for both.
        """
        if isinstance(q, LadderNormal):
            z, h = q.rsample_decoded(sample_shape)
            return z, self.likelihood(_single(h))
        shape = torch.Size(sample_shape)
        z = q.rsample(shape) if q.has_rsample else q.sample(shape)
        return z, self.decode(z)


def _single(h: Tensor) -> Tensor:
    return h.to(torch.promote_types(h.dtype, torch.float32))


def _agree(name: str, value: float | None, other_name: str, other: float | None) -> None:
    if value is not None and value != other:
        raise ValueError(f"expected {name} = {other_name} = {other}, got {name} = {value}")
