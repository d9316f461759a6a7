"""Cells of several kinds: where every part lies, and words that fit."""

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageDraw

from lsgen import viz
from lsgen.viz.image_grid import font
from lsgen.viz.style import MUTED

RNG = np.random.default_rng(0)
LINE = ImageColor.getrgb(MUTED)


def noise(n, *size):
    return RNG.integers(0, 100, (n, *size, 3), dtype=np.uint8)  # darker than pages and lines


def test_two_pictures_lie_side_by_side_each_as_it_is_and_words_below():
    first, second = noise(4, 48, 48), noise(4, 48, 60)
    words = viz.written(["a", "b", "c", "d"], width=109, lines=1)
    page = viz.composed([first, second], [words])
    assert page.shape == (4, 48 + 1 + words.shape[1], 109, 3)
    np.testing.assert_array_equal(page[:, :48, :48], first)
    np.testing.assert_array_equal(page[:, :48, 49:], second)
    np.testing.assert_array_equal(page[:, 49:], words)
    assert (page[:, :48, 48] == LINE).all()
    assert (page[:, 48] == LINE).all()


def test_smaller_pictures_are_enlarged_by_whole_factors_and_centred():
    small, large = noise(2, 8, 8), noise(2, 28, 28)
    page = viz.composed([small, large], smallest=28)
    three = small.repeat(3, 1).repeat(3, 2)
    np.testing.assert_array_equal(page[:, 2:26, :24], three)
    np.testing.assert_array_equal(page[:, :, 25:], large)
    enlarged = viz.composed([small, large], smallest=48)
    np.testing.assert_array_equal(enlarged, page.repeat(2, 1).repeat(2, 2))


def test_five_pictures_lie_in_two_rows_in_their_order():
    pictures = [noise(3, 28, 28) for _ in range(5)]
    page = viz.composed(pictures)
    assert page.shape == (3, 57, 86, 3)
    for i in range(3):
        np.testing.assert_array_equal(page[:, :28, 29 * i : 29 * i + 28], pictures[i])
    for i, left in enumerate((14, 43)):  # the second row in the middle
        np.testing.assert_array_equal(page[:, 29:, left : left + 28], pictures[3 + i])


def test_words_are_drawn_with_the_font_line_by_line():
    """The cell of two words that need a line each is that of the words drawn by hand."""
    cell = viz.written(["sawtooth sawtooth"], width=80, lines=2)[0]
    assert cell.shape == (30, 80, 3)
    page = Image.new("RGB", (80, 30), tuple(cell[0, 0].tolist()))
    for middle in (9, 21):
        ImageDraw.Draw(page).text((40, middle), "sawtooth", "#1c2430", font(10), anchor="mm")
    np.testing.assert_array_equal(cell, np.asarray(page))


def test_lines_are_as_many_as_words_need_and_what_does_not_fit_ends_with_an_ellipsis():
    word = "picture"
    room = 6 + int(font(10).getlength(f"{word} {word}")) + 1
    for count in (1, 2, 3, 4, 5):
        assert viz.lines_needed(["a", " ".join([word] * count)], room) == -(-count // 2)
    assert viz.lines_needed([], room) == viz.lines_needed([""], room) == 1
    long = " ".join([word] * 9)
    cut, four = viz.written([long], room, 2)[0], viz.written([" ".join([word] * 4)], room, 2)[0]
    np.testing.assert_array_equal(cut[:15], four[:15])
    assert not (cut[15:] == four[15:]).all()
    fits = viz.written(["x" * 200], 60, 1)
    assert (fits[:, :, :2] == fits[0, 0, 0]).all()
    assert (fits[:, :, -2:] == fits[0, 0, 0]).all()
    assert len(viz.written([])) == 0


def test_cells_of_different_numbers_and_no_room_are_refused():
    with pytest.raises(ValueError, match=r"expected cells of as many observations each, got \[2, 3\]"):
        viz.composed([noise(2, 8, 8), noise(3, 8, 8)])
    with pytest.raises(ValueError, match="expected cells of at least 24 pixels and 1 line, got 10 and 1"):
        viz.written(["a"], width=10, lines=1)
