r"""Tones with a caption that says what is heard and a table of three numbers that are measured on them.

| modality | shape              | what it is                                                              |
|----------|--------------------|-------------------------------------------------------------------------|
| sound    | (1, bands, frames) | the mel spectrogram; (4032,), the sound as it is                        |
| caption  | (7,)               | one of three sentences, such as "a low sawtooth that fades"             |
| table    | (3,)               | the octaves of the pitch f above 220 Hz; those of the mean harmonic,    |
|          |                    | log2 (sum_k k c_k^2 / sum_k c_k^2); the mean of t/T weighted by a(t)^2   |

with the coefficients c_k and envelopes a of `lsgen.data.audio.tones`.

A caption tells the register, the timbre and the envelope, each in one word. A register is half an octave: captions say
less of the pitch than the sound and the table do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor

from lsgen.data.audio.mel import Mel, MelScale
from lsgen.data.audio.tones import (
    ENVELOPES,
    FACTOR_NAMES,
    FACTOR_SIZES,
    LOWEST,
    RATE,
    SAMPLES,
    TIMBRES,
    all_factors,
    coefficients,
    envelopes,
    pitch_of,
    synthesise,
)
from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.draws import Purpose, key, uniform
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import Split
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.data.splits import random_split
from lsgen.likelihoods.text.vocabulary import Vocabulary

__all__ = ["REGISTERS", "CaptionedTones"]

REGISTERS = ("deep", "low", "high", "shrill")
_VERBS = {"steady": "holds", "fading": "fades", "swelling": "swells", "trembling": "trembles"}
_FORMS = (
    "a {register} {timbre} that {verb}",
    "a {envelope} {timbre} in the {register} register",
    "this {timbre} is {register} and {verb}",
)
_TOLD = tuple(product(REGISTERS, TIMBRES, ENVELOPES))
COLUMNS = ("octaves", "brightness", "centre")


class CaptionedTones(MultimodalData):
    """1024 tones with modalities "sound", "caption" and "table"; factors are pitch, timbre and envelope.

    The label is the timbre. What is heard of an observation, or of what a model makes of one, is its sound.

    Args:
        shape: (D,) that the configuration states; None for that of the data.
        shapes: those of the modalities that the configuration states; None for those of the data.
        vocabulary_size: number of words of captions, the end included; None for as many as there are.
        mel: whether, and how, tones become mel spectrograms, `Mel` or its options.
        held_out: tones held out for validation and for the test, numbers or fractions.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits and of the choice of sentences.

    Attributes:
        rate: samples a second.
        label_names: names of the timbres.
        vocabularies: the words of captions.

    Raises:
        ValueError: an option is out of its range or not what the data have.

    """

    factor_names = FACTOR_NAMES
    factor_sizes = FACTOR_SIZES
    label_names = TIMBRES
    rate = RATE

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        vocabulary_size: int | None = None,
        mel: Mel | Mapping[str, Any] = Mel(64, hop=64, scaled=True),
        held_out: Sequence[int | float] = (0.1, 0.1),
        missing: Mapping[str, float] | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        bands: Mel = chosen_options(Mel, mel, "mel")
        self._scale = None if bands.n_mels is None else MelScale(bands, RATE, SAMPLES)
        sentences = [_said(form, told) for form in _FORMS for told in _TOLD]
        vocabulary = Vocabulary.of(sentences)
        sound = (SAMPLES,) if self._scale is None else self._scale.shape
        length = max(len(vocabulary.split(sentence)) for sentence in sentences)
        provides = {"sound": sound, "caption": (length,), "table": (len(COLUMNS),)}
        super().__init__(shape, shapes, provides, missing, batch_size, seed, loading)
        self.take_words("caption", vocabulary, vocabulary_size)
        val_size, test_size = held_out
        self._rows = random_split(prod(FACTOR_SIZES), {"val_size": val_size, "test_size": test_size}, self.split_seed)

    def build(self, split: Split) -> BatchDataset:
        """Return the tones of a split."""
        return self.subset(self._source, self._rows[split], split)

    def sound(self, x: Tensor) -> Tensor:
        """Return the sound (B, samples) of observations; of spectrograms by Griffin-Lim."""
        own = self.packing.unpack(x)["sound"]
        found = own if self._scale is None else self._scale.sound(own)
        return found.detach().cpu().float().clamp(-1, 1)

    def attributes_of(self, texts: Sequence[str]) -> list[dict[str, str] | None]:
        """Return the "register", the "timbre" and the "envelope" that captions tell; None for what is no sentence."""
        known = {_said(form, told): told for form in _FORMS for told in _TOLD}
        found = (known.get(" ".join(self.vocabularies["caption"].split(text))) for text in texts)
        return [
            None if told is None else dict(zip(("register", *FACTOR_NAMES[1:]), told, strict=True)) for told in found
        ]

    def captions(self, factors: Tensor, forms: Tensor) -> list[str]:
        """Return the captions of tones with factors (N, 3), each in one of the forms 0, 1 and 2."""
        said = []
        for (pitch, timbre, envelope), form in zip(factors.tolist(), forms.tolist(), strict=True):
            register = REGISTERS[pitch * len(REGISTERS) // FACTOR_SIZES[0]]
            said.append(_said(_FORMS[form], (register, TIMBRES[timbre], ENVELOPES[envelope])))
        return said

    @cached_property
    def _source(self) -> TensorSource:
        factors = all_factors()
        draws = uniform(key(self.split_seed, Purpose.SYNTHESIS), torch.arange(len(factors)), 1)[:, 0]
        captions = self.captions(factors, (draws * len(_FORMS)).long())
        sounds = synthesise(factors)
        parts = {
            "sound": sounds if self._scale is None else self._scale(sounds),
            "caption": self.vocabularies["caption"].encode(captions, self.shapes["caption"][0]),
            "table": measured(factors),
        }
        return TensorSource(x=self.packing.pack(parts), label=factors[:, 1].clone(), factors=factors)


def measured(factors: Tensor) -> Tensor:
    """Return the table (N, 3) of tones with factors (N, 3)."""
    frequency, time = pitch_of(factors), torch.arange(SAMPLES, dtype=torch.float64) / RATE
    k = torch.arange(1, int(RATE / 2 / LOWEST) + 1)
    power = coefficients(len(k))[factors[:, 1]].square() * (frequency[:, None] * k < RATE / 2)
    harmonic = (power * k).sum(1) / power.sum(1)
    weight = envelopes(time).square()
    centre = (weight * time / time[-1]).sum(1) / weight.sum(1)
    return torch.stack([(frequency / LOWEST).log2(), harmonic.log2(), centre[factors[:, 2]]], 1).float()


def _said(form: str, told: tuple[str, ...]) -> str:
    register, timbre, envelope = told
    return form.format(register=register, timbre=timbre, envelope=envelope, verb=_VERBS[envelope])
