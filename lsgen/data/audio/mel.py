"""Mel spectrograms of windows of sound, and sound from mel spectrograms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

__all__ = ["Mel", "MelScale"]

_LEAST = 1e-5  # the smallest amplitude whose logarithm is taken
_SEED = 0  # of the phases that Griffin-Lim begins with


@dataclass(frozen=True)
class Mel:
    """How sound becomes a mel spectrogram: amplitudes of a short-time Fourier transform with Hann windows, in bands.

    The bands are triangles of height 1, equally wide in mel(f) = 2595 log10(1 + f / 700 Hz), each of which ends where
    its neighbours have their tops. Published vocoders differ in the number of bands (80), and some in their scale and
    in the area of the triangles.

    Attributes:
        n_mels: bands; None for sound as it is.
        n_fft: samples of a Fourier transform.
        hop: samples from one to the next.
        fmin: where the bands begin, in Hz.
        fmax: where they end, in Hz; half the rate if None.
        log: whether the natural logarithm is taken, of amplitudes of at least 1e-5.
        iterations: steps of Griffin-Lim on the way back.

    Raises:
        ValueError: an option is out of its range.

    Reference: Stevens, Volkmann & Newman, "A scale for the measurement of the psychological magnitude pitch" (1937);
    Griffin & Lim, "Signal estimation from modified short-time Fourier transform" (1984); the formula is that of HTK.
    """

    n_mels: int | None = None
    n_fft: int = 512
    hop: int = 128
    fmin: float = 0.0
    fmax: float | None = None
    log: bool = True
    iterations: int = 64

    def __post_init__(self) -> None:
        for name, least in (("n_mels", 1), ("n_fft", 4), ("hop", 1), ("iterations", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise ValueError(f"expected data.mel.{name} to be a whole number of at least {least}, got {value!r}")
        if not isinstance(self.log, bool):
            raise ValueError(f"expected data.mel.log to be true or false, got {self.log!r}")
        if self.hop > self.n_fft:
            raise ValueError(f"expected data.mel.hop of at most n_fft, {self.n_fft} samples, got {self.hop}")


class MelScale:
    """The map from windows of sound to mel spectrograms, and back.

    Args:
        options: with a number of bands.
        rate: samples a second.
        samples: of a window.

    Attributes:
        shape: (1, bands, frames), low frequencies first.

    Raises:
        ValueError: a window is too short, the bands are out of range, or one is too narrow to hold a frequency.
        ImportError: the package torchaudio is not installed.

    """

    def __init__(self, options: Mel, rate: int, samples: int) -> None:
        try:
            import torchaudio  # noqa: F401
        except (ImportError, OSError) as error:
            raise ImportError("expected the package torchaudio: pip install 'lsgen[audio]'") from error
        assert options.n_mels is not None
        self.options, self.rate, self.samples = options, rate, samples
        self.fmax = rate / 2 if options.fmax is None else float(options.fmax)
        if samples < options.n_fft:
            raise ValueError(
                f"expected windows of at least data.mel.n_fft, {options.n_fft} samples, got {samples}: raise "
                "data.windows.length"
            )
        if not 0 <= options.fmin < self.fmax <= rate / 2:
            raise ValueError(
                f"expected 0 <= data.mel.fmin < fmax <= {rate / 2:g} Hz, half the rate, got {options.fmin:g} and "
                f"{self.fmax:g}"
            )
        empty = (self._bands.sum(0) == 0).nonzero()[:, 0].tolist()
        if empty:
            raise ValueError(
                f"expected mel bands that hold a frequency each, got {len(empty)} of {options.n_mels} without any, "
                f"{rate / options.n_fft:.3g} Hz apart: lower data.mel.n_mels or raise data.mel.n_fft"
            )
        self.shape = (1, options.n_mels, samples // options.hop + 1)

    def __call__(self, sound: Tensor) -> Tensor:
        """Return the spectrograms (B, 1, bands, frames) of sound (B, samples)."""
        amplitude = self._stft(sound).abs()
        mel = (amplitude.mT @ self._bands).mT.unsqueeze(1)
        return mel.clamp(min=_LEAST).log() if self.options.log else mel

    def sound(self, spectrograms: Tensor) -> Tensor:
        """Return sound (B, samples) with nearly these spectrograms.

        The amplitudes are those of least square that fit the bands, without negative ones; phases are found by the
        fast Griffin-Lim algorithm.
        """
        from torchaudio.functional import griffinlim

        mel = spectrograms[:, 0].detach().cpu().float()
        mel = mel.exp() if self.options.log else mel.clamp(min=0)
        amplitude = torch.relu(torch.linalg.pinv(self._bands.T) @ mel)
        n_fft, hop = self.options.n_fft, self.options.hop
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            found: Tensor = griffinlim(
                amplitude,
                window=self._window,
                n_fft=n_fft,
                hop_length=hop,
                win_length=n_fft,
                power=1.0,
                n_iter=self.options.iterations,
                momentum=0.99,
                length=self.samples,
                rand_init=True,
            )
        return found

    def _stft(self, sound: Tensor) -> Tensor:
        n_fft, hop = self.options.n_fft, self.options.hop
        return torch.stft(sound, n_fft, hop, window=self._window, center=True, return_complex=True)

    @cached_property
    def _window(self) -> Tensor:
        return torch.hann_window(self.options.n_fft)

    @cached_property
    def _bands(self) -> Tensor:
        """The triangles, (frequencies, bands)."""
        import warnings

        from torchaudio.functional import melscale_fbanks

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of empty bands, which are refused
            found: Any = melscale_fbanks(
                self.options.n_fft // 2 + 1, self.options.fmin, self.fmax, self.options.n_mels, self.rate
            )
        bands: Tensor = found
        return bands
