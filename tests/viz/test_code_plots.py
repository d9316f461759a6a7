"""Plots of codes show what they are given, whatever kind of groups there are."""

import numpy as np
import pytest

from lsgen import viz
from lsgen.viz.colouring import group_colours
from lsgen.viz.style import GRID, SERIES


@pytest.mark.parametrize("groups", [None, ["a", None, "ü" * 80], [1, 2, 2], [0.5, np.nan, 2.0], [True, False, True]])
def test_maps_take_any_column(groups):
    column = None if groups is None else np.array(groups, dtype=object if None in groups else None)
    one = viz.scatter_maps({"pca": np.eye(3), "tsne": np.eye(3)[:, :2]}, "Maps", column)
    assert one.dtype == np.uint8
    assert (one < 200).any()


def test_groups_have_a_colour_each_and_missing_ones_none():
    colours, named = group_colours(np.array(["b", None, "a", "b"], dtype=object))
    assert colours == [SERIES[1], GRID, SERIES[0], SERIES[1]]
    assert named == [("a", SERIES[0]), ("b", SERIES[1])]
    assert group_colours(np.arange(30))[1] == []


def test_curves_and_marks_are_drawn_where_they_are():
    x, low = [10, 100], [0.1, 0.2]
    plain = viz.interval_curves({"codes": (x, low, low, low)}, "t", "labels", "accuracy")
    wide = viz.interval_curves({"codes": (x, low, [0.0, 0.0], [1.0, 1.0])}, "t", "labels", "accuracy")
    assert not np.array_equal(plain, wide)
    inside = viz.path_profiles({"speed": {"linear": [1, 2, 3]}}, "t")
    outside = viz.path_profiles({"speed": {"linear": [1, 2, 3]}}, "t", {"linear": [False, True, False]}, {"speed": 2.0})
    assert not np.array_equal(inside, outside)
    roc = viz.roc_curves({"knn": ([0, 0.5, 1], [0, 1, 1])}, "t")
    assert not np.array_equal(roc, viz.roc_curves({"knn": ([0, 0.5, 1], [0, 0.2, 1])}, "t"))
    even = viz.p_value_histograms({"knn": np.linspace(0, 1, 40)}, "t")
    assert not np.array_equal(even, viz.p_value_histograms({"knn": np.zeros(40)}, "t"))
