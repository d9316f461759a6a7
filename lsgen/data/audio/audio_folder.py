"""A folder of sound files of one's own, cut into windows of one length, as they are or as mel spectrograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import pi
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.data.audio.mel import Mel, MelScale
from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.encodings import AsStored
from lsgen.data.files import reading
from lsgen.data.inspection import refuse_first
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split
from lsgen.extras import from_extra

__all__ = ["Audible", "AudioFolder", "Windows"]

SUFFIXES = (".aif", ".aiff", ".flac", ".ogg", ".wav")
CLIPS, SECONDS, RATE = 120, 0.5, 8000  # of the example

_FLOATS = ("FLOAT", "DOUBLE")
_LIMIT, _OFTEN = 0.99, 0.1  # size of a value at a limit; percentage of such values from which they are told
_BLOCK = 2**20  # samples looked at together


@runtime_checkable
class Audible(Protocol):
    """Data whose observations can be heard.

    Attributes:
        rate: samples a second.

    """

    rate: int

    def sound(self, x: Tensor) -> Tensor:
        """Return the sound (B, samples) of observations or of what a model makes of them, values in [-1, 1]."""


@dataclass(frozen=True)
class Windows:
    """The windows that sound is cut into.

    Attributes:
        length: samples of a window.
        hop: samples from the beginning of a window to that of the next; as many as a window has if None.
        rate: samples a second, of every file, as nothing is resampled; that of the first file if None.

    Raises:
        ValueError: a window or a hop has no sample.

    """

    length: int = 512
    hop: int | None = None
    rate: int | None = None

    def __post_init__(self) -> None:
        if self.length < 1 or self.step < 1:
            raise ValueError(f"expected a window and a hop of at least 1 sample, got {self.length} and {self.step}")

    @property
    def step(self) -> int:
        """Samples from the beginning of a window to that of the next."""
        return self.length if self.hop is None else self.hop


class AudioFolder(DataModule):
    """Windows of sound (samples,), one channel with values in [-1, 1], or their mel spectrograms (1, bands, frames).

    The label is the first folder of the file.

    Files .wav, .flac, .ogg and .aiff are taken, in folders as deep as they are, and their channels averaged. A file
    gives as many whole windows as fit; what is left at its end is not used, and a file shorter than a window is filled
    up with zeros. Windows of one file are never in two splits. Sound is read whenever it is asked for, and all of it
    once when the first split is built: silent files are refused, and floating-point numbers that are not finite or
    beyond [-1, 1]; where samples are stuck at the limits, as in clipped recordings, a warning says in how many files.

    Args:
        shape: (samples,), or (1, bands, frames) of spectrograms.
        path: the folder; 120 tones of three kinds, half a second each, where it is None.
        windows: what files are cut into, `Windows` or its options.
        mel: whether, and how, windows become mel spectrograms, `Mel` or its options.
        val_size: files held out for validation, a number or a fraction.
        test_size: files held out for the test, a number or a fraction.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        rate: samples a second.
        classes: names of the folders that are the labels 0, 1, ...; empty if there are none.

    Raises:
        ValueError: an option is out of its range, there are no files, a damaged one, or one of another rate; when a
            split is built, a file is silent, or a number is NaN, infinite or beyond [-1, 1], with its file and sample.
        FileNotFoundError: there is no such folder.
        ImportError: the package soundfile is not installed.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        path: str | None = None,
        windows: Windows | Mapping[str, Any] = Windows(),
        mel: Mel | Mapping[str, Any] = Mel(),
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        cut: Windows = chosen_options(Windows, windows, "windows")
        bands: Mel = chosen_options(Mel, mel, "mel")
        window, step = cut.length, cut.step
        clips, owners, lengths, rate = _tones() if path is None else _list(Path(path).expanduser(), cut.rate)
        if cut.rate not in (None, rate):
            raise ValueError(f"expected a rate of {rate}, that of the example, got {cut.rate}")
        self._scale = None if bands.n_mels is None else MelScale(bands, rate, window)
        provides = (window,) if self._scale is None else self._scale.shape
        super().__init__(shape, provides, AsStored(None), batch_size, seed, loading)
        self.rate = rate
        self.classes = tuple(sorted(set(owners)))
        counts = np.maximum(1, (np.asarray(lengths) - window) // step + 1)
        clip = np.repeat(np.arange(len(clips)), counts)
        first = (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)) * step
        label = np.array([self.classes.index(owner) for owner in owners])[clip] if self.classes else None
        self._source = _Sounds(clips, clip, first, window, label, self._scale)
        files = random_split(len(clips), {"val_size": val_size, "test_size": test_size}, loading.split_seed)
        self._rows = {name: torch.from_numpy(np.isin(clip, part.numpy()).nonzero()[0]) for name, part in files.items()}

    def build(self, split: Split) -> BatchDataset:
        """Return the windows of a split."""
        return self.subset(self._inspected, self._rows[split], split)

    @cached_property
    def _inspected(self) -> _Sounds:
        files = [clip for clip in self._source.clips if isinstance(clip, Path)]
        stuck = {file: share for file in files if (share := _inspect(file)) > _OFTEN}
        if stuck:
            worst = max(stuck, key=lambda file: stuck[file])
            rank_zero_warn(
                f"{len(stuck)} of {len(files)} files have samples stuck at the limits, as clipped recordings: "
                f"{stuck[worst]:.2g} % of those in {worst}, the most of all."
            )
        return self._source

    def sound(self, x: Tensor) -> Tensor:
        """Return the sound (B, samples) of observations; of spectrograms by Griffin-Lim."""
        found = x if self._scale is None else self._scale.sound(x)
        return found.detach().cpu().float().clamp(-1, 1)


class _Sounds:
    """A source of windows of clips, which are files or sounds (samples,) in memory."""

    def __init__(
        self,
        clips: Sequence[Path] | Sequence[NDArray[np.float32]],
        clip: NDArray[np.int64],
        first: NDArray[np.int64],
        window: int,
        label: NDArray[np.int64] | None,
        scale: MelScale | None,
    ) -> None:
        self.clips, self.clip, self.first, self.window, self.label = clips, clip, first, window, label
        self.scale = scale

    def __len__(self) -> int:
        return len(self.clip)

    def __call__(self, rows: Tensor) -> Observations:
        chosen = rows.numpy()
        x = np.zeros((len(chosen), self.window), np.float32)
        for sound, clip, first in zip(x, self.clip[chosen], self.first[chosen], strict=True):
            samples = self._read(self.clips[clip], int(first))
            sound[: len(samples)] = samples
        sounds = torch.from_numpy(x)
        batch = {"x": sounds if self.scale is None else self.scale(sounds)}
        return batch if self.label is None else {**batch, "label": torch.from_numpy(self.label[chosen])}

    def _read(self, clip: Path | NDArray[np.float32], first: int) -> NDArray[Any]:
        if isinstance(clip, np.ndarray):
            return clip[first : first + self.window]
        import soundfile

        with reading("audio", clip):
            samples: NDArray[Any] = soundfile.read(clip, self.window, first, dtype="float32", always_2d=True)[0]
        return samples.mean(1)


def _inspect(file: Path) -> float:
    """Return the percentage of samples at a limit that are as their predecessors.

    Raises:
        ValueError: all samples are 0; or one is not finite, or beyond [-1, 1] in a file of floating-point numbers,
            which others cannot be, but for compressed ones by rounding.

    """
    import soundfile

    with reading("audio", file):
        floats = soundfile.info(str(file)).subtype in _FLOATS
        blocks = soundfile.blocks(str(file), _BLOCK, dtype="float32", always_2d=True)
    stuck = total = beyond = 0
    loudest, before = 0.0, np.zeros((1, 1), np.float32)
    first: tuple[float, str] | None = None
    for number, block in enumerate(blocks):
        x = torch.from_numpy(block)
        refuse_first(~x.isfinite(), x, lambda value: f"finite numbers in {file}", partial(_place, number * _BLOCK))
        size = np.abs(block)
        same = block == np.concatenate([np.broadcast_to(before, (1, block.shape[1])), block[:-1]])
        stuck, total = stuck + int((same & (size >= _LIMIT)).sum()), total + block.size
        loudest, before = max(loudest, float(size.max())), block[-1:]
        if floats and (over := int((size > 1).sum())):
            row, channel = np.argwhere(size > 1)[0].tolist()
            first = first or (float(block[row, channel]), _place(number * _BLOCK, row, channel))
            beyond += over
    if first is not None:
        raise ValueError(
            f"expected values in [-1, 1] in {file}, got {first[0]:.4g} in {first[1]} and {100 * beyond / total:.2g} % "
            "of all beyond: scale the sound"
        )
    if not loudest:
        raise ValueError(f"expected sound in {file}, got silence, {total} samples of 0: remove it")
    return 100 * stuck / total


def _place(start: int, sample: int, channel: int) -> str:
    return f"sample {start + sample} of channel {channel}"


Clips = tuple[Sequence[Any], list[str], list[int], int]


def _list(folder: Path, rate: int | None) -> Clips:
    """Return files, their classes if there are folders, their lengths and their rate."""
    with from_extra("audio", "expected the package soundfile, which reads sound"):
        import soundfile
    if not folder.is_dir():
        raise FileNotFoundError(f"expected a folder of sound files at {folder}, found nothing")
    found = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    files = sorted(file for file in found if not any(part[0] == "." for part in file.relative_to(folder).parts))
    if not files:
        raise ValueError(f"expected files {', '.join(SUFFIXES)} below {folder}, got none")
    owners = [file.relative_to(folder).parts[0] if file.parent != folder else "" for file in files]
    if "" in owners and len(set(owners)) > 1:
        stray = files[owners.index("")].name
        raise ValueError(f"expected each file below {folder} in the folder of its class, or none, got {stray} in none")
    lengths = []
    for file in files:
        with reading("audio", file), soundfile.SoundFile(str(file)) as sound:
            own, frames = int(sound.samplerate), int(sound.frames)
            if frames > 0:  # a compressed file that is cut short tells the length that it had
                sound.seek(frames - 1)
                if not len(sound.read(1)):
                    raise ValueError(f"of {frames} samples the last is not there")
        rate = own if rate is None else rate
        if own != rate:
            raise ValueError(f"expected {rate} samples a second, got {own} in {file}: resample it")
        if frames < 1:
            raise ValueError(f"expected sound in {file}, got no sample: remove it")
        lengths.append(frames)
    assert rate is not None
    return files, [] if "" in owners else owners, lengths, rate


def _tones() -> Clips:
    """Return tones of 100 to 1000 Hz and of three kinds, of random pitch, loudness and phase."""
    rng, time = np.random.default_rng(0), np.arange(int(SECONDS * RATE)) / RATE
    kinds = {
        "sawtooth": lambda turn: 2 * (turn % 1) - 1,
        "sine": lambda turn: np.sin(2 * pi * turn),
        "square": lambda turn: np.where(turn % 1 < 0.5, 1.0, -1.0),
    }
    clips, owners = [], []
    for number in range(CLIPS):
        owner = list(kinds)[number % len(kinds)]
        pitch, loudness, phase = 100 * 10 ** rng.random(), rng.uniform(0.2, 1), rng.random()
        clips.append((loudness * kinds[owner](pitch * time + phase)).astype(np.float32))
        owners.append(owner)
    return clips, owners, [len(clip) for clip in clips], RATE
