"""The figure of codes of a circle shows the codes of the first seed of each arm."""

from types import SimpleNamespace

import numpy as np
import pytest

from lsgen.reproduction.figures.circle_codes import CircleCodes
from lsgen.runs import RunError


def _results(found):
    return SimpleNamespace(arrays=lambda arm, metric: found.get((arm, metric), {}))


def test_codes_lie_where_they_are_and_have_the_colour_of_their_angle():
    random = np.random.default_rng(0)
    codes = {arm: {seed: random.normal(size=(5, 2)) for seed in (3, 1)} for arm in ("normal", "circle")}
    angles = {seed: random.uniform(0, 6, 5) for seed in (3, 1)}
    found = {(arm, "round/codes"): codes[arm] for arm in codes} | {(arm, "round/angles"): angles for arm in codes}
    figure = CircleCodes(["normal", "circle"], measure="round")(_results(found))
    for ax, arm in zip(figure.axes, codes, strict=True):
        (points,) = ax.collections
        np.testing.assert_array_equal(points.get_offsets(), codes[arm][1])
        np.testing.assert_array_equal(points.get_array(), angles[1])
        assert ax.get_title(loc="left") == arm
        assert ax.get_xlim()[1] > max(abs(codes[one][1]).max() for one in codes)


def test_an_arm_that_was_not_measured_is_refused():
    with pytest.raises(RunError, match="normal: expected codes of circle"):
        CircleCodes(["normal"])(_results({}))
