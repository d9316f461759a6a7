"""Places told by the items near them, against all distances."""

import numpy as np
import pytest
import torch

from lsgen.analysis.neighbours import Gallery, Surroundings
from lsgen.latent import Codes, PoincareBall, Simplex, Sphere, paths
from lsgen.latent.distances import CosineDistance


def _circle(n: int) -> Codes:
    angles = torch.arange(n, dtype=torch.float64) * (2 * torch.pi / n)
    return Codes(torch.stack([angles.cos(), angles.sin()], 1), [f"{360 * i // n}°" for i in range(n)], Sphere())


def test_items_near_a_great_circle_are_those_that_it_passes() -> None:
    """From 0° to 90° among items every 10°: in ten points the geodesic stops at each of them."""
    items = _circle(36)
    start, end = items.select(ids=["0°", "90°"]).tensor()
    found = Gallery(items).nearest(Sphere().geodesic(start, end, 10), 2)
    assert found.ids[:, 0].tolist() == [f"{10 * i}°" for i in range(10)]
    np.testing.assert_allclose(found.distances[:, 0], 0, atol=1e-7)
    np.testing.assert_allclose(found.distances[:, 1], np.pi / 18, rtol=1e-9)
    chord = Gallery(items, CosineDistance()).nearest(paths.linear(start, end, 3)[1:2], 1)
    assert chord.ids[0, 0] in ("40°", "50°")
    assert chord.distances[0, 0] == pytest.approx(1 - np.cos(np.pi / 36))


@pytest.mark.parametrize("manifold", [PoincareBall(0.5), Simplex(3, mixtures=True)], ids=repr)
def test_the_nearest_are_those_of_the_manifold(manifold: PoincareBall | Simplex) -> None:
    torch.manual_seed(0)
    z = manifold.parametrised(torch.randn(40, 3, dtype=torch.float64))
    places = manifold.geodesic(z[:2], z[2:4], 5)
    found = Gallery(Codes(z, None, manifold)).nearest(places, 3)
    distances = manifold.distance(places[..., None, :].expand(2, 5, 40, 3), z.expand(2, 5, 40, 3))
    expected = distances.sort(-1)
    np.testing.assert_allclose(found.distances, expected.values[..., :3], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(found.ids, expected.indices[..., :3])


def test_percentiles_count_items_with_nearer_neighbours() -> None:
    """On a line at 2^i, i = 0 ... 11, the first neighbour of the item at 2^i is at 2^i / 2, of the first at 1."""
    table = Codes(2.0 ** torch.arange(12, dtype=torch.float64)[:, None])
    known = sorted([1.0, *(2.0**i / 2 for i in range(1, 12))])
    near = Surroundings(table, 1)
    np.testing.assert_array_equal(near.known, known)
    far, share = near.of(torch.tensor([[3.0], [1.0], [6000.0]]))
    np.testing.assert_array_equal(far, [1.0, 1.0, 6000 - 2048])
    np.testing.assert_allclose(share, [100 * sum(d < x for d in known) / 12 for x in far])
    with pytest.raises(ValueError, match="expected from 1 to 10 neighbours among 12 codes, got 11"):
        Surroundings(table, 11)


def test_places_that_are_none_and_few_items() -> None:
    items = Codes(torch.eye(2), ["a", "b"])
    found = Gallery(items).nearest(torch.tensor([[0.9, 0.0], [torch.nan, 0.0]]), 5)
    assert found.ids.tolist() == [["a", "b"], ["", ""]]
    assert found.rows.tolist() == [[0, 1], [-1, -1]]
    assert np.isnan(found.distances[1]).all()
    assert np.isnan(found.percentile).all()
    with pytest.raises(ValueError, match=r"expected places of dimension 2 and k >= 1, got \(1, 3\) and k = 1"):
        Gallery(items).nearest(torch.zeros(1, 3), 1)
    with pytest.raises(ValueError, match="expected at least one item to retrieve, got none"):
        Gallery(items.select([]))
