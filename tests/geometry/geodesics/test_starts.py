"""Initial curves of geodesics: what they are, and that several find what one does not."""

import math

import pytest
import torch

from lsgen.geometry import Immersion, geodesic, reference
from lsgen.geometry.geodesics import CodeGraph
from lsgen.geometry.geodesics.starts import coarse_to_fine, resampled, starting_curves
from lsgen.latent import paths

f64 = torch.float64
SPHERE = reference.sphere().immersion
HILL = Immersion(lambda z: torch.cat([z, 3 * torch.exp(-2 * (z * z).sum(-1, keepdim=True))], -1), 2)


def made(im, a, b, points, **given):
    options = {"starts": 2, "initial": None, "graph": None, "generator": None, "size": 8}
    return starting_curves(im, a, b, points, **(options | given))


@pytest.mark.parametrize("points", [3, 4, 5, 9, 11, 33, 40])
def test_every_start_joins_the_ends(points):
    a, b = 0.5 * torch.randn(2, 5, 2, dtype=f64)
    curves = made(SPHERE, a, b, points, starts=4, graph=CodeGraph(SPHERE, 0.5 * torch.randn(20, 2, dtype=f64), 3))
    assert curves.shape == (8, 5, points, 2)
    forward, backward = curves.chunk(2)
    assert torch.equal(forward[:, :, 0], a.expand(4, 5, 2))
    assert torch.equal(forward[:, :, -1], b.expand(4, 5, 2))
    assert torch.equal(backward[:, :, 0], b.expand(4, 5, 2))
    assert torch.equal(backward[:, :, -1], a.expand(4, 5, 2))
    assert made(SPHERE, a[:0], b[:0], points).shape == (4, 0, points, 2)
    assert torch.equal(made(SPHERE, a, b, points, starts=1)[0], _with_ends(paths.linear(a, b, points), a, b))


def _with_ends(curves, a, b):
    return torch.cat([a[:, None], curves[:, 1:-1], b[:, None]], 1)


def test_the_starts_from_either_end_are_others():
    a, b = 0.5 * torch.randn(2, 1, 2, dtype=f64)
    graph = CodeGraph(SPHERE, 0.5 * torch.randn(20, 2, dtype=f64), 3)
    path, relaxed, straight, back, line, bent = made(SPHERE, a, b, 17, starts=3, graph=graph)
    torch.testing.assert_close(path, _with_ends(graph.paths(a, b, 17), a, b))
    torch.testing.assert_close(back.flip(1), _with_ends(graph.waypoint_paths(a, b, 17), a, b))
    torch.testing.assert_close(line.flip(1), straight)
    for other in (path, relaxed, back, bent):
        assert (other - straight).norm(dim=-1).amax() > 1e-3
    again = made(SPHERE, a, b, 17, starts=3)[5]
    assert (again - bent).norm(dim=-1).amax() > 1e-3


def test_a_polygon_between_its_corners_is_a_polygon():
    corners = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]], dtype=f64)
    expected = torch.tensor([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], dtype=f64)
    torch.testing.assert_close(resampled(corners, 5)[0], expected)


def test_coarse_to_fine_ends_close_to_the_geodesic():
    a, b = torch.tensor([[-0.8, 0.1]], dtype=f64), torch.tensor([[0.7, 0.9]], dtype=f64)
    exact = geodesic(SPHERE, a, b, 33, tol=1e-9).points
    straight = paths.linear(a, b, 33)
    found = coarse_to_fine(SPHERE, paths.linear(a, b, 5), 33, 8)
    assert (found - exact).norm(dim=-1).amax() < 0.05 * (straight - exact).norm(dim=-1).amax()


def test_the_path_by_one_code_runs_by_the_shortest_at_constant_speed():
    plane = reference.plane().immersion
    codes = torch.tensor([[0.5, 0.2], [0.5, 0.6], [0.9, -0.5], [5.0, 5.0]], dtype=f64)
    a, b = torch.tensor([[0.0, 0.0], [0.5, 0.2]], dtype=f64), torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=f64)
    found = CodeGraph(plane, codes, 3).waypoint_paths(a, b, 9)
    assert found.isfinite().all()
    torch.testing.assert_close(found[:, 0], a)
    torch.testing.assert_close(found[:, -1], b)
    torch.testing.assert_close(found[0, 4], codes[0])
    lengths = found.diff(dim=1).norm(dim=-1)
    torch.testing.assert_close(lengths, lengths.mean(-1, keepdim=True).expand_as(lengths))


def test_several_starts_leave_a_saddle():
    """By symmetry the segment across the top of a hill stays there, longer than the way around."""
    a, b = torch.tensor([[-2.0, 0.0]], dtype=f64), torch.tensor([[2.0, 0.0]], dtype=f64)
    detour = torch.linspace(0, math.pi, 33, dtype=f64)
    around = torch.stack([-2 * detour.cos(), 1.5 * detour.sin()], -1)[None]
    over, best = geodesic(HILL, a, b), geodesic(HILL, a, b, initial=around)
    several = geodesic(HILL, a, b, starts=2, generator=torch.Generator().manual_seed(0))
    assert over.length.item() > 1.2 * best.length.item()
    torch.testing.assert_close(several.length, best.length, rtol=1e-5, atol=0)
    assert several.lower_bound.item() == 4


@pytest.mark.slow
def test_more_starts_are_never_longer_and_some_are_shorter():
    """A plain with hills at random, which straight starts climb."""
    generator = torch.Generator().manual_seed(0)
    tops = 4 * torch.rand(12, 2, dtype=f64, generator=generator) - 2
    heights = lambda z: torch.exp(-6 * (z[:, None] - tops).square().sum(-1)).sum(-1, keepdim=True)
    im = Immersion(lambda z: torch.cat([z, 1.5 * heights(z)], -1), 2)
    a, b = 4 * torch.rand(2, 16, 2, dtype=f64, generator=generator) - 2
    one, three = (geodesic(im, a, b, 33, tol=1e-3, starts=k, generator=generator) for k in (1, 3))
    both = one.converged & three.converged
    assert both.sum() >= 8
    assert (three.converged | ~one.converged).all()
    ratio = (one.length / three.length)[both]
    assert (ratio > 1 - 1e-3).all()
    assert (ratio > 1.05).sum() >= 1
    assert (three.lower_bound <= three.length)[both].all()
