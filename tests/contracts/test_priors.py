"""Every prior keeps the contract. Priors enrol themselves by type; one without an example here is built in the plane.

Truth are sums over all codes: nodes and weights of each manifold, which know no prior.
"""

from collections.abc import Callable
from functools import cache, partial, reduce

import members
import numpy as np
import pytest
import torch
from torch import Tensor

from lsgen import geometry
from lsgen.geometry import geodesics, statistics
from lsgen.latent import (
    Atoms,
    AutoregressivePrior,
    BernoulliPosterior,
    BernoulliPrior,
    CategoricalPosterior,
    CategoricalPrior,
    ClassConditionalNormal,
    ClassPosterior,
    CodebookPrior,
    Cube,
    Deterministic,
    DiagonalNormal,
    EncodableLatentSpace,
    Euclidean,
    FiniteScalarQuantiser,
    FlowPrior,
    HypersphericalUniform,
    LatentSpace,
    LatticePrior,
    LearnedScalePrior,
    Manifold,
    MixtureOfNormals,
    OneHot,
    PoincareBall,
    Posterior,
    Prior,
    Product,
    ProductManifold,
    ResidualQuantiser,
    Simplex,
    Sphere,
    StandardNormal,
    Uniform,
    VampPrior,
    VectorQuantiser,
    VonMisesFisherPosterior,
    WrappedNormalPosterior,
    WrappedNormalPrior,
    samplers,
)
from lsgen.latent.manifolds.supports import bounded
from lsgen.latent.sampling.imputation import impute, observed_log_prob, pseudo_gibbs
from lsgen.latent.sampling.transitions import TemperedPosterior
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics import annealed_log_evidence, log_evidence
from lsgen.metrics.decoupling import intervention_sensitivity, optimised_sensitivity
from lsgen.metrics.imputation import compare_imputations
from lsgen.metrics.quality import path_length
from lsgen.models.gan import Directions, hessian, invert
from lsgen.models.gan.styles import Styles
from lsgen.nn import MLPDecoder, MLPEncoder, PixelCNN
from lsgen.nn.adversarial.stylegan import StyleGenerator

NSF = pytest.importorskip("zuko.flows").NSF
D, SIGMA = 3, 0.4
REAL = torch.float64


def _generator() -> StyleGenerator:
    return StyleGenerator(2, (1, 4, 4), width=3, channels=(4,), mapping_layers=1)


def _atoms() -> Atoms:
    prior = Atoms(2, [1.0, 2.0, 0.0, 5.0])
    prior.bind(lambda: torch.tensor([[0.3, -0.4], [1.0, 0.5], [2.0, 2.0], [-1.0, 0.1]], dtype=prior.weights.dtype))
    return prior


PRIORS: dict[str, Callable[[], tuple[Prior, Posterior | None]]] = {
    "MixtureOfNormals": lambda: (MixtureOfNormals(2, 3), None),
    "VampPrior": lambda: (VampPrior(2, (D,), 3), DiagonalNormal()),
    "FlowPrior": lambda: (FlowPrior(2, NSF(2, 0, transforms=1, hidden_features=(8,))), None),
    "HypersphericalUniform": lambda: (HypersphericalUniform(3), None),
    "HypersphericalUniform, a circle": lambda: (HypersphericalUniform(2), None),
    "VampPrior on a sphere": lambda: (VampPrior(2, (D,), 3), VonMisesFisherPosterior()),
    "WrappedNormalPrior": lambda: (WrappedNormalPrior(2, 0.7, 1.2), None),
    "Uniform": lambda: (Uniform(2, -1.0, 2.0), None),
    "OneHot": lambda: (OneHot(4), None),
    "ClassConditionalNormal": lambda: (ClassConditionalNormal(1, 3), None),
    "Product": lambda: (Product([StandardNormal(1), OneHot(3)]), None),
    "Product of three": lambda: (Product([Uniform(1), OneHot(2), HypersphericalUniform(2)]), None),
    "CodebookPrior": lambda: (CodebookPrior(4), VectorQuantiser(4, 3, 2)),
    "AutoregressivePrior": lambda: (AutoregressivePrior(4, (1, 2), PixelCNN(3, 8, 2)), VectorQuantiser(4, 3, 2)),
    "CodebookPrior of two stages": lambda: (CodebookPrior(4), ResidualQuantiser(4, 2, 3, 1)),
    "LatticePrior": lambda: (LatticePrior(4, [3, 4]), None),
    "BernoulliPrior": lambda: (BernoulliPrior(3), None),
    "CategoricalPrior": lambda: (CategoricalPrior(6, 3), None),
    "LearnedScalePrior": lambda: (LearnedScalePrior(2, "normal"), None),  # a Laplace density has an edge on the nodes
    "Atoms": lambda: (_atoms(), None),
    "Styles": lambda: (Styles(StandardNormal(2), _generator()), None),
}


def _in_the_plane(member: type[Prior]) -> tuple[Prior, None]:
    return members.build(member, dim=2, shape=(D,)), None


NAMED = {name.split(",")[0].split(" ")[0] for name in PRIORS}
FOUND = members.by_name(members.concrete(Prior, "lsgen.latent", "lsgen.models.gan"))
PRIORS |= {name: partial(_in_the_plane, member) for name, member in FOUND.items() if name not in NAMED}


@cache
def _space(name: str) -> LatentSpace:
    torch.manual_seed(3)
    prior, posterior = PRIORS[name]()
    decoder = MLPDecoder(prior.dim, (D,), hidden=(8,), activation=torch.nn.Tanh)
    likelihood = FixedGaussian((D,), SIGMA)
    if posterior is None:
        return LatentSpace(decoder, likelihood, prior).to(REAL).eval()
    encoder = MLPEncoder((D,), posterior.raw_dim or prior.dim, hidden=(8,), heads=posterior.heads)
    return EncodableLatentSpace(encoder, decoder, likelihood, prior, posterior).to(REAL).eval()


def _line(low: float, high: float, n: int) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre nodes (n, 1) and log weights (n,)."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(n))
    return ((high - low) * nodes + high + low).unsqueeze(1) / 2, torch.log((high - low) / 2 * weights)


def _beside(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    i, j = torch.cartesian_prod(torch.arange(len(first[0])), torch.arange(len(second[0]))).unbind(1)
    return torch.cat([first[0][i], second[0][j]], 1), first[1][i] + second[1][j]


def _circle(n: int) -> tuple[Tensor, Tensor]:
    t = torch.arange(n, dtype=REAL) * (2 * torch.pi / n)
    return torch.stack([t.cos(), t.sin()], 1), torch.full((n,), 2 * torch.pi / n, dtype=REAL).log()


def _nodes(manifold: Manifold, d: int) -> tuple[Tensor, Tensor]:
    """Return nodes (N, d) and logarithms of their shares of the volume (N,)."""
    if isinstance(manifold, ProductManifold):
        parts = [_nodes(part, size) for part, size in zip(manifold.parts, manifold.sizes, strict=True)]
        return reduce(_beside, parts)
    if isinstance(manifold, Euclidean):
        ends = (manifold.low, manifold.high, 30) if isinstance(manifold, Cube) else (-8.0, 8.0, 160)
        return reduce(_beside, [_line(*ends)] * d)
    if isinstance(manifold, Sphere) and d == 2:
        return _circle(400)
    if isinstance(manifold, Sphere):
        z, weights = _beside(_line(-1, 1, 40), _circle(60))
        return torch.cat([z[:, :1], (1 - z[:, :1].square()).sqrt() * z[:, 1:]], 1), weights
    if isinstance(manifold, PoincareBall):
        z, weights = _beside(_line(0, 10, 120), _circle(60))
        root, r = manifold.curvature**0.5, z[:, :1]
        return torch.tanh(root * r / 2) / root * z[:, 1:], weights + torch.log(torch.sinh(root * r) / root)[:, 0]
    choices = [choice.values.to(REAL) for choice in manifold.choices]
    return reduce(_beside, [(values, torch.zeros(len(values), dtype=REAL)) for values in choices])


X = torch.tensor([[0.3, -0.4, 0.2], [0.9, 0.1, -0.8]], dtype=REAL)


def _posterior(space: LatentSpace) -> tuple[Tensor, Tensor]:
    """Return the nodes (N, d) and log p(x, z) of each (N, 2), share of the volume included."""
    z, weights = _nodes(space.manifold, space.dim)
    with torch.no_grad():
        joint = space.prior().log_prob(z).unsqueeze(1) + space.decode(z.unsqueeze(1)).log_prob(X)
    return z, joint + weights.unsqueeze(1)


def _moments(z: Tensor) -> Tensor:
    return torch.cat([z, z.square(), z[..., :1] * z[..., 1:]], -1)


DENSE = [name for name in PRIORS if name not in ("Atoms", "Styles")]


@pytest.mark.parametrize("name", DENSE)
def test_densities_add_up_to_one(name: str) -> None:
    space = _space(name)
    z, weights = _nodes(space.manifold, space.dim)
    total = torch.logsumexp(space.prior().log_prob(z) + weights, 0)
    torch.testing.assert_close(total, torch.zeros((), dtype=REAL), atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", DENSE)
def test_moves_leave_the_posterior_invariant(name: str) -> None:
    """Walkers drawn from the exact posterior keep its moments, with steps so long that some are refused."""
    space, n = _space(name), 2000
    torch.manual_seed(0)
    z, joint = _posterior(space)
    weights = torch.softmax(joint, 0)
    target = TemperedPosterior(space, X)
    walkers = target.at(torch.stack([z[torch.multinomial(w, n, replacement=True)] for w in weights.T], 1))
    size, moved = torch.full((2,), 0.6, dtype=REAL), walkers
    for _ in range(6):
        moved, accepted = target.move(moved, torch.ones((), dtype=REAL), size, 2)
    assert bool(space.manifold.contains(moved.z).all())
    torch.testing.assert_close(moved.fit, target.at(moved.z).fit)
    exact = (weights.unsqueeze(-1) * _moments(z).unsqueeze(1)).sum(0)
    found = _moments(moved.z)
    error = 5 * found.std(0) / n**0.5
    assert bool(((found.mean(0) - exact).abs() <= error + 1e-9).all())
    assert 0.02 < accepted.mean().item() < 0.999
    assert (moved.z != walkers.z).any(-1).double().mean().item() > 0.1


@pytest.mark.parametrize("name", DENSE)
def test_annealed_evidence_is_that_of_a_sum_over_all_codes(name: str) -> None:
    space, chains = _space(name), 200
    z, joint = _posterior(space)
    exact = torch.logsumexp(joint, 0)
    torch.manual_seed(0)
    run = annealed_log_evidence(space, X, temperatures=15, chains=chains, leapfrog_steps=3)
    ratio = torch.exp(run.log_weights - exact)
    assert bool(((ratio.mean(0) - 1).abs() < 5 * ratio.std(0) / chains**0.5).all())
    torch.testing.assert_close(run.log_evidence, exact, atol=0.15, rtol=0)
    assert bool(space.manifold.contains(run.z).all())
    start = torch.stack([z[torch.multinomial(w, 60, replacement=True)] for w in torch.softmax(joint, 0).T], 1)
    above = annealed_log_evidence(space, X, temperatures=15, chains=60, leapfrog_steps=2, start=start).log_weights
    assert bool((above.mean(0) > exact - 5 * above.std(0) / 60**0.5).all())


@pytest.mark.parametrize("name", DENSE)
def test_inversion_finds_the_best_of_all_codes(name: str) -> None:
    space, weight = _space(name), 0.01
    z, _ = _nodes(space.manifold, space.dim)

    def objective(x: Tensor, z: Tensor) -> Tensor:
        with torch.no_grad():
            return (space.decode(z).mean - x).square().mean(-1) / 2 - weight * space.prior().log_prob(z)

    torch.manual_seed(1)
    found = invert(space, X, steps=80, restarts=4, lr=0.1, prior_weight=weight)
    assert bool(space.manifold.contains(found.z).all())
    for x, code in zip(X, found.z, strict=True):
        assert objective(x, code).item() <= objective(x, z).min().item() + 1e-4


@pytest.fixture(params=PRIORS)
def space(request: pytest.FixtureRequest) -> LatentSpace:
    return _space(request.param)


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
        (VampPrior(2, (D,)), Deterministic(), "a posterior with a density, got Deterministic"),
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
    (LatticePrior(4, [2, 5]), FiniteScalarQuantiser(4, [2, 5])),
    (BernoulliPrior(4), BernoulliPosterior(4)),
    (CategoricalPrior(4, 2), CategoricalPosterior(4, 2)),
]


@pytest.mark.parametrize(("prior", "posterior"), FITTING, ids=lambda part: type(part).__name__)
def test_codes_of_prior_and_posterior_in_one_place_are_accepted(prior: Prior, posterior: Posterior) -> None:
    space = _bound(prior, posterior, posterior.heads)
    z = space.encode(torch.randn(5, D)).sample()
    assert space.posterior.manifold.measure == space.manifold.measure
    assert bool(space.posterior.manifold.contains(z).all())


WITHOUT_COORDINATES = (CodebookPrior, BernoulliPrior, LatticePrior)  # no smooth map leads to their codes


@pytest.mark.parametrize("name", [name for name in PRIORS if not isinstance(PRIORS[name]()[0], WITHOUT_COORDINATES)])
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


def test_what_cannot_be_annealed_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a prior with a density, got Styles, which can only be sampled"):
        annealed_log_evidence(_space("Styles"), X)
    with pytest.raises(ValueError, match="expected at least 1 observation, got none"):
        annealed_log_evidence(_space("OneHot"), X[:0])
    off = torch.full((1, 2, 3), 0.5, dtype=REAL)
    with pytest.raises(ValueError, match=r"expected start to hold codes of Sphere\(\), got points that are none"):
        annealed_log_evidence(_space("HypersphericalUniform"), X, 2, 1, 1, start=off)


def _decoded(space: LatentSpace, act: Callable[[], object]) -> Tensor:
    """Return all codes (N, d) that are decoded meanwhile."""
    seen: list[Tensor] = []
    hook = space.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    try:
        act()
    finally:
        hook.remove()
    return torch.cat(seen)


def _concepts(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


MOVES: dict[str, Callable[[LatentSpace, Tensor], object]] = {
    "path_length": lambda space, z: path_length(space, n=50, discard=0.0),
    "intervention_sensitivity": lambda space, z: intervention_sensitivity(space, _concepts, z, step=0.7),
    "optimised_sensitivity": lambda space, z: optimised_sensitivity(
        space, lambda x: _concepts(x)[:, 0], z, iterations=3, lr=1.0
    ),
    "hessian": lambda space, z: hessian(space, 2, steps=2, batch_size=20),
    "traverse": lambda space, z: space.decode(
        Directions(("a",), torch.ones(1, space.dim, dtype=REAL), torch.ones(1), manifold=space.manifold).traverse(
            z, [-3.0, 0.0, 3.0], space.prior().stddev
        )
    ),
    "axis traversal": lambda space, z: space.decode(
        space.manifold.traversal(z, torch.arange(space.dim), space.prior.levels(torch.tensor([-3.0, 3.0]))[:, 0])
    ),
    "geodesic": lambda space, z: space.decode(space.manifold.geodesic(z[:25], z[25:], 4)),
}


def _without_edges(space: LatentSpace, z: Tensor) -> Tensor:
    """Return codes whose mixtures of classes, which pictures may show, have been checked and rounded."""
    manifold = space.manifold
    parts = manifold.parts if isinstance(manifold, ProductManifold) else [manifold]
    sizes = manifold.sizes if isinstance(manifold, ProductManifold) else [space.dim]
    pieces = []
    for part, piece in zip(parts, z.split(sizes, -1), strict=True):
        if isinstance(part, Simplex):
            assert bool((piece >= 0).all())
            torch.testing.assert_close(piece.sum(-1), torch.ones_like(piece[:, 0]))
            piece = part.onto(piece)
        pieces.append(piece)
    return torch.cat(pieces, -1)


@pytest.mark.parametrize("act", MOVES)
def test_whatever_moves_codes_stays_where_they_live_or_is_refused(space: LatentSpace, act: str) -> None:
    torch.manual_seed(0)
    z = space.prior().sample((50,))
    picture = act in ("axis traversal", "geodesic")
    chooses = act == "intervention_sensitivity" and not isinstance(space.prior, CodebookPrior)
    if not space.manifold.continuous and not picture and not chooses:
        with pytest.raises(TypeError, match=r"expected codes .*, got"):
            MOVES[act](space, z)
        return
    codes = _decoded(space, lambda: MOVES[act](space, z))
    assert bool(space.manifold.contains(_without_edges(space, codes) if picture else codes).all())


def test_geodesic_path_length_of_a_circle_is_the_mean_squared_angle() -> None:
    layer = torch.nn.Linear(2, 2, bias=False).to(REAL)
    torch.nn.init.eye_(layer.weight)
    space = LatentSpace(layer, FixedGaussian((2,)), HypersphericalUniform(2)).to(REAL)
    found = path_length(space, n=20_000, discard=0.0)
    assert abs(found.mean.item() - torch.pi**2 / 3) < 5 * found.std.item() / 20_000**0.5
    for path in ("linear", "slerp"):
        with pytest.raises(TypeError, match=rf'expected path "geodesic", got "{path}", on which codes leave Sphere'):
            path_length(space, path=path)


def test_interventions_on_classes_choose_them_and_at_walls_turn_back() -> None:
    prior = Product([Uniform(1), OneHot(3)])
    space = LatentSpace(torch.nn.Identity(), FixedGaussian((4,)), prior).to(REAL).eval()
    z = torch.tensor([[0.9, 1, 0, 0], [-0.9, 0, 1, 0]], dtype=REAL)
    s = intervention_sensitivity(space, lambda x: x, z, step=0.5)
    expected = torch.tensor([[0.5, 0, 0, 0], [0, 0.5, 0.5, 0.5], [0, 0.5, 0.5, 0.5], [0, 0, 0, 1]], dtype=REAL)
    torch.testing.assert_close(s, expected)


def test_what_needs_densities_refuses_points() -> None:
    space = _bound(StandardNormal(2), Deterministic(), 1)
    x, observed = torch.randn(3, D), torch.ones(3, D, dtype=torch.bool)
    sentence = "expected a posterior with a density, got Deterministic, whose codes are points"
    for act in (
        lambda: log_evidence(space, x, 10),
        lambda: impute(space, x, observed),
        lambda: pseudo_gibbs(space, x, observed, 2, 1, metropolis=True),
        lambda: compare_imputations(space, (x, observed), (x, ~observed), methods=["mean", "miwae"]),
    ):
        with pytest.raises(TypeError, match=sentence):
            act()
    assert pseudo_gibbs(space, x, ~observed, 2, 1).shape == (1, 3, D)


def test_samplers_that_leave_bounded_codes_are_refused() -> None:
    space = _space("Uniform")
    mixture = samplers.FromGaussianMixture(1).fit(space.prior().sample((50,)))
    with pytest.raises(ValueError, match="FromGaussianMixture expected codes in flat space, got a Cube"):
        samplers.generate(space, 5, mixture)
    assert samplers.generate(space, 5).shape == (5, D)


class _Wide(Posterior):
    """Normal posteriors that reach beyond a cube."""

    heads = 2

    def forward(self, raw: Tensor) -> torch.distributions.Distribution:
        mean = raw.chunk(2, -1)[0]
        return torch.distributions.Independent(torch.distributions.Normal(0.1 * mean, 0.8), 1)


@pytest.mark.parametrize("name", ["Uniform", "HypersphericalUniform, a circle", "WrappedNormalPrior", "Product"])
def test_imputations_are_those_of_a_sum_over_all_codes(name: str) -> None:
    """E[x_m | x_o] by importance sampling and by Metropolis-within-Gibbs sampling, on every kind of manifold."""
    torch.manual_seed(0)
    prior = PRIORS[name]()[0]
    families = {
        "Cube": _Wide(),
        "Sphere": VonMisesFisherPosterior(),
        "PoincareBall": WrappedNormalPosterior(0.7),
        "ProductManifold": ClassPosterior(1, 3),
    }
    posterior = families[type(prior.manifold).__name__]
    outputs = 9 if isinstance(posterior, ClassPosterior) else 2 * prior.dim
    encoder, decoder = torch.nn.Linear(D, outputs), MLPDecoder(prior.dim, (D,), hidden=(8,))
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((D,), SIGMA), prior, posterior).to(REAL).eval()
    x, observed = X[:1], torch.tensor([[True, True, False]])
    z, weights = _nodes(space.manifold, space.dim)
    with torch.no_grad():
        p = space.decode(z)
        joint = prior().log_prob(z) + weights + observed_log_prob(p, x.expand(len(z), -1), observed.expand(len(z), -1))
    exact = (torch.softmax(joint, 0) * p.mean[:, 2]).sum()
    found = impute(space, x, observed, samples=8000, draws=300, chunk_size=2000)
    spread = found.draws[:, 0, 2].std()
    assert (found.mean[0, 2] - exact).abs() < 6 * spread / found.effective_samples[0] ** 0.5
    chains = pseudo_gibbs(space, x.expand(300, D), observed.expand(300, D), 50, 1, metropolis=True)[0, :, 2]
    assert (chains.mean() - exact).abs() < 5 * chains.std() / 300**0.5


SOLVERS: dict[str, Callable[[geometry.Immersion, Tensor], object]] = {
    "geodesic": lambda im, z: geometry.geodesic(im, z[:1], z[1:], points=5),
    "exp_map": lambda im, z: geometry.exp_map(im, z, im.manifold.tangent(z, torch.ones_like(z)) / 10),
    "hmc": lambda im, z: statistics.hmc(im, None, z, 1),
    "langevin": lambda im, z: statistics.langevin(im, None, z, 1),
    "brownian_motion": lambda im, z: statistics.brownian_motion(im, z, 0.1, 2),
    "frechet_mean": lambda im, z: statistics.frechet_mean(im, z),
}


@pytest.mark.parametrize("act", SOLVERS)
def test_solvers_in_coordinates_refuse_codes_that_do_not_fill_flat_space(space: LatentSpace, act: str) -> None:
    """They step straight in z; flat codes are their own business, see tests/geometry."""
    follows = act in ("geodesic", "exp_map", "frechet_mean") and not bounded(space.manifold)
    if space.manifold == Euclidean() or follows:
        return
    z = space.prior().sample((2,))
    for im in (geometry.immersion(space), geometry.metric_field(space)):
        with pytest.raises(TypeError, match=r"expected codes that fill flat space, got those of \w+"):
            SOLVERS[act](im, z)


def test_geodesics_of_curved_codes_stay_on_their_manifold(space: LatentSpace) -> None:
    if space.manifold == Euclidean() or bounded(space.manifold):
        return
    z = space.prior().sample((2,))
    for im in (geometry.immersion(space), geometry.metric_field(space)):
        found = SOLVERS["geodesic"](im, z)
        assert isinstance(found, geodesics.Geodesic)
        assert bool(space.manifold.contains(found.points.flatten(0, 1)).all())
        shot = SOLVERS["exp_map"](im, z)
        assert isinstance(shot, geodesics.Exponential)
        assert bool(space.manifold.contains(shot.point).all())


def test_bounded_codes_are_sampled_within_walls_that_are_given() -> None:
    space, ends = _space("Uniform"), torch.tensor([[-1.0, -1.0], [2.0, 2.0]], dtype=REAL)
    im, box = geometry.immersion(space), statistics.Box(*ends)
    chains = statistics.langevin(im, None, space.prior().sample((20,)), 10, step_size=0.5, domain=box)
    assert bool(space.manifold.contains(chains.points).all())
