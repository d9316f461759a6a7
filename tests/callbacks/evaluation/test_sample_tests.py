"""Tests of samples that cannot be done are refused when they are asked for."""

import pytest

from lsgen.callbacks import Memorisation, RealSet, TwoSampleTests
from lsgen.metrics.quality import Pixels

PIXELS = Pixels((1, 2, 2))


@pytest.mark.parametrize(("n_real", "cells", "least"), [(1, 1, 2), (9, 10, 10)])
def test_too_few_training_observations_for_the_cells(n_real: int, cells: int, least: int) -> None:
    with pytest.raises(ValueError, match=f"Memorisation expected n_real of at least {least}, got {n_real}"):
        Memorisation(PIXELS, n_real=n_real, cells=cells)
    Memorisation(PIXELS, n_real=least, cells=cells)


def test_too_few_real_observations_and_no_test_at_all() -> None:
    with pytest.raises(ValueError, match=r"TwoSampleTests expected real.n of at least 4, got 3"):
        TwoSampleTests(PIXELS, real=RealSet("val", 3))
    with pytest.raises(ValueError, match="TwoSampleTests expected classifiers or bins, got neither"):
        TwoSampleTests(PIXELS, classifiers=(), bins=0)
