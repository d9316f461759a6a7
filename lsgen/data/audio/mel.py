"""Mel spectrograms of windows of sound, and sound from mel spectrograms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log, log10

import torch
from torch import Tensor

__all__ = ["Mel", "MelScale"]

_LEAST = 1e-5  # the smallest amplitude whose logarithm is taken
_SEED = 0  # of the phases that Griffin-Lim begins with
_MOMENTUM = 0.99  # of its fast variant
_STEPS = 50  # towards amplitudes that fit the bands


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
        scaled: whether logarithms become numbers from -1, for 1e-5, to about 1, for n_fft / 4, the amplitude of the
            loudest sine; networks learn these sooner than numbers from -11.5.
        iterations: steps of the fast Griffin-Lim algorithm on the way back, with the momentum 0.99.

    Raises:
        ValueError: an option is out of its range.

    Reference: Stevens, Volkmann & Newman, "A scale for the measurement of the psychological magnitude pitch" (1937);
    Griffin & Lim, "Signal estimation from modified short-time Fourier transform" (1984); Perraudin, Balazs &
    Søndergaard, "A fast Griffin-Lim algorithm" (2013); the formula of the scale is that of HTK.
    """

    n_mels: int | None = None
    n_fft: int = 512
    hop: int = 128
    fmin: float = 0.0
    fmax: float | None = None
    log: bool = True
    scaled: bool = False
    iterations: int = 64

    def __post_init__(self) -> None:
        for name, least in (("n_mels", 1), ("n_fft", 4), ("hop", 1), ("iterations", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise ValueError(f"expected data.mel.{name} to be a whole number of at least {least}, got {value!r}")
        for name in ("log", "scaled"):
            if not isinstance(value := getattr(self, name), bool):
                raise ValueError(f"expected data.mel.{name} to be true or false, got {value!r}")
        if self.scaled and not self.log:
            raise ValueError("expected data.mel.scaled of logarithms, got it with data.mel.log=false")
        if self.hop > self.n_fft:
            raise ValueError(f"expected data.mel.hop of at most n_fft, {self.n_fft} samples, got {self.hop}")


class MelScale:
    """The map from windows of sound to mel spectrograms, and back.

    Args:
        options: with a number of bands.
        rate: samples a second.
        samples: of a window.

    Attributes:
        shape: (1, bands, frames), high frequencies first, so that a picture shows them at its top.

    Raises:
        ValueError: a window is too short, the bands are out of range, or one is too narrow to hold a frequency.

    """

    def __init__(self, options: Mel, rate: int, samples: int) -> None:
        assert options.n_mels is not None
        self.options, self.rate, self.samples = options, rate, samples
        self.shape = (1, options.n_mels, samples // options.hop + 1)
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

    def __call__(self, sound: Tensor) -> Tensor:
        """Return the spectrograms (B, 1, bands, frames) of sound (B, samples)."""
        mel = (self._stft(sound).abs().mT @ self._bands).mT.flip(-2).unsqueeze(1)
        if self.options.log:
            mel = mel.clamp(min=_LEAST).log()
        least, half = self._logarithms
        return (mel - least) / half - 1 if self.options.scaled else mel

    def sound(self, spectrograms: Tensor) -> Tensor:
        r"""Return sound (B, samples) with nearly these spectrograms (B, 1, bands, frames).

        The amplitudes a >= 0 of a frame fit its bands m = W a by least squares, and phases p by the algorithm of
        Griffin & Lim, in its fast variant: with the projection C on spectrograms that sounds have,

            a <- a (W^T m) / (W^T W a),    c_n = C(|a| p_n),    p_{n+1} = phase of c_n - 0.99/1.99 c_{n-1} .
        """
        mel = spectrograms[:, 0].detach().cpu().float().flip(-2)
        if self.options.scaled:
            least, half = self._logarithms
            mel = (mel + 1) * half + least
        mel = mel.exp() if self.options.log else mel.clamp(min=0)
        amplitude = self._amplitude(mel)
        noise = torch.rand(2, *amplitude.shape, generator=torch.Generator().manual_seed(_SEED))
        phase, before = torch.complex(*noise), torch.zeros(())
        for _ in range(self.options.iterations):
            consistent = self._stft(self._istft(amplitude * phase))
            phase = consistent - before * (_MOMENTUM / (1 + _MOMENTUM))
            phase, before = phase / (phase.abs() + 1e-16), consistent
        return self._istft(amplitude * phase)

    @property
    def _logarithms(self) -> tuple[float, float]:
        """The logarithm that -1 stands for, and half the distance to that for which 1 does."""
        return log(_LEAST), (log(self.options.n_fft / 4) - log(_LEAST)) / 2

    def _amplitude(self, mel: Tensor) -> Tensor:
        """Return amplitudes (B, frequencies, frames) without negative ones that fit bands (B, bands, frames)."""
        bands = self._bands
        a = torch.relu(torch.linalg.pinv(bands.T) @ mel)
        a = torch.where(a > 0, a, a.amax(1, keepdim=True) * 1e-3)  # what is 0 stays 0
        wanted = bands @ mel
        for _ in range(_STEPS):
            a = a * wanted / (bands @ (bands.T @ a)).clamp(min=1e-12)
        return a

    def _stft(self, sound: Tensor) -> Tensor:
        n_fft, hop = self.options.n_fft, self.options.hop
        return torch.stft(sound, n_fft, hop, window=self._window, center=True, return_complex=True)

    def _istft(self, spectrum: Tensor) -> Tensor:
        n_fft, hop = self.options.n_fft, self.options.hop
        return torch.istft(spectrum, n_fft, hop, window=self._window, center=True, length=self.samples)

    @cached_property
    def _window(self) -> Tensor:
        return torch.hann_window(self.options.n_fft)

    @cached_property
    def _bands(self) -> Tensor:
        """The triangles, (frequencies, bands), low ones first."""
        least, most = (2595 * log10(1 + f / 700) for f in (self.options.fmin, self.fmax))
        corners = 700 * (10 ** (torch.linspace(least, most, self.shape[1] + 2, dtype=torch.float64) / 2595) - 1)
        left, top, right = corners[:-2], corners[1:-1], corners[2:]
        f = torch.linspace(0, self.rate / 2, self.options.n_fft // 2 + 1, dtype=torch.float64)[:, None]
        return torch.minimum((f - left) / (top - left), (right - f) / (right - top)).clamp(min=0).float()
