"""Geodesics of the disk against the manifold's own, and pictures of networks."""

import numpy as np
import pytest
import torch

from lsgen import viz
from lsgen.latent import PoincareBall


def _points(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angle, radius = rng.uniform(0, 2 * np.pi, n), np.tanh(rng.exponential(2, n) / 2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def test_arcs_lie_on_the_geodesics_of_the_ball():
    p, q = _points(200, 0), _points(200, 1)
    arcs = viz.geodesic_arcs(p, q, 9)
    np.testing.assert_allclose(arcs[:, [0, -1]], np.stack([p, q], 1), atol=1e-14)
    a, b, x = (torch.from_numpy(part) for part in (p, q, arcs))
    ball = PoincareBall()
    whole = ball.distance(a, b)[:, None]
    parts = ball.distance(a[:, None].expand_as(x), x) + ball.distance(x, b[:, None].expand_as(x))
    torch.testing.assert_close(parts, whole.expand_as(parts), rtol=1e-9, atol=1e-9)


def test_arcs_are_parts_of_circles_at_right_angles_to_the_rim():
    p, q = _points(60, 2), _points(60, 3)
    arcs = viz.geodesic_arcs(p, q, 7)
    for arc in arcs:
        # |x|^2 - 2 c.x + 1 = 0 is the circle about c that meets the unit circle at right angles
        centre = np.linalg.lstsq(2 * arc[[0, 3, 6]], np.square(arc[[0, 3, 6]]).sum(1) + 1, rcond=None)[0]
        np.testing.assert_allclose(np.square(arc).sum(1) + 1, 2 * arc @ centre, rtol=1e-7)


def test_diameters_and_points_are_straight():
    p = np.array([[0.6, 0.3], [-0.2, 0.1], [0.5, 0.5]])
    q = np.array([[-0.4, -0.2], [0.0, 0.0], [0.5, 0.5]])
    t = np.linspace(0, 1, 25)[:, None]
    arcs = viz.geodesic_arcs(p, q)
    for start, end, arc in zip(p, q, arcs, strict=True):
        along = (arc - start) @ (end - start) / max(float((end - start) @ (end - start)), 1e-12)
        np.testing.assert_allclose(arc, start + along[:, None] * (end - start), atol=1e-12)
    np.testing.assert_allclose(arcs[2], p[2] + 0 * t, atol=1e-15)
    with pytest.raises(ValueError, match="expected points inside of the unit disk"):
        viz.geodesic_arcs([[0.0, 0.0]], [[1.0, 0.0]])
    with pytest.raises(ValueError, match=r"expected points \(E, 2\) and \(E, 2\), got \(1, 3\)"):
        viz.geodesic_arcs(np.zeros((1, 3)), np.zeros((1, 3)))


@pytest.mark.parametrize("draw", [viz.poincare_disk, viz.network_map])
def test_nodes_links_labels_and_sizes_are_drawn(draw):
    points, edges = _points(12, 5), np.array([[0, 1], [1, 2], [4, 7]])
    plain = draw(points, edges, "t")
    assert plain.dtype == np.uint8
    others = [
        draw(points, edges[:0], "t"),
        draw(points, edges, "t", groups=np.arange(12) % 2),
        draw(points, edges, "t", sizes=np.arange(12)),
        draw(points, edges, "t", labels={3: "Zürich"}),
    ]
    for other in others:
        assert other.shape == plain.shape
        assert not np.array_equal(other, plain)
    draw(points[:1], edges[:0], "one node", sizes=[0])
