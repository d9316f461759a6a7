"""Base class of images with captions that name their class: "a picture of a sneaker"."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations, TensorSource
from lsgen.data.draws import Purpose, key, uniform
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import DataModule, Split
from lsgen.data.multimodal.captioned.recall_levels import RecallLevels
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.likelihoods.text.vocabulary import Vocabulary

__all__ = ["CaptionedImages", "Templates"]

PLACE = "{}"


@dataclass(frozen=True)
class Templates:
    """Sentences with a place for a class.

    Attributes:
        texts: sentences with "{}" where the class goes, with its article; training draws one of them for each
            observation in every epoch, validation and test have the first alone.
        length: words that a caption has room for; as many as the longest one has where it is None.

    Raises:
        ValueError: there is no sentence, one comes twice, or one has not exactly one place for the class.

    """

    texts: Sequence[str] = ("a picture of {}", "this is {}", "an image that shows {}", "here one can see {}")
    length: int | None = None

    def __post_init__(self) -> None:
        if not self.texts or len(set(self.texts)) < len(self.texts):
            raise ValueError(f"expected data.templates.texts with a sentence at least, each once, got {self.texts}")
        for text in self.texts:
            if text.count(PLACE) != 1:
                raise ValueError(
                    f'expected one place "{PLACE}" for the class in each of data.templates.texts, got {text!r}'
                )

    @classmethod
    def of(cls, options: Templates | Mapping[str, Any]) -> Templates:
        """Return what a data set's option `templates` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return chosen_options(cls, options, "templates")

    def filled(self, noun: str) -> list[str]:
        """Return the sentences about a noun with its article."""
        return [text.replace(PLACE, noun) for text in self.texts]


class CaptionedImages(MultimodalData, ABC):
    """Abstract set of images with a second modality "caption" (L,) that names the class, which is the label.

    Args:
        shape: (D,) that the configuration states; None for that of the data.
        shapes: those of "image" and "caption".
        vocabulary_size: number of words of captions, the end included; None for as many as there are.
        images: the images with their classes, all of them known.
        templates: sentences for the classes, `Templates` or its options.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the choice of sentences.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        nouns: each class with its article, by its name.
        classes: the names of the classes.
        prompts: all sentences about each class.
        vocabularies: the words of captions.

    Raises:
        ValueError: an option is out of its range or not what the data have, or the longest sentence has no room.

    """

    nouns: ClassVar[Mapping[str, str]]

    @abstractmethod
    def __init__(
        self,
        shape: Sequence[int] | None,
        shapes: Mapping[str, Sequence[int]] | None,
        vocabulary_size: int | None,
        images: DataModule,
        templates: Templates | Mapping[str, Any],
        missing: Mapping[str, float] | None,
        batch_size: int,
        seed: int,
        loading: Loading,
    ) -> None:
        self.classes, self.templates = tuple(self.nouns), Templates.of(templates)
        self.prompts = [self.templates.filled(noun) for noun in self.nouns.values()]
        sentences = [text for own in self.prompts for text in own]
        vocabulary = Vocabulary.of(sentences)
        longest = max(sentences, key=lambda text: len(vocabulary.split(text)))
        words = len(vocabulary.split(longest))
        length = self.templates.length or words
        if length < words:
            raise ValueError(f"expected data.templates.length of at least {words} for {longest!r}, got {length}")
        provides, encodings = {"image": images.shape, "caption": (length,)}, {"image": images.encoding}
        super().__init__(shape, shapes, provides, missing, batch_size, seed, loading, encodings)
        self.take_words("caption", vocabulary, vocabulary_size)
        self._images = images
        numbers = vocabulary.encode(sentences, length).unflatten(0, (len(self.classes), -1))
        self._numbers = numbers.to(torch.uint8 if vocabulary.size <= 2**8 else torch.int16)
        self._packed = cache(self._with_captions)

    def attributes_of(self, texts: Sequence[str]) -> list[dict[str, str] | None]:
        """Return the "class" that captions name; None for what is none of the sentences."""
        vocabulary = self.vocabularies["caption"]
        known = {
            tuple(vocabulary.split(text)): name
            for name, own in zip(self.classes, self.prompts, strict=True)
            for text in own
        }
        found = (known.get(tuple(vocabulary.split(text))) for text in texts)
        return [None if name is None else {"class": name} for name in found]

    def recall_levels(self, captions: Sequence[str]) -> RecallLevels:
        """Return what recall@1 is at random, and with the true classes, in a gallery of captions."""
        return RecallLevels.of(captions, self.attributes_of(captions))

    def prepare_data(self) -> None:
        """Fetch the images where that is allowed."""
        self._images.prepare_data()

    def build(self, split: Split) -> BatchDataset:
        """Return the images of a split, those of training with a sentence drawn in every epoch."""
        images = self._images.dataset(split)
        assert isinstance(images.source, TensorSource)
        several = split == "train" and len(self.templates.texts) > 1
        drawn = [_DrawnTemplates(self._numbers, self.packing.slices["caption"], self.seed)] if several else []
        return self.subset(self._packed(images.source), images.rows, split, part=images.part, transforms=drawn)

    def _with_captions(self, source: TensorSource) -> TensorSource:
        images, label = source.tensors["x"], source.tensors["label"]
        return TensorSource(x=torch.cat([images.flatten(1), self._numbers[label, 0]], 1), label=label)


class _DrawnTemplates:
    """Puts another sentence about the class in place of the caption, drawn anew in every epoch."""

    def __init__(self, numbers: Tensor, columns: slice, seed: int) -> None:
        self.numbers, self.columns, self.seed = numbers, columns, seed

    def __call__(self, batch: Observations, rows: Tensor, epoch: int) -> Observations:
        """Return the observations with other captions."""
        drawn = uniform(key(self.seed, Purpose.SYNTHESIS, epoch), rows, 1)[:, 0]
        template = (drawn * self.numbers.shape[1]).to(torch.int64)
        x = batch["x"]
        x[:, self.columns] = self.numbers[batch["label"], template].to(x.dtype)
        return {"x": x}
