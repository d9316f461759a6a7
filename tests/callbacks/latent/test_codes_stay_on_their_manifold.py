"""Whatever a callback decodes is a code of the space's manifold, or a mixture of classes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lsgen.callbacks import GeodesicSearch, GeometryDetail, MeanSets, TraversalFigures
from lsgen.callbacks.latent.choices import by_activity, every_value
from lsgen.callbacks.latent.distances import LatentDistances
from lsgen.callbacks.latent.geodesics import LatentGeodesics
from lsgen.callbacks.latent.geometry import LatentGeometry
from lsgen.callbacks.latent.traversal import LatentTraversal
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import (
    BernoulliPosterior,
    BernoulliPrior,
    CategoricalPosterior,
    CategoricalPrior,
    CodebookPrior,
    Cube,
    Deterministic,
    EncodableLatentSpace,
    FiniteScalarQuantiser,
    HypersphericalUniform,
    LatentSpace,
    LatticePrior,
    OneHot,
    Product,
    ProductManifold,
    Simplex,
    StandardNormal,
    Uniform,
    VectorQuantiser,
    VonMisesFisherPosterior,
    WrappedNormalPrior,
)
from lsgen.likelihoods import Bernoulli
from lsgen.models.gan import sefa

SHAPE = (1, 6, 6)
SPACES = {
    "cube": (Uniform(3, -1.0, 2.0), None),
    "cube with an encoder that leaves it": (Uniform(3), Deterministic()),
    "sphere": (HypersphericalUniform(3), VonMisesFisherPosterior()),
    "ball": (WrappedNormalPrior(2), None),
    "classes": (Product([Uniform(2), OneHot(3)]), None),
    "classes and an encoder": (Product([StandardNormal(1), OneHot(3)]), Deterministic()),
    "bits": (BernoulliPrior(4), BernoulliPosterior(4)),
    "categories": (CategoricalPrior(6, 3), CategoricalPosterior(6, 3)),
    "levels": (LatticePrior(4, [3, 4]), FiniteScalarQuantiser(4, [3, 4])),
    "codebook": (CodebookPrior(4), VectorQuantiser(4, 5, 2)),
}


def _space(name: str) -> LatentSpace:
    torch.manual_seed(2)
    prior, posterior = SPACES[name]
    decoder = nn.Sequential(nn.Linear(prior.dim, 36), nn.Unflatten(1, SHAPE))
    if posterior is None:
        return LatentSpace(decoder, Bernoulli(SHAPE), prior)
    layer = nn.Linear(36, posterior.heads * prior.dim)
    layer.weight.data.mul_(8)
    return EncodableLatentSpace(nn.Sequential(nn.Flatten(), layer), decoder, Bernoulli(SHAPE), prior, posterior)


def _decoded(space, callback, tmp_path):
    seen = []
    space.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    probe = Probe(torch.rand(30, *SHAPE, generator=torch.Generator().manual_seed(1)))
    callback.run(space, probe, Sink(tmp_path, 1))
    return torch.cat(seen) if seen else torch.zeros(0, space.dim)


def _outside(space, z):
    """Return how far codes are from the manifold, classes counted as the simplex they span."""
    manifold = space.manifold
    parts = manifold.parts if isinstance(manifold, ProductManifold) else [manifold]
    sizes = manifold.sizes if isinstance(manifold, ProductManifold) else [space.dim]
    worst = 0.0
    for part, piece in zip(parts, z.split(sizes, -1), strict=True):
        if isinstance(part, Simplex):
            worst = max(worst, float((-piece).clamp(min=0).max()), float((piece.sum(-1) - 1).abs().max()))
        else:
            worst = max(worst, float((part.onto(piece) - piece).abs().max()))
    return worst


@pytest.mark.parametrize("name", SPACES)
def test_traversals_interpolations_planes_and_directions(name, tmp_path):
    space = _space(name)
    directions = sefa if space.manifold.continuous else None
    callback = LatentTraversal(
        points=5, directions=directions, figures=TraversalFigures(kl_probes=8, frames=3, plane_points=3)
    )
    assert _outside(space, _decoded(space, callback, tmp_path)) < 1e-5
    shown = {path.name for path in (tmp_path / "figures" / "interpolation").iterdir()}
    assert shown == ({"linear"} if isinstance(space.manifold, Cube) else {"geodesic"})


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_geometry_leaves_out_planes_that_leave_the_manifold(name, tmp_path):
    space = _space(name)
    callback = LatentGeometry(n=4, plane_points=3, detail=GeometryDetail(kl_probes=8, intervals=2))
    assert _outside(space, _decoded(space, callback, tmp_path)) < 1e-5
    flat = isinstance(space.manifold, Cube)
    assert (tmp_path / "figures" / "geometry" / "plane").exists() == flat
    with np.load(tmp_path / "figures" / "geometry" / "measurements" / "00000001.npz") as found:
        assert ("path_length" in found) == flat
        if flat:
            grid = torch.cartesian_prod(*[torch.from_numpy(found["plane_values"])] * 2)
            codes = torch.from_numpy(found["plane_origin"]) + grid @ torch.from_numpy(found["plane_basis"])
            assert _outside(space, codes) < 1e-5


@pytest.mark.parametrize("name", SPACES)
def test_geodesics_follow_the_manifold_or_are_left_out(name, tmp_path):
    space = _space(name)
    decoded = _decoded(space, LatentGeodesics(pairs=2, search=GeodesicSearch(kl_probes=8)), tmp_path)
    assert bool(len(decoded)) == (name in ("sphere", "ball"))
    assert not len(decoded) or _outside(space, decoded) < 1e-5


@pytest.mark.parametrize("name", ["sphere", "ball"])
@pytest.mark.slow
def test_distances_and_means_of_curved_codes_are_measured(name, tmp_path):
    callback = LatentDistances(observations=4, sets=MeanSets(members=3), search=GeodesicSearch(kl_probes=8))
    space = _space(name)
    assert _outside(space, _decoded(space, callback, tmp_path)) < 1e-5
    with np.load(tmp_path / "figures" / "geometry" / "distances" / "00000001.npz") as found:
        assert np.isfinite(found["geodesic"]).all()
        assert (found["geodesic"] > 0.999 * found["lower_bound"]).all()
    assert (tmp_path / "figures" / "geometry" / "frechet_mean").exists()


def test_quantiles_of_encodings_beyond_the_walls_stop_there(tmp_path):
    space = _space("cube with an encoder that leaves it")
    x = torch.rand(30, *SHAPE, generator=torch.Generator().manual_seed(1))
    assert space.encode(x).mean.abs().max() > 1.5
    callback = LatentTraversal(points=5, quantile=0.05, figures=TraversalFigures(kl_probes=8, frames=3, plane_points=3))
    assert _outside(space, _decoded(space, callback, tmp_path)) < 1e-5


def test_directions_of_codes_that_cannot_move_are_refused_before_training():
    module = SimpleNamespace(latent_space=_space("codebook"))
    with pytest.raises(TypeError, match="expected codes that can move continuously, got those of Codebook"):
        LatentTraversal(directions=sefa).check(module)


def test_traversals_of_a_codebook_show_one_entry_after_the_other(tmp_path):
    space = _space("codebook")
    codes = _decoded(
        space, LatentTraversal(points=5, figures=TraversalFigures(kl_probes=8, frames=5, plane_points=3)), tmp_path
    )
    apart = (codes.unflatten(1, (2, 2)).flatten(0, 1)[:, None] - space.posterior.codebook).abs().amax(-1)
    assert float(apart.amin(1).max()) < 1e-6
    assert len(apart.argmin(1).unique()) >= 3


@pytest.mark.parametrize("name", ["bits", "levels", "categories", "codebook", "classes"])
def test_every_value_of_every_discrete_variable_is_drawn_by_itself(name, tmp_path):
    """Each code that differs from a code of the space in one variable alone, and each of them."""
    space = _space(name)
    z = space.prior().sample()
    choices = space.manifold.choices
    rows, shown = every_value(z, choices, 100)
    found = {tuple(code) for code in rows[shown].tolist()}
    expected = set()
    for choice in choices:
        for value in choice.values:
            code = z.clone()
            code[choice.start : choice.start + choice.values.shape[1]] = value
            expected.add(tuple(code.tolist()))
    assert found == expected
    assert shown.sum().item() == sum(len(choice.values) for choice in choices)
    assert every_value(z, choices, 2)[0].shape[1] == 2
    order = torch.arange(space.dim).flip(0)
    assert [choice.start for choice in by_activity(choices, order, 2)] == [choice.start for choice in choices[:-3:-1]]
    figures = TraversalFigures(kl_probes=8, frames=2, plane_points=2, pairs=1, path_points=2)
    decoded = {tuple(code) for code in _decoded(space, LatentTraversal(points=2, figures=figures), tmp_path).tolist()}
    assert (tmp_path / "figures" / "traversal" / "choices" / "00000001.png").exists()
    if isinstance(space, EncodableLatentSpace):
        x = torch.rand(30, *SHAPE, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            anchor = space.manifold.onto(space.encode(x).mean[0])
        rows, shown = every_value(anchor, choices, 100)
        assert {tuple(code) for code in rows[shown].tolist()} <= decoded
