import numpy as np
import pytest
import torch

from lsgen import viz


def test_pixels_are_the_rounded_affine_image_of_the_bounds():
    x = torch.linspace(-1, 1, 256, dtype=torch.float64).reshape(1, 1, 16, 16)
    pixels = viz.to_pixels(x, event=3, bounds=(-1.0, 1.0))
    assert pixels.shape == (1, 16, 16, 3)
    assert pixels.dtype == np.uint8
    assert pixels[0, ..., 0].ravel().tolist() == list(range(256))
    assert (pixels == pixels[..., :1]).all()


def test_three_channels_keep_their_order_and_values_beyond_the_bounds_are_clipped():
    x = torch.tensor([-5.0, 0.5, 9.0]).reshape(3, 1, 1)
    assert viz.to_pixels(x, event=3).tolist() == [[[0, 128, 255]]]


def test_other_channel_counts_lie_side_by_side():
    x = torch.stack([torch.zeros(2, 3), torch.ones(2, 3)])
    pixels = viz.to_pixels(x, event=3)
    assert pixels.shape == (2, 6, 3)
    assert (pixels[:, :3] == 0).all()
    assert (pixels[:, 3:] == 255).all()


def test_a_vector_is_drawn_as_bars_whose_height_is_its_value():
    pixels = viz.to_pixels(torch.tensor([0.0, 0.5, 1.0]), event=1)
    height, width, _ = pixels.shape
    lit = (pixels[..., 0] == 255).sum(0).reshape(3, width // 3)
    assert (lit == lit[:, :1]).all()
    assert np.abs(lit[:, 0] - np.array([0, 0.5, 1]) * (height - 1) - 1).max() <= 1


@pytest.mark.parametrize(
    ("values", "bounds"),
    [([0.0, 0.3], (0.0, 1.0)), ([-0.2, 1.0], (-1.0, 1.0)), ([-3.0, 7.0], (-3.0, 7.0))],
)
def test_value_range_is_the_customary_one_that_holds_the_data(values, bounds):
    assert viz.value_range(torch.tensor(values)) == bounds


def test_upscaling_repeats_pixels_by_a_whole_factor():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    large = viz.upscale(pixels, smallest=20)
    assert large.shape == (2, 24, 24, 3)
    assert (large[:, ::3, ::3] == pixels).all()
    assert (large[:, 2::3, 2::3] == pixels).all()
    assert viz.upscale(pixels, smallest=8) is pixels


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_magenta_and_nothing_else_is(value):
    x = torch.tensor([[[0.0, value, 1.0]]])
    black, red, white = viz.to_pixels(x, event=3)[0].tolist()
    assert (black, white) == ([0, 0, 0], [255, 255, 255])
    assert red == [214, 0, 147]
    profile = viz.to_pixels(x[0, 0], event=1)
    third = profile.shape[1] // 3
    assert (profile[:, third : 2 * third] == (214, 0, 147)).all()
    assert (profile[:, :third] != (214, 0, 147)).any(-1).all()


def test_bad_input_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"expected bounds \(low, high\) in order, got \(1.0, 0.0\)"):
        viz.to_pixels(torch.zeros(1, 2, 2), event=3, bounds=(1.0, 0.0))
    with pytest.raises(ValueError, match="expected observations of 1 to 3 dimensions"):
        viz.to_pixels(torch.zeros(2), event=3)


def test_a_long_vector_is_shown_by_the_range_of_every_column():
    """Sixteen thousand samples of a tone whose loudness grows: the bright part grows with it, and NaN is not hidden."""
    time = torch.linspace(0, 1, 16384)
    pixels = viz.to_pixels(time * torch.sin(20000 * time), event=1, bounds=(-1.0, 1.0))
    assert pixels.shape[1] == 512
    bright = (pixels[..., 0] == 255).sum(0)
    expected = torch.linspace(0, 1, 512).numpy() * (pixels.shape[0] - 1)
    assert abs(bright - expected).max() <= 3
    time[8000] = torch.nan
    magenta = (viz.to_pixels(time, event=1) == (214, 0, 147)).all(-1)
    assert magenta.all(0).sum() == magenta.any(0).sum() == 1
