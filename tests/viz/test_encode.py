from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageSequence

from lsgen import viz


def _frames(data):
    return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(BytesIO(data)))]


def test_png_keeps_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    assert (np.asarray(Image.open(BytesIO(viz.png(pixels)))) == pixels).all()


def test_gif_keeps_grey_frames_order_speed_and_loop():
    frames = np.broadcast_to(np.arange(0, 250, 25, dtype=np.uint8)[:, None, None, None], (10, 6, 8, 3)).copy()
    frames[:, 0, 0] = 255
    data = viz.gif(frames, fps=20)
    read = np.stack(_frames(data))
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).max() <= 2
    image = Image.open(BytesIO(data))
    assert image.info["duration"] == 50
    assert image.info["loop"] == 0


def test_gif_of_coloured_noise_stays_close_and_uses_one_palette():
    rng = np.random.default_rng(0)
    hues = rng.integers(0, 256, (40, 3), dtype=np.uint8)
    frames = hues[rng.integers(0, 40, (12, 16, 16))]
    read = np.stack(_frames(viz.gif(frames)))
    assert (read == frames).mean() > 0.99, "fewer colours than the palette holds must survive"


def test_bad_input_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="expected at least one frame, got none"):
        viz.gif(np.zeros((0, 2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"expected frames per second in \(0, 50\], got 60"):
        viz.gif(np.zeros((1, 2, 2, 3), np.uint8), fps=60)
