"""Pixels and sound as files: PNG, GIF with one palette shared by all frames, and WAV."""

from __future__ import annotations

import wave
from io import BytesIO

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from lsgen.viz.style import Pixels

__all__ = ["gif", "png", "wav"]

_SAMPLE = 1 << 18


def png(pixels: Pixels) -> bytes:
    """Return an image (H, W, 3) as PNG."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def gif(frames: Pixels, fps: float = 12.0) -> bytes:
    """Return frames (T, H, W, 3) as a GIF that repeats for ever.

    The palette is made from pixels of all frames and shared by them: colours cannot flicker, and encoding
    takes a tenth of the time of a palette per frame.

    Args:
        frames: pixels (T, H, W, 3).
        fps: frames per second; the format counts in hundredths of a second, and viewers slow down above 50.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: there is no frame, or fps is not in (0, 50].

    """
    if not len(frames):
        raise ValueError("expected at least one frame, got none")
    if not 0 < fps <= 50:
        raise ValueError(f"expected frames per second in (0, 50], got {fps}")
    palette = _palette(frames)
    indexed = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    out = BytesIO()
    indexed[0].save(
        out, "GIF", save_all=True, append_images=indexed[1:], duration=round(100 / fps) * 10, loop=0, optimize=False
    )
    return out.getvalue()


def _palette(frames: Pixels) -> Image.Image:
    """Return a palette image: a median cut of the pixels of all frames, or of an even sample, with black and white."""
    colours = frames.reshape(-1, 3)
    colours = colours[:: (len(colours) // _SAMPLE) | 1]
    height = min(len(colours), 512)
    mosaic = colours[: len(colours) // height * height].reshape(height, -1, 3)
    palette = Image.fromarray(mosaic).quantize(254, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    entries = (palette.getpalette() or [])[: 254 * 3]
    palette.putpalette([*entries, *[0] * (254 * 3 - len(entries)), 0, 0, 0, 255, 255, 255])
    return palette


def wav(sounds: ArrayLike, rate: int, pause: float = 0.2) -> bytes:
    """Return sounds (N, samples), one after another, as WAV of 16 bits and one channel.

    Args:
        sounds: values in [-1, 1]; what is beyond is cut off.
        rate: samples a second.
        pause: seconds of silence after each.

    Raises:
        ValueError: the values are not finite or not of two dimensions, or the rate is not positive.

    """
    values = np.asarray(sounds, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all() or rate < 1:
        raise ValueError(f"expected finite sounds (N, samples) and a positive rate, got {values.shape} and {rate}")
    values = np.pad(values.clip(-1, 1), ((0, 0), (0, round(pause * rate))))
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((values * 32767).round().astype("<i2").tobytes())
    return out.getvalue()
