"""Maps of flows: what is drawn where, in which colour, and the outline of an arrow."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lsgen import viz
from lsgen.viz.flow_maps import _arrow, _projected
from lsgen.viz.style import ACCENT, SERIES

PLACES = np.array([[38.0, 28.0], [38.0, 42.0], [41.0, 35.0]])


def coloured(pixels: viz.Pixels, colour: str) -> np.ndarray:
    """Return where a picture has about the hue of a colour, rows and columns (n, 2), below its title."""
    wanted = np.array(to_rgb(colour)) - np.mean(to_rgb(colour))
    found = pixels[45:-35] / 255 - (pixels[45:-35] / 255).mean(-1, keepdims=True)
    strong = np.linalg.norm(found, axis=-1) > 0.1
    alike = found @ wanted > 0.95 * np.linalg.norm(found, axis=-1) * np.linalg.norm(wanted)
    return np.argwhere(strong & alike)


@pytest.mark.parametrize(("weight", "own", "other"), [(0.7, ACCENT, SERIES[1]), (-0.7, SERIES[1], ACCENT)])
def test_the_sign_is_the_colour_and_the_head_is_at_the_target(weight: float, own: str, other: str) -> None:
    """An arrow eastwards is in its colour, bends northwards and is widest where it arrives."""
    pixels = viz.flow_map(PLACES, [[0, 1]], [weight], "")
    found = coloured(pixels, own)
    assert len(found) > 200
    assert not len(coloured(pixels, other))
    columns = np.bincount(found[:, 1])
    seen = np.flatnonzero(columns)
    assert seen[0] + 0.9 * (seen[-1] - seen[0]) < columns.argmax()  # the head
    ends = found[np.abs(found[:, 1] - seen[[0, -1]][:, None]).argmin(1)][:, 0].mean()
    middle = found[np.abs(found[:, 1] - seen.mean()) < 3][:, 0].mean()
    assert middle < ends - 20  # rows are counted from the top


def test_the_outline_of_an_arrow() -> None:
    """It ends in the target, and its middle is where a parabola has it, both sides a width apart."""
    start, end = np.array([1.0, 2.0]), np.array([5.0, 2.0])
    outline = _arrow(start, end, width=0.1, head=1e-9)
    assert np.linalg.norm(outline - end, axis=1).min() < 1e-12
    steps = (len(outline) - 3) // 2
    one, other = outline[:steps], outline[-steps:][::-1]
    np.testing.assert_allclose(np.linalg.norm(one - other, axis=1), 0.1, atol=1e-9)
    line, t = (one + other) / 2, np.linspace(0, 1, steps)
    np.testing.assert_allclose(line[:, 0], 1 + 4 * t, atol=1e-6)
    np.testing.assert_allclose(line[:, 1], 2 + 4 * 0.16 * 4 * t * (1 - t), atol=1e-6)


def test_degrees_have_one_scale() -> None:
    """At 60 degrees a degree of longitude is half as long as one of latitude."""
    x = _projected(np.array([[59.0, 10.0], [61.0, 14.0]]))
    np.testing.assert_allclose(x[1] - x[0], [2, 2], atol=1e-12)


def test_places_have_their_colours_and_years_one_size() -> None:
    """Given colours are those of places; numbers have those of their limits, and pictures of all years one size."""
    own = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    pixels = viz.place_maps(PLACES, {"": own}, "title")
    for colour in own:
        assert (pixels == (255 * colour).astype(np.uint8)).all(-1).sum() > 50
    years = [
        viz.place_maps(PLACES, {"come": v, "leave": -v}, f"{y}", "weight", (-1, 1))
        for y, v in ((1, own[0]), (22, own[1]))
    ]
    assert years[0].shape == years[1].shape
    lowest = np.array([68, 1, 84])  # of viridis
    assert (np.abs(years[0].astype(int) - lowest).max(-1) <= 1).sum() > 50
    constant = viz.place_maps(PLACES, {"": np.zeros(3)}, "")
    assert constant.dtype == np.uint8
