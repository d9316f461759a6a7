"""Tones have the pitch, the harmonics and the loudness that their factors say."""

from math import pi

import numpy as np
import pytest
import torch
from scipy import signal

from lsgen.data import Audible, Mel, Tones
from lsgen.data.audio.tones import ENVELOPES, FACTOR_SIZES, RATE, SAMPLES, TIMBRES, synthesise

STEADY, SAWTOOTH = ENVELOPES.index("steady"), TIMBRES.index("sawtooth")


def pitch(step):
    """Two octaves above the A of 220 Hz, 32 steps an octave."""
    return 110 * 2 ** (1 + np.asarray(step) / 32)


@pytest.fixture(scope="module")
def tones():
    factors = torch.cartesian_prod(*[torch.arange(size) for size in FACTOR_SIZES])
    return factors, synthesise(factors)


def test_the_strongest_frequency_is_the_pitch_within_a_bin_for_all_tones(tones):
    factors, sounds = tones
    found = torch.fft.rfft(sounds * torch.hann_window(SAMPLES)).abs().argmax(1) * RATE / SAMPLES
    np.testing.assert_allclose(found, pitch(factors[:, 0]), atol=RATE / SAMPLES)
    assert sounds.abs().max() < 1


def test_steady_tones_are_the_waves_of_scipy_without_what_the_rate_cannot_hold(tones):
    """The harmonics of scipy's waves, made at 64 times the rate, by a fit of sines to whole periods."""
    factors, sounds = tones
    makers = {
        "sine": np.sin,
        "square": signal.square,
        "triangle": lambda turn: signal.sawtooth(turn + pi / 2, 0.5),
        "sawtooth": lambda turn: -signal.sawtooth(turn),
    }
    fine = (np.arange(2**14) + 0.5) / 2**14  # of a period
    for step in (0, 31, 63):
        f = float(pitch(step))
        highest = int(np.ceil(RATE / 2 / f)) - 1
        inner = slice(200, SAMPLES - 200)  # beside the ramps
        turn = 2 * pi * f * np.arange(SAMPLES)[inner] / RATE
        turns = np.outer(turn, np.arange(1, highest + 1))
        basis = np.concatenate([np.sin(turns), np.cos(turns)], 1)
        for timbre, make in makers.items():
            row = (factors == torch.tensor([step, TIMBRES.index(timbre), STEADY])).all(1)
            sound = sounds[row][0].numpy()[inner]
            weights, residual = np.linalg.lstsq(basis, sound, rcond=None)[:2]
            wave = make(2 * pi * fine)
            series = [2 * np.mean(wave * np.sin(2 * pi * k * fine)) for k in range(1, highest + 1)]
            np.testing.assert_allclose(weights[:highest], 0.6 * np.array(series), atol=2e-4, err_msg=timbre)
            np.testing.assert_allclose(weights[highest:], 0, atol=1e-5)
            assert residual.sum() < 1e-6  # nothing else is heard


def test_loudness_follows_the_envelope(tones):
    """Mean squares of ninths of a tone, over those of the steady tone, are those of the envelope."""
    factors, sounds = tones
    u = ((np.arange(9 * 500) + 0.5) / (9 * 500)).reshape(9, 500)
    expected = {
        "fading": np.exp(-5 * u),
        "swelling": np.exp(5 * u - 5),
        "trembling": np.sin(4 * pi * u) ** 2,
    }
    rows = (factors[:, 0] == 40) & (factors[:, 1] == SAWTOOTH)
    power = sounds[rows].unflatten(1, (9, 448)).square().mean(-1)
    for name, values in expected.items():
        share = power[ENVELOPES.index(name)] / power[STEADY]
        np.testing.assert_allclose(share, (values**2).mean(1), atol=0.03, err_msg=name)
    assert (sounds[:, 0] == 0).all()
    assert (sounds[:, -1] == 0).all()


def test_the_data_say_which_tone_is_which_as_sound_and_as_spectrogram():
    plain, seen = Tones(val_size=100, test_size=0.1), Tones(mel={"n_mels": 64, "hop": 64})
    assert isinstance(plain, Audible)
    assert (plain.shape, seen.shape) == ((4032,), (1, 64, 64))
    assert [len(plain.dataset(split)) for split in ("train", "val", "test")] == [822, 100, 102]
    batch = plain.dataset("val")[torch.arange(50)]
    torch.testing.assert_close(batch["x"], synthesise(batch["factors"]))
    assert torch.equal(batch["label"], batch["factors"][:, 1])
    assert torch.equal(plain.sound(batch["x"]), batch["x"])
    whole = torch.cat([seen.dataset(split)[torch.arange(100)]["factors"] for split in ("train", "val", "test")])
    assert len(whole.unique(dim=0)) == 300
    assert seen.factor_sizes == FACTOR_SIZES


@pytest.mark.slow
def test_tones_come_back_from_spectrograms_and_their_pitch_rises_with_the_factor():
    """Spectral convergence |A - |STFT||/|A| of the way back, and the pitch that is heard on it."""
    data = Tones(mel=Mel(64, hop=64))
    factors = torch.tensor([[step, timbre, 0] for timbre in range(4) for step in range(0, 64, 7)])
    x = data._scale(synthesise(factors))
    heard = data.sound(x)

    def amplitude(sound):
        return torch.stft(sound, 512, 64, window=torch.hann_window(512), return_complex=True).abs().flatten(1)

    wanted = amplitude(synthesise(factors))
    error = torch.linalg.vector_norm(amplitude(heard) - wanted, dim=1) / torch.linalg.vector_norm(wanted, dim=1)
    assert error.mean() < 0.35
    spectrum = torch.fft.rfft(heard * torch.hann_window(SAMPLES), 4 * SAMPLES).abs()
    found = (spectrum.argmax(1) * RATE / 4 / SAMPLES).unflatten(0, (4, -1))
    assert (found.diff(dim=1) > 0).all()
    np.testing.assert_allclose(found, pitch(factors[:, 0]).reshape(4, -1), rtol=0.04)


def test_factors_beyond_their_sizes_are_refused():
    with pytest.raises(ValueError, match=r"expected factors \(N, 3\) from 0 to below \(64, 4, 4\), got \(1, 3\)"):
        synthesise(torch.tensor([[64, 0, 0]]))
