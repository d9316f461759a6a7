"""Paths and their diagnostics on spaces whose every number is known."""

from itertools import pairwise, permutations
from math import pi

import numpy as np
import pytest
import torch
from torch import nn

from lsgen.analysis.trajectories import PathJudge, density_path, paths_between
from lsgen.analysis.trajectories.density import equidistant
from lsgen.analysis.trajectories.diagnostics import velocities
from lsgen.latent import (
    Codes,
    Deterministic,
    EncodableLatentSpace,
    Euclidean,
    HypersphericalUniform,
    LatentSpace,
    Sphere,
    StandardNormal,
)
from lsgen.likelihoods import FixedGaussian

DIM = 3


def linear_space(encodes=True, error=0.0):
    """Return x = W z with the noise 0.5, whose encoder is the pseudo-inverse, less an error of every coordinate."""
    torch.manual_seed(0)
    decoder, encoder = nn.Linear(DIM, 5, bias=False).double(), nn.Linear(5, DIM).double()
    with torch.no_grad():
        encoder.weight.copy_(torch.linalg.pinv(decoder.weight))
        encoder.bias.fill_(error)
    parts = decoder, FixedGaussian((5,), sigma=0.5), StandardNormal(DIM)
    if not encodes:
        return LatentSpace(*parts).double().eval()
    return EncodableLatentSpace(encoder, *parts, posterior=Deterministic()).double().eval()


class Stretched(nn.Module):
    """A smooth map that stretches space away from the origin."""

    def forward(self, x):
        return x * (1 + x.square().sum(-1, keepdim=True))


def cloud(n=400, seed=0):
    return Codes(np.random.default_rng(seed).normal(size=(n, DIM)))


def test_every_diagnostic_of_a_linear_space_has_its_closed_form():
    space, codes = linear_space(error=0.25), cloud()
    path = torch.stack([torch.zeros(DIM), torch.tensor([1.0, 2, 2]), torch.tensor([2.0, 4, 4])]).double()
    found = PathJudge(space, codes, k=5, prior_draws=100_000)(path)
    distances = np.sort(np.linalg.norm(codes.z[:, None] - codes.z, axis=-1), 1)[:, 5]
    far = np.sort(np.linalg.norm(path.numpy()[:, None] - codes.z, axis=-1), 1)[:, 4]
    assert found.distance == pytest.approx(far)
    assert found.percentile == pytest.approx([100 * np.mean(distances < d) for d in far])
    assert found.off_manifold.tolist() == [False, False, True]
    speed = float((space.decoder.weight.detach() @ torch.tensor([2.0, 4, 4]).double()).norm())
    assert found.speed == pytest.approx([speed] * 3)
    assert found.decoded_length == pytest.approx(speed)
    assert found.variance == pytest.approx([0.25] * 3)
    assert found.cycle == pytest.approx([0.25 * DIM**0.5] * 3)
    exact = (DIM - np.square(path.numpy()).sum(1)) / (2 * DIM) ** 0.5
    assert found.prior_z == pytest.approx(exact, abs=0.05 * np.abs(exact).max())


def test_a_code_is_not_its_own_neighbour():
    codes = cloud()
    found = PathJudge(linear_space(), codes, k=1)(torch.tensor(codes.z[:6]))
    distances = np.linalg.norm(codes.z[:6, None] - codes.z, axis=-1)
    assert found.distance == pytest.approx(np.sort(distances, 1)[:, 1])


def test_what_a_space_cannot_do_is_none():
    found = PathJudge(linear_space(encodes=False), cloud())(torch.eye(DIM).double())
    assert found.cycle is None
    assert set(found.profiles()) == {"percentile", "prior_z", "speed", "variance"}


def test_a_uniform_prior_tells_nothing_and_paths_on_a_sphere_keep_to_it():
    torch.manual_seed(0)
    space = LatentSpace(nn.Linear(3, 4).double(), FixedGaussian((4,)), HypersphericalUniform(3)).double().eval()
    z = nn.functional.normalize(torch.randn(300, 3, dtype=torch.float64), dim=-1)
    judge = PathJudge(space, Codes(z, manifold=Sphere()), k=3)
    found = paths_between(judge, 0, 1, points=9)
    assert list(found) == ["manifold", "density"]
    for path in found.values():
        assert np.linalg.norm(path.diagnostics.z, axis=1) == pytest.approx(1)
        assert path.diagnostics.prior_z is None
    with pytest.raises(ValueError, match="out of manifold, density, got 'slerp'"):
        paths_between(judge, 0, 1, kinds=["slerp"])


def test_velocity_along_a_great_circle_is_its_angle():
    t = torch.linspace(0, 1, 7, dtype=torch.float64) * pi / 2
    v = velocities(Sphere(), torch.stack([t.cos(), t.sin()], 1))
    assert torch.allclose(v, pi / 2 * torch.stack([-t.sin(), t.cos()], 1))


def test_paths_between_codes_side_by_side():
    judge = PathJudge(linear_space(), cloud(), k=8)
    found = paths_between(judge, 3, 200, points=7)
    assert list(found) == ["linear", "slerp", "geodesic", "density"]
    for path in found.values():
        assert path.diagnostics.z[[0, -1]] == pytest.approx(judge.reference.z[[3, 200]])
    straight, other = found["linear"].diagnostics, found["geodesic"].diagnostics
    assert found["geodesic"].note == ""
    assert other.z == pytest.approx(straight.z, abs=1e-3)
    assert "codes" in found["density"].note


def test_a_geodesic_is_straight_where_the_decoder_does_not_respond():
    space = linear_space()
    with torch.no_grad():
        space.decoder.weight[:, 1] = 0
    judge = PathJudge(space, cloud(), k=8)
    found = paths_between(judge, 3, 200, points=7, kinds=["geodesic"])["geodesic"]
    a, b = judge.reference.z[[3, 200]]
    assert found.diagnostics.z == pytest.approx(a + np.linspace(0, 1, 7)[:, None] * (b - a), abs=1e-3)
    assert found.note == "straight in 1 of 3 dimensions"


def test_a_geodesic_bends_where_the_decoder_is_curved():
    space = linear_space(encodes=False)
    space.decoder = nn.Sequential(space.decoder, Stretched())
    judge = PathJudge(space.eval(), cloud(), k=8)
    found = paths_between(judge, 3, 200, points=17, kinds=["geodesic", "linear"])
    assert found["geodesic"].note == ""
    assert found["geodesic"].diagnostics.decoded_length < found["linear"].diagnostics.decoded_length


def test_the_density_path_is_the_cheapest_of_all():
    z = np.random.default_rng(1).normal(size=(6, 2))
    codes = Codes(z, list("abcdef"))
    near = np.argsort(np.linalg.norm(z[:, None] - z, axis=-1) + np.diag([np.inf] * 6), 1)[:, :3]
    joined = {frozenset((i, int(j))) for i in range(6) for j in near[i]}

    def cost(way):
        legs = list(pairwise(way))
        far = any(frozenset(leg) not in joined for leg in legs)
        return np.inf if far else sum(np.linalg.norm(z[i] - z[j]) ** 3 for i, j in legs)

    ways = [(0, *m, 5) for n in range(5) for m in permutations((1, 2, 3, 4), n)]
    best = min(ways, key=cost)
    found = density_path(codes, "a", "f", k=3, power=3)
    assert found.ids.tolist() == ["abcdef"[i] for i in best]
    legs = [np.linalg.norm(z[i] - z[j]) for i, j in pairwise(best)]
    assert (found.length, found.longest) == pytest.approx((sum(legs), max(legs)))


def test_density_paths_go_round_a_ring():
    t = np.linspace(0, 2 * pi, 100, endpoint=False)
    found = density_path(Codes(np.c_[np.cos(t), np.sin(t)]), 0, 50, k=4)
    assert found.z.norm(dim=1).numpy() == pytest.approx(1)
    assert found.length == pytest.approx(pi, rel=1e-3)


def test_duplicates_are_joined_for_nothing_and_parts_are_told_apart():
    z = np.r_[np.zeros((5, 2)), np.full((5, 2), 9.0)]
    found = density_path(Codes(z), 0, 4, k=2)
    assert found.length == 0
    with pytest.raises(ValueError, match="2 parts of the graph of 2 neighbours"):
        density_path(Codes(z), 0, 9, k=2)


def test_points_of_a_polyline_are_equally_far_along_it():
    corner = torch.tensor([[0.0, 0], [0, 0], [3, 0], [3, 1]]).double()
    found = equidistant(Euclidean(), corner, 5)
    assert torch.allclose(found, torch.tensor([[0.0, 0], [1, 0], [2, 0], [3, 0], [3, 1]]).double())
    assert equidistant(Euclidean(), corner[:1], 2).tolist() == [[0, 0], [0, 0]]


def test_mistakes_are_refused():
    space = linear_space()
    with pytest.raises(ValueError, match="from 1 to 3 neighbours among 5 codes"):
        PathJudge(space, cloud(5))
    with pytest.raises(ValueError, match="reference codes of the space, of 3 coordinates"):
        PathJudge(space, Codes(np.ones((20, 2))))
    with pytest.raises(TypeError, match="a LatentSpace, which decodes, got Linear"):
        PathJudge(nn.Linear(2, 2), cloud())
    judge = PathJudge(space, cloud())
    with pytest.raises(ValueError, match="finite codes, got 1"):
        judge(torch.tensor([[0.0, 0, 0], [torch.nan, 0, 0]]))
    with pytest.raises(ValueError, match="of 2 codes or more, got"):
        judge(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="two codes to join, got 1 twice"):
        paths_between(judge, 1, 1)
    with pytest.raises(ValueError, match="ids of the table, got 'x'"):
        density_path(cloud(), "x", 1)
    with pytest.raises(ValueError, match="power of 1 or more"):
        density_path(cloud(), 0, 1, power=0.5)
