"""Tables of cards: what is in them, where."""

import numpy as np
import pytest

from lsgen.viz import Card, cards


def test_pictures_are_pasted_enlarged_and_marks_have_their_colour() -> None:
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    page = cards([[[Card("one", red)], [Card("two")]]], ["row"], ["a", "b"], "title", smallest=10)
    assert (page == (255, 0, 0)).all(-1).sum() == 100
    assert page.dtype == np.uint8
    plain, marked = (cards([[[Card("word", marked=mark)]]], [""], ["a"]) for mark in (False, True))
    orange = (226, 87, 43)
    assert not (plain == orange).all(-1).any()
    assert (marked == orange).all(-1).any()


def test_cells_grow_with_their_lines_and_long_ones_are_cut() -> None:
    few, many = (cards([[[Card("word")] * n]], ["r"], ["c"]) for n in (1, 4))
    assert many.shape[0] > few.shape[0]
    assert many.shape[1] == few.shape[1]
    assert Card("x" * 40).line == "x" * 21 + "…"
    assert cards([[[Card("x" * 40)]]], ["r"], ["c"]).shape == cards([[[Card("x" * 400)]]], ["r"], ["c"]).shape


def test_labels_are_as_many_as_cells() -> None:
    with pytest.raises(ValueError, match=r"expected cells for 1 rows and 2 columns, got 1 rows of \[1\] cells"):
        cards([[[Card("word")]]], ["r"], ["a", "b"])
