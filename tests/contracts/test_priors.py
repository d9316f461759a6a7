"""Every prior keeps the contract. Priors enrol themselves: what `lsgen.latent` and `lsgen.models.gan` hold is tested.

Truth are sums over all codes: nodes and weights of each manifold, which know no prior.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cache

import pytest
import torch

import lsgen.latent
import lsgen.models.gan
from lsgen.latent import (
    AutoregressivePrior,
    ClassPosterior,
    CodebookPrior,
    Cube,
    Deterministic,
    DiagonalNormal,
    EncodableLatentSpace,
    Euclidean,
    FlowPrior,
    HypersphericalUniform,
    LatentSpace,
    Manifold,
    MixtureOfNormals,
    OneHot,
    PoincareBall,
    Posterior,
    Prior,
    Product,
    ProductManifold,
    Simplex,
    StandardNormal,
    Uniform,
    VampPrior,
    VectorQuantiser,
    VonMisesFisherPosterior,
    WrappedNormalPosterior,
    WrappedNormalPrior,
)
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan.styles import Styles
from lsgen.nn import MLPDecoder, MLPEncoder, PixelCNN
from lsgen.nn.stylegan import StyleGenerator

pytest.importorskip("zuko")
D, SIGMA = 3, 0.4
REAL = torch.float64


def _generator() -> StyleGenerator:
    return StyleGenerator(2, (1, 4, 4), width=3, channels=(4,), mapping_layers=1)


PRIORS: dict[str, Callable[[], tuple[Prior, Posterior | None]]] = {
    "StandardNormal": lambda: (StandardNormal(2), None),
    "MixtureOfNormals": lambda: (MixtureOfNormals(2, 3), None),
    "VampPrior": lambda: (VampPrior(2, (D,), 3), DiagonalNormal()),
    "FlowPrior": lambda: (FlowPrior(2), None),
    "HypersphericalUniform": lambda: (HypersphericalUniform(3), None),
    "HypersphericalUniform, a circle": lambda: (HypersphericalUniform(2), None),
    "VampPrior on a sphere": lambda: (VampPrior(2, (D,), 3), VonMisesFisherPosterior()),
    "WrappedNormalPrior": lambda: (WrappedNormalPrior(2, 0.7, 1.2), None),
    "Uniform": lambda: (Uniform(2, -1.0, 2.0), None),
    "OneHot": lambda: (OneHot(4), None),
    "Product": lambda: (Product([StandardNormal(1), OneHot(3)]), None),
    "Product of three": lambda: (Product([Uniform(1), OneHot(2), HypersphericalUniform(2)]), None),
    "CodebookPrior": lambda: (CodebookPrior(4), VectorQuantiser(4, 3, 2)),
    "AutoregressivePrior": lambda: (AutoregressivePrior(4, (1, 2), PixelCNN(3, 8, 2)), VectorQuantiser(4, 3, 2)),
    "Styles": lambda: (Styles(StandardNormal(2), _generator()), None),
}


def _families() -> set[str]:
    rooms = (lsgen.latent, lsgen.models.gan)
    names = [m.name for room in rooms for m in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")]
    classes = (c for n in names for _, c in inspect.getmembers(importlib.import_module(n), inspect.isclass))
    return {c.__name__ for c in classes if issubclass(c, Prior) and not inspect.isabstract(c)}


@cache
def _space(name: str) -> LatentSpace:
    torch.manual_seed(3)
    prior, posterior = PRIORS[name]()
    decoder = MLPDecoder(prior.dim, (D,), hidden=(8,), activation=torch.nn.Tanh)
    likelihood = FixedGaussian((D,), SIGMA)
    if posterior is None:
        return LatentSpace(decoder, likelihood, prior).to(REAL).eval()
    encoder = MLPEncoder((D,), prior.dim, hidden=(8,), heads=posterior.heads)
    return EncodableLatentSpace(encoder, decoder, likelihood, prior, posterior).to(REAL).eval()


@pytest.fixture(params=PRIORS)
def space(request: pytest.FixtureRequest) -> LatentSpace:
    return _space(request.param)


def test_every_prior_is_here() -> None:
    assert _families() <= {name.split(",")[0].split(" ")[0] for name in PRIORS}


def test_draws_are_codes_and_other_points_are_not(space: LatentSpace) -> None:
    z = space.prior().sample((50,))
    manifold = space.manifold
    assert bool(manifold.contains(z).all())
    torch.testing.assert_close(manifold.onto(z), z)
    if manifold != Euclidean():
        assert not bool(manifold.contains(z + 5).any())
        assert bool(manifold.contains(manifold.onto(z + 5)).all())


def test_flow_keeps_the_length_and_runs_back(space: LatentSpace) -> None:
    torch.manual_seed(0)
    manifold, z = space.manifold, space.prior().sample((40,))
    v = manifold.tangent(z, torch.randn_like(z)) / manifold.conformal_factor(z)
    length = lambda z, v: torch.linalg.vector_norm(manifold.conformal_factor(z) * v, dim=-1)
    there, velocity = manifold.flow(z, v)
    assert bool(manifold.contains(there).all())
    torch.testing.assert_close(length(there, velocity), length(z, v))
    torch.testing.assert_close(manifold.tangent(there, velocity), velocity)
    back, reversed_ = manifold.flow(there, -velocity)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(reversed_, -v)
    half, on_the_way = manifold.flow(z, v / 2)
    torch.testing.assert_close(manifold.flow(half, on_the_way)[0], there)


@pytest.mark.parametrize("manifold", [PoincareBall(0.7), Cube(-1.0, 2.0)], ids=repr)
def test_flow_keeps_volume(manifold: Manifold) -> None:
    """The volume of (z, v) is det g(z) dz dv, with det g = lambda^2d."""
    z, v = torch.tensor([0.5, -0.1, 0.3], dtype=REAL), torch.tensor([0.4, 1.3, -0.3], dtype=REAL)
    flow = lambda phase: torch.cat(manifold.flow(phase[:3], phase[3:]))
    determinant = torch.linalg.det(torch.autograd.functional.jacobian(flow, torch.cat([z, v]))).abs()
    stretch = manifold.conformal_factor(manifold.flow(z, v)[0]) / manifold.conformal_factor(z)
    torch.testing.assert_close(determinant * stretch.squeeze() ** 6, torch.ones((), dtype=REAL))


def test_walls_reflect() -> None:
    cube = Cube(-1.0, 1.0)
    z, v = torch.tensor([[0.5, -0.5]], dtype=REAL), torch.tensor([[0.7, -8.7]], dtype=REAL)
    there, velocity = cube.flow(z, v)
    torch.testing.assert_close(there, torch.tensor([[0.8, -0.8]], dtype=REAL))
    torch.testing.assert_close(velocity, torch.tensor([[-0.7, 8.7]], dtype=REAL))


def test_flat_parts_side_by_side_are_one() -> None:
    assert Product([StandardNormal(2), StandardNormal(1)]).manifold == Euclidean()
    nested = Product([Product([StandardNormal(1), OneHot(2)]), OneHot(2), Uniform(1), Uniform(2)])
    parts = [Euclidean(), Simplex(2), Simplex(2), Cube(-1, 1)]
    assert nested.manifold == ProductManifold(parts, [1, 2, 2, 3])
    assert nested.manifold.measure == ProductManifold([Euclidean(), Simplex(2), Simplex(2), Euclidean()], [1, 2, 2, 3])
    assert [choice.start for choice in nested.manifold.choices] == [1, 3]


def _bound(prior: Prior, posterior: Posterior, raw: int = 2) -> EncodableLatentSpace:
    encoder = torch.nn.Linear(D, raw * prior.dim)
    return EncodableLatentSpace(encoder, torch.nn.Linear(prior.dim, D), FixedGaussian((D,)), prior, posterior)


def _ball(curvature: float = 1.0) -> WrappedNormalPrior:
    return WrappedNormalPrior(2, curvature)


@pytest.mark.parametrize(
    ("prior", "posterior", "places"),
    [
        (HypersphericalUniform(2), DiagonalNormal(), r"Sphere\(\) of HypersphericalUniform and Euclidean\(\)"),
        (StandardNormal(2), VonMisesFisherPosterior(), r"Euclidean\(\) of StandardNormal and Sphere\(\)"),
        (_ball(), DiagonalNormal(), r"PoincareBall\(1.0\) of WrappedNormalPrior and Euclidean\(\)"),
        (_ball(0.5), WrappedNormalPosterior(), r"PoincareBall\(0.5\) of WrappedNormalPrior and PoincareBall\(1.0\)"),
        (_ball(), VonMisesFisherPosterior(), r"PoincareBall\(1.0\) of WrappedNormalPrior and Sphere\(\)"),
        (OneHot(3), DiagonalNormal(), r"Simplex\(3\) of OneHot and Euclidean\(\) of DiagonalNormal"),
        (Product([OneHot(3), StandardNormal(1)]), ClassPosterior(1, 3), "ProductManifold"),
        (Product([StandardNormal(2), OneHot(2)]), ClassPosterior(1, 3), "ProductManifold"),
        (Product([StandardNormal(1), OneHot(3)]), DiagonalNormal(), "ProductManifold"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_codes_of_prior_and_posterior_in_different_places_are_refused(
    prior: Prior, posterior: Posterior, places: str
) -> None:
    with pytest.raises(ValueError, match=f"expected prior and posterior to agree where codes lie, got {places}"):
        _bound(prior, posterior)


@pytest.mark.parametrize(
    ("prior", "posterior", "reason"),
    [
        (CodebookPrior(4), DiagonalNormal(), "CodebookPrior and a VectorQuantiser together"),
        (CodebookPrior(4), Deterministic(), "CodebookPrior and a VectorQuantiser together"),
        (StandardNormal(4), VectorQuantiser(4, 3, 2), "together, got StandardNormal and VectorQuantiser"),
        (VampPrior(2, (D,)), Deterministic(), "a posterior with a density, of which the prior is made"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_parts_that_need_one_another_are_together(prior: Prior, posterior: Posterior, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        _bound(prior, posterior)


FITTING: list[tuple[Prior, Posterior]] = [
    (StandardNormal(2), DiagonalNormal()),
    (Uniform(2), DiagonalNormal()),
    (Product([Uniform(1), StandardNormal(1)]), DiagonalNormal()),
    (HypersphericalUniform(2), VonMisesFisherPosterior()),
    (_ball(0.5), WrappedNormalPosterior(0.5)),
    (CodebookPrior(4), VectorQuantiser(4, 3, 2)),
]


@pytest.mark.parametrize(("prior", "posterior"), FITTING, ids=lambda part: type(part).__name__)
def test_codes_of_prior_and_posterior_in_one_place_are_accepted(prior: Prior, posterior: Posterior) -> None:
    space = _bound(prior, posterior, posterior.heads)
    z = space.encode(torch.randn(5, D)).sample()
    assert space.posterior.manifold.measure == space.manifold.measure
    assert bool(space.posterior.manifold.contains(z).all())


@pytest.mark.parametrize("name", [name for name in PRIORS if "Codebook" not in name and "Auto" not in name])
def test_points_of_a_deterministic_encoder_lie_where_the_prior_does(name: str) -> None:
    prior = PRIORS[name]()[0]
    if isinstance(prior, VampPrior):
        return
    raw = torch.randn(20, D)
    space = _bound(prior, Deterministic(), 1)
    z = space.encode(raw).mean
    manifold = space.manifold.measure
    parts = manifold.parts if isinstance(manifold, ProductManifold) else [manifold]
    sizes = manifold.sizes if isinstance(manifold, ProductManifold) else [space.dim]
    for part, piece in zip(parts, z.split(sizes, -1), strict=True):
        if isinstance(part, Simplex):
            torch.testing.assert_close(piece.sum(-1), torch.ones(20))
            assert bool((piece > 0).all())
        else:
            assert bool(part.contains(piece).all())
