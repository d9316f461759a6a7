"""Mel spectrograms: closed forms, SciPy's Fourier transform, and the way back to sound."""

from math import log10, pi

import numpy as np
import pytest
import torch
from scipy import signal

from lsgen.data import Audible, AudioFolder
from lsgen.data.audio.mel import Mel, MelScale

RATE, SAMPLES = 8000, 4096


def mel_of(frequency):
    return 2595 * log10(1 + frequency / 700)


def tone(frequency, amplitude=0.5):
    return amplitude * torch.sin(2 * pi * frequency * torch.arange(SAMPLES) / RATE)[None]


@pytest.mark.parametrize("frequency", [250, 1000, 1750, 3000])
def test_a_pure_tone_falls_into_its_band_with_its_amplitude(frequency):
    """A sine of amplitude a at a frequency of the transform has the amplitude a n / 4 there with a Hann window of n."""
    scale = MelScale(Mel(20, n_fft=512, hop=128, log=False), RATE, SAMPLES)
    x = scale(tone(frequency))[0, 0].flip(0)  # low frequencies first
    place = mel_of(frequency) / mel_of(RATE / 2) * 21 - 1  # tops are at 0, 1, ..., 19
    frame = x[:, x.shape[1] // 2]
    assert abs(int(frame.argmax()) - place) <= 0.5
    bins = np.arange(frequency - RATE / 512, frequency + RATE / 256, RATE / 512)
    expected = np.zeros(20)
    for at, share in zip(bins, (0.5, 1, 0.5), strict=True):  # the window spreads a tone over three frequencies
        # triangles are straight in Hz between their corners
        corners = [700 * (10 ** (mel_of(RATE / 2) * k / 21 / 2595) - 1) for k in range(22)]
        for band in range(20):
            left, top, right = corners[band : band + 3]
            expected[band] += share * max(0, min((at - left) / (top - left), (right - at) / (right - top)))
    np.testing.assert_allclose(frame, expected * 0.5 * 512 / 4, atol=0.02)


def test_the_transform_is_that_of_scipy():
    sound = torch.rand(1, 2000, generator=torch.Generator().manual_seed(0)) - 0.5
    scale = MelScale(Mel(12, n_fft=256, hop=64), RATE, 2000)
    padded = np.pad(sound[0].numpy(), 128, mode="reflect")
    taps = signal.get_window("hann", 256)
    frames = np.stack([np.fft.rfft(padded[first : first + 256] * taps) for first in range(0, 2001 - 0, 64)])
    found = np.log(np.maximum(np.abs(frames) @ scale._bands.numpy(), 1e-5)).T
    assert scale.shape == (1, 12, 32)
    np.testing.assert_allclose(scale(sound)[0, 0].flip(0), found[:, :32], rtol=1e-3, atol=1e-3)
    assert float(scale(torch.zeros(1, 2000)).unique()) == pytest.approx(np.log(1e-5))


def test_sound_comes_back_and_more_iterations_are_more_consistent():
    data = AudioFolder(windows={"length": SAMPLES // 2}, mel={"n_mels": 40})
    x = data.dataset("test")[torch.arange(6)]["x"]
    assert isinstance(data, Audible)
    assert (data.shape, tuple(x.shape)) == ((1, 40, 17), (6, 1, 40, 17))
    errors = []
    for iterations in (1, 8, 64):
        scale = MelScale(Mel(40, iterations=iterations), RATE, SAMPLES // 2)
        state = torch.get_rng_state()
        sound = scale.sound(x)
        assert torch.equal(torch.get_rng_state(), state)
        assert sound.shape == (6, SAMPLES // 2)
        errors.append(float((scale(sound).exp() - x.exp()).square().mean()))
    assert errors[0] > errors[1] > errors[2]
    heard = data.sound(x)
    assert heard.abs().max() <= 1
    assert torch.equal(heard, data.sound(x))
    back = MelScale(Mel(40), RATE, SAMPLES // 2).sound(
        MelScale(Mel(40), RATE, SAMPLES // 2)(tone(1000)[:, : SAMPLES // 2])
    )
    assert abs(int(torch.fft.rfft(back[0]).abs().argmax()) * RATE / (SAMPLES // 2) - 1000) < 100


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"expected windows of at least data\.mel\.n_fft, 512 samples, got 400"):
        AudioFolder(windows={"length": 400}, mel={"n_mels": 20})
    with pytest.raises(ValueError, match=r"expected mel bands that hold a frequency each, got \d+ of 200 without any"):
        AudioFolder(mel={"n_mels": 200})
    with pytest.raises(ValueError, match=r"expected 0 <= data\.mel\.fmin < fmax <= 4000 Hz, half the rate, got 0 and"):
        AudioFolder(mel={"n_mels": 20, "fmax": 5000})
    for name, value in (("n_mels", 0), ("hop", 2.5), ("hop", 600), ("log", 1)):
        with pytest.raises(ValueError, match=rf"expected data\.mel\.{name}"):
            Mel(**{name: value})


def test_bands_and_phases_are_those_of_torchaudio():
    functional = pytest.importorskip("torchaudio.functional", reason="pip install torchaudio", exc_type=Exception)
    scale = MelScale(Mel(40, fmin=50.0, fmax=3500.0), RATE, SAMPLES)
    theirs = functional.melscale_fbanks(257, 50.0, 3500.0, 40, RATE)
    torch.testing.assert_close(scale._bands, theirs, atol=1e-5, rtol=1e-4)
    sound = torch.cat([tone(300), tone(1111)])
    mel = scale(sound)
    amplitude = scale._amplitude(mel[:, 0].exp().flip(-2))
    options = {"n_fft": 512, "hop_length": 128, "win_length": 512, "power": 1.0, "n_iter": 64, "momentum": 0.99}
    other = functional.griffinlim(amplitude, window=scale._window, length=SAMPLES, rand_init=True, **options)
    errors = [float((scale(found).exp() - mel.exp()).square().mean().sqrt()) for found in (scale.sound(mel), other)]
    assert errors[0] == pytest.approx(errors[1], abs=0.02 * float(mel.exp().max()))  # they begin with other phases


def test_scaled_logarithms_are_from_the_floor_to_the_loudest_sine_and_back():
    plain, scaled = MelScale(Mel(24), RATE, SAMPLES), MelScale(Mel(24, scaled=True), RATE, SAMPLES)
    sound = tone(1000, amplitude=1.0)
    x, y = plain(sound), scaled(sound)
    assert float(scaled(torch.zeros(1, SAMPLES)).unique()) == pytest.approx(-1, abs=1e-5)
    loudest = float(x.max())
    assert float(y.max()) == pytest.approx(2 * (loudest - np.log(1e-5)) / (np.log(128) - np.log(1e-5)) - 1, abs=1e-4)
    assert 0.9 < float(y.max()) < 1.1
    torch.testing.assert_close(scaled.sound(y), plain.sound(x), atol=0.05, rtol=0)
    with pytest.raises(ValueError, match=r"expected data\.mel\.scaled of logarithms"):
        Mel(24, log=False, scaled=True)
