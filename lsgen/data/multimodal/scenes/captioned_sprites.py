"""Images of coloured sprites with captions that tell what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.draws import Purpose, key, uniform
from lsgen.data.loading import Loading
from lsgen.data.module import Split
from lsgen.data.multimodal.captioned.recall_levels import RecallLevels
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.data.multimodal.scenes.scene_captions import Captions, SceneGrammar, attributes_of
from lsgen.data.multimodal.scenes.sprite_scenes import SIDE, Scenes, draw_scenes

__all__ = ["CaptionedSprites"]


class CaptionedSprites(MultimodalData):
    """Modalities "image" (3, 32, 32), a scene of coloured sprites drawn when it is asked for, and "caption" (L,).

    By default the captions of validation and test never occur in training: held out are combinations of shape, colour,
    size and position. The label is the shape of the first sprite.

    Args:
        shape: (D,) that the configuration states; None for that of the data.
        shapes: those of "image" and "caption".
        vocabulary_size: number of words of captions, the end included; None for as many as there are.
        scenes: how many there are, of how many sprites, and which are held out, `Scenes` or its options.
        captions: what they tell, and in how many ways, `Captions` or its options.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the choice of paraphrases.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        vocabularies: the words of captions.

    Raises:
        ValueError: an option is out of its range, or not what the data have.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        vocabulary_size: int | None = None,
        scenes: Scenes | Mapping[str, Any] = Scenes(),
        captions: Captions | Mapping[str, Any] = Captions(),
        missing: Mapping[str, float] | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        self.scenes, self.captions = Scenes.of(scenes), Captions.of(captions)
        self._grammar = SceneGrammar(self.captions, self.scenes.sprites)
        provides = {"image": (3, SIDE, SIDE), "caption": (self._grammar.length,)}
        super().__init__(shape, shapes, provides, missing, batch_size, seed, loading)
        self.take_words("caption", self._grammar.vocabulary, vocabulary_size)
        self.factor_names, self.factor_sizes = self.scenes.factor_names, self.scenes.factor_sizes
        self._factors = self.scenes.drawn(self.split_seed)
        self._rows = self.scenes.split(self._factors, self.split_seed)
        self._first = self._grammar.encode(self._factors, torch.zeros(len(self._factors)))  # in the first form

    def attributes_of(self, texts: Sequence[str]) -> list[dict[str, str] | None]:
        """Return what captions tell, by the names of factors; None for what is no sentence of the grammar."""
        return attributes_of(texts)

    def recall_levels(self, captions: Sequence[str]) -> RecallLevels:
        """Return what recall@1 is at random, and with the true attributes, in a gallery of captions."""
        return RecallLevels.of(captions, attributes_of(captions))

    def build(self, split: Split) -> BatchDataset:
        """Return the scenes of a split, those of training in paraphrases where there are any."""
        paraphrased = split == "train" and self.captions.paraphrases > 1
        transforms = [
            _Paraphrases(self._captions, self.packing.slices["caption"], self.captions.paraphrases, self.seed)
        ]
        return self.subset(self._drawn, self._rows[split], split, transforms=transforms if paraphrased else [])

    def _drawn(self, rows: Tensor) -> Observations:
        factors = self._factors[rows]
        parts = {"image": draw_scenes(factors), "caption": self._first[rows]}
        return {"x": self.packing.pack(parts), "label": factors[:, 0, 0], "factors": factors.flatten(1)}

    def _captions(self, rows: Tensor, forms: Tensor) -> Tensor:
        return self._grammar.encode(self._factors[rows], forms)


class _Paraphrases:
    """Says captions in one of several forms, drawn anew in every epoch."""

    def __init__(self, captions: Any, columns: slice, forms: int, seed: int) -> None:
        self.captions, self.columns, self.forms, self.seed = captions, columns, forms, seed

    def __call__(self, batch: Observations, rows: Tensor, epoch: int) -> Observations:
        """Return the observations with other captions."""
        drawn = uniform(key(self.seed, Purpose.SYNTHESIS, epoch), rows, 1)[:, 0]
        x = batch["x"]
        x[:, self.columns] = self.captions(rows, (drawn * self.forms).to(torch.int64)).to(x.dtype)
        return {"x": x}
