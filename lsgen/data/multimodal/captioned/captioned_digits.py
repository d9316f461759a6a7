"""Scanned digits of 8x8 pixels with captions that name them, embedded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lsgen.data.images.digits import Digits
from lsgen.data.loading import Loading
from lsgen.data.multimodal.captioned.captioned_images import CaptionedImages, Templates

__all__ = ["CaptionedDigits"]

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class CaptionedDigits(CaptionedImages):
    """1,797 scanned digits (1, 8, 8) in grey levels with captions such as "a picture of a seven"; the label: the digit.

    Args:
        shape: (D,) that the configuration states; None for that of the data.
        shapes: those of "image" and "caption".
        vocabulary_size: number of words of captions, the end included; None for as many as there are.
        val_size: digits held out for validation, a number or a fraction.
        test_size: digits held out for the test, a number or a fraction.
        templates: sentences for the digits, `Templates` or its options.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the choice of sentences.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range or not what the data have, or the longest sentence has no room.

    """

    nouns: ClassVar[Mapping[str, str]] = {name: f"{'an' if name == 'eight' else 'a'} {name}" for name in NAMES}

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        vocabulary_size: int | None = None,
        val_size: int | float = 180,
        test_size: int | float = 360,
        templates: Templates | Mapping[str, Any] = Templates(),
        missing: Mapping[str, float] | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        own = Loading(split_seed=loading.split_seed)
        images = Digits(val_size=val_size, test_size=test_size, loading=own)
        super().__init__(shape, shapes, vocabulary_size, images, templates, missing, batch_size, seed, loading)
