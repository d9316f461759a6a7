r"""Tones that three independent factors determine completely: their pitch, their timbre and their envelope.

    x(t) = 0.6 a(t/T) sum_k c_k sin(2 pi k f t),    f = 220 Hz 2^(p/32), p = 0, ..., 63,    k f below half the rate

| timbre   | c_k                                    | envelope  | a(u), u in [0, 1]       |
|----------|----------------------------------------|-----------|-------------------------|
| sine     | 1 for k = 1                            | steady    | 1                       |
| triangle | 8/pi^2 (-1)^((k-1)/2) / k^2 for odd k  | fading    | exp(-5 u)               |
| square   | 4/pi 1/k for odd k                     | swelling  | exp(-5 (1 - u))         |
| sawtooth | 2/pi 1/k                               | trembling | (1 - cos(8 pi u)) / 2   |

are the Fourier series of the waves of height 1, without what a rate of 8000 samples a second cannot hold, so that
nothing is folded back. Two octaves in 64 steps of three eighths of a semitone, 4 timbres and 4 envelopes make 1024
tones of T = 0.504 s. Every tone rises from silence and falls back to it within 5 ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import pi, prod
from typing import Any

import torch
from torch import Tensor

from lsgen.data.audio.mel import Mel, MelScale
from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split

__all__ = [
    "ENVELOPES",
    "FACTOR_NAMES",
    "FACTOR_SIZES",
    "LOWEST",
    "RATE",
    "SAMPLES",
    "TIMBRES",
    "Tones",
    "all_factors",
    "coefficients",
    "envelopes",
    "pitch_of",
    "synthesise",
]

TIMBRES = ("sine", "triangle", "square", "sawtooth")
ENVELOPES = ("steady", "fading", "swelling", "trembling")
FACTOR_NAMES = ("pitch", "timbre", "envelope")
FACTOR_SIZES = (64, len(TIMBRES), len(ENVELOPES))
RATE, SAMPLES = 8000, 4032
LOWEST, STEPS = 220.0, 32  # Hz, and pitches of an octave
LOUDNESS, RAMP = 0.6, 0.005  # seconds of the ramp


def pitch_of(factors: Tensor) -> Tensor:
    """Return the fundamental frequencies (N,) in Hz of tones with factors (N, 3), float64."""
    return LOWEST * 2 ** (factors[:, 0].double() / STEPS)


def synthesise(factors: Tensor) -> Tensor:
    """Return tones.

    Args:
        factors: pitch, timbre and envelope, integers (N, 3).

    Returns:
        Sounds in (-1, 1), float32 (N, 4032).

    Raises:
        ValueError: factors has another shape, or values outside (64, 4, 4).

    """
    sizes = torch.tensor(FACTOR_SIZES)
    if factors.ndim != 2 or factors.shape[1] != 3 or bool(((factors < 0) | (factors >= sizes)).any()):
        raise ValueError(f"expected factors (N, 3) from 0 to below {FACTOR_SIZES}, got {tuple(factors.shape)}")
    waves, number = factors[:, :2].unique(dim=0, return_inverse=True)
    time = torch.arange(SAMPLES, dtype=torch.float64) / RATE
    sound = torch.zeros(len(waves), SAMPLES, dtype=torch.float64)
    frequency = pitch_of(waves)
    series = coefficients(int(RATE / 2 / LOWEST))
    for k in range(1, series.shape[1] + 1):
        rows = (frequency * k < RATE / 2).nonzero()[:, 0]
        height = series[waves[rows, 1], k - 1]
        rows, height = rows[height != 0], height[height != 0]
        sound[rows] += height[:, None] * torch.sin(2 * pi * k * frequency[rows, None] * time)
    return (LOUDNESS * sound[number] * envelopes(time)[factors[:, 2]]).float()


class Tones(DataModule):
    """The embedded set of sounds: 1024 tones (4032,) with values in [-1, 1], or their mel spectrograms.

    The label is the timbre.

    Args:
        shape: (4032,), or (1, bands, frames) of spectrograms.
        mel: whether, and how, tones become mel spectrograms, `Mel` or its options.
        val_size: tones held out for validation, a number or a fraction.
        test_size: tones held out for the test, a number or a fraction.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        rate: samples a second.
        label_names: names of the timbres.

    Raises:
        ValueError: an option is out of its range.

    """

    factor_names = FACTOR_NAMES
    factor_sizes = FACTOR_SIZES
    label_names = TIMBRES
    rate = RATE

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        mel: Mel | Mapping[str, Any] = Mel(),
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        bands: Mel = chosen_options(Mel, mel, "mel")
        self._scale = None if bands.n_mels is None else MelScale(bands, RATE, SAMPLES)
        provides = (SAMPLES,) if self._scale is None else self._scale.shape
        super().__init__(shape, provides, AsStored(None), batch_size, seed, loading)
        self._rows = random_split(prod(FACTOR_SIZES), {"val_size": val_size, "test_size": test_size}, self.split_seed)

    def build(self, split: Split) -> BatchDataset:
        """Return the tones of a split."""
        return self.subset(self._source, self._rows[split], split)

    def sound(self, x: Tensor) -> Tensor:
        """Return the sound (B, samples) of observations; of spectrograms by Griffin-Lim."""
        found = x if self._scale is None else self._scale.sound(x)
        return found.detach().cpu().float().clamp(-1, 1)

    @cached_property
    def _source(self) -> TensorSource:
        factors = all_factors()
        sounds = synthesise(factors)
        x = sounds if self._scale is None else self._scale(sounds)
        return TensorSource(x=x, label=factors[:, 1].clone(), factors=factors)


def all_factors() -> Tensor:
    """Return the factors of all tones, int64 (1024, 3), the envelope varying fastest."""
    return torch.cartesian_prod(*[torch.arange(size) for size in FACTOR_SIZES])


def coefficients(harmonics: int) -> Tensor:
    """Return the coefficients (4, harmonics) of the Fourier series of the timbres, float64."""
    k = torch.arange(1, harmonics + 1, dtype=torch.float64)
    odd, sign = k % 2, (-1.0) ** ((k - 1) // 2)
    return torch.stack([(k == 1).double(), odd * sign * 8 / (pi * k) ** 2, odd * 4 / (pi * k), 2 / (pi * k)])


def envelopes(time: Tensor) -> Tensor:
    """Return the envelopes (4, samples) at times (samples,) in seconds, with the ramps at both ends."""
    u = time / time[-1]
    shapes = [torch.ones_like(u), torch.exp(-5 * u), torch.exp(-5 * (1 - u)), (1 - torch.cos(8 * pi * u)) / 2]
    ramps = torch.minimum(time, time[-1] - time).div(RAMP).clamp(max=1)
    return torch.stack(shapes) * ramps
