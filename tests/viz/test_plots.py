import matplotlib
import numpy as np
import pytest

from lsgen import viz


def _hue(pixels):
    """Return how much more red than blue there is in the saturated pixels."""
    difference = pixels[..., 0].astype(int) - pixels[..., 2]
    return difference[np.abs(difference) > 60]


def _map(values, **kwargs):
    return viz.plane_maps({"field": values}, (-1.0, 1.0), ("u", "v"), "t", **kwargs)


def test_a_diverging_map_shows_the_sign_by_its_hue():
    x = np.tile(np.linspace(-1, 1, 12), (12, 1))
    picture = _map(x, diverging=["field"])
    width = picture.shape[1]
    assert (_hue(picture[:, : width // 3]) < 0).all()
    right = _hue(picture[60:-60, width // 2 : int(width * 0.7)])
    assert len(right)
    assert (right > 0).all()


def test_the_first_row_of_a_map_is_at_the_top():
    y, _ = np.meshgrid(np.linspace(1, -1, 12), np.linspace(-1, 1, 12), indexing="ij")
    picture = _map(y)
    column = picture[:, picture.shape[1] // 3].astype(int).sum(-1)
    inside = column[60:-60]
    assert inside[: len(inside) // 4].mean() > inside[-len(inside) // 4 :].mean(), "viridis grows brighter"


def test_data_and_paths_are_drawn_on_top():
    flat = np.zeros((6, 6))
    points = np.array([[0.0, 0.0], [0.5, -0.5]])
    bare, dotted = _map(flat), _map(flat, points=points, groups=[1, 1])
    assert bare.shape == dotted.shape
    assert (bare != dotted).any()
    pathed = _map(flat, paths={"geodesic": [np.array([[-1.0, -1.0], [1.0, 1.0]])]})
    assert (pathed != bare).any()


def test_blank_cells_and_an_entirely_undefined_field_are_drawn():
    field = np.ones((6, 6))
    field[:3] = np.nan
    assert (_map(field) != _map(np.ones((6, 6)))).any()
    assert _map(np.full((6, 6), np.nan)).ndim == 3


def test_spectra_show_the_height_of_the_curve():
    high, low = np.array([100.0, 10.0, 1.0]), np.array([100.0, 1e-3, 1e-6])
    a, b = (viz.spectra({"G": (v[None], v)}, "t") for v in (high, low))
    assert (a != b).any()
    viz.spectra({"G": (np.zeros((2, 3)), np.zeros(3))}, "collapsed")


def test_curves_are_drawn_one_colour_each():
    one = viz.curves({"train": ([0, 1, 2], [3, 2, 1])}, "loss")
    two = viz.curves({"train": ([0, 1, 2], [3, 2, 1]), "val": ([0, 1, 2], [3, 3, 3])}, "loss")
    orange = lambda p: ((p[..., 0] > 200) & (p[..., 1] < 120) & (p[..., 2] < 90)).sum()
    assert orange(two) > 50 > orange(one)


@pytest.mark.parametrize("draw", [lambda: _map(np.eye(4)), lambda: viz.curves({"a": ([0], [0])}, "t")])
def test_no_global_state_is_left_behind(draw):
    before = dict(matplotlib.rcParams)
    draw()
    assert dict(matplotlib.rcParams) == before
    assert (
        "matplotlib.pyplot" not in __import__("sys").modules or not __import__("matplotlib.pyplot").pyplot.get_fignums()
    )


def test_matrices_have_their_first_row_at_the_top_and_blank_cells_where_nothing_is_known():
    table = np.zeros((4, 4))
    table[0, 3] = 1.0  # bright, at the upper right
    picture = viz.matrices({"d": table}, "t").astype(int)
    inside = picture[70:-60, 80:-100].sum(-1)
    half = len(inside) // 2, inside.shape[1] // 2
    corners = {
        "upper left": inside[: half[0], : half[1]],
        "upper right": inside[: half[0], half[1] :],
        "lower left": inside[half[0] :, : half[1]],
        "lower right": inside[half[0] :, half[1] :],
    }
    assert max(corners, key=lambda name: corners[name].mean()) == "upper right"
    table[2, 2] = np.nan
    assert (viz.matrices({"d": table}, "t") != picture).any()


def test_profiles_share_one_scale_and_dash_what_is_named():
    t = np.linspace(0, 1, 9)
    panels = {"one": {"a": (t, np.full(9, 1.0))}, "two": {"a": (t, np.full(9, 4.0))}}
    whole, broken = (viz.profiles(panels, "t", dashed=names) for names in ([], ["a"]))
    blue = lambda p: (p[..., 2].astype(int) - p[..., 0] > 120).sum()
    assert blue(broken) < 0.85 * blue(whole)
    heights = [
        np.flatnonzero((part[..., 2].astype(int) - part[..., 0] > 120).sum(-1) > 60).mean()
        for part in np.array_split(whole, 2, axis=1)
    ]
    assert heights[1] < heights[0], "the larger values are higher up"
