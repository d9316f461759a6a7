import re

import numpy as np
import pytest

from lsgen import viz


def _images(*shape):
    return np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)


def _find(picture, image):
    """Return the places (row, column) at which the image stands in the picture, by exhaustive comparison."""
    h, w = image.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(picture, (h, w, 3))[:, :, 0]
    return [tuple(map(int, place)) for place in np.argwhere((windows == image).all((2, 3, 4)))]


def test_every_image_stands_once_in_reading_order_pixel_for_pixel():
    images = _images(2, 3, 10, 12)
    picture = viz.grid(images, ["row 0", "row 1"], ["a", "b", "c"], title="Title", gaps=[2], smallest=10)
    places = [_find(picture, image) for image in images.reshape(-1, 10, 12, 3)]
    assert [len(found) for found in places] == [1] * 6
    rows, columns = np.array([found[0] for found in places]).reshape(2, 3, 2).transpose(2, 0, 1)
    assert (np.diff(rows, axis=0) >= 10).all()
    assert (np.ptp(rows, axis=1) == 0).all()
    steps = np.diff(columns, axis=1)
    assert (steps[:, 0] >= 12).all()
    assert (steps[:, 1] > steps[:, 0]).all(), "the block gap is wider than the padding"
    assert (np.ptp(columns, axis=0) == 0).all()


def test_labels_change_pixels_outside_the_images_only():
    images = _images(1, 2, 50, 50)
    plain, other = (viz.grid(images, [label], ["x", "y"]) for label in ("KL 2.41", "KL 7.53"))
    assert plain.shape == other.shape
    changed = np.argwhere((plain != other).any(-1))
    assert len(changed)
    assert changed[:, 1].max() < _find(plain, images[0, 0])[0][1]


def test_frames_of_an_animation_are_the_single_grids():
    images = _images(4, 2, 2, 9, 9)
    frames = viz.animate(images, rows=["a", "b"], title="t")
    assert len(frames) == 4
    for frame, still in zip(frames, images, strict=True):
        assert (frame == viz.grid(still, rows=["a", "b"], title="t")).all()


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"images": _images(2, 2, 4, 4), "rows": ["a"]}, "expected 2 row labels, got 1"),
        ({"images": _images(2, 2, 4, 4), "columns": list("abc")}, "expected 2 column labels, got 3"),
        ({"images": np.zeros((1, 1, 4, 4, 3))}, "expected uint8 images (R, C, H, W, 3), got float64"),
    ],
)
def test_wrong_labels_and_types_are_refused(kwargs, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        viz.grid(**kwargs)


def test_lines_stand_under_their_pictures_and_are_broken():
    images = np.zeros((3, 10, 10, 3), np.uint8)
    images[1] = 200
    lines = [[viz.TextLine("is it dark ?"), viz.TextLine("yes", "#00ff00")], [viz.TextLine("a " * 60)], []]
    page = viz.captioned(images, lines, columns=2, width=100)
    first, second = page[10 : 10 + 100], page[:, 10 + 100 + 12 :]
    assert (first[:, 10 : 10 + 100] == 0).all()
    assert (second[10 : 10 + 100, :100] == 200).all()
    green = (page == (0, 255, 0)).all(-1)
    assert green[10 + 100 :, : 10 + 100].any()
    assert not green[: 10 + 100].any()
    written = (second[10 + 102 :, :100] < 128).all(-1).any(1)  # several lines, with gaps between them
    assert (written[1:] & ~written[:-1]).sum() >= 3
    assert page.shape[1] == 2 * 100 + 12 + 2 * 10
    with pytest.raises(ValueError, match="got 1 for"):
        viz.captioned(images, [[]])
