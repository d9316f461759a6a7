"""Questions about scenes of coloured sprites; the label is the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.loading import Loading
from lsgen.data.module import Split
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.data.multimodal.scenes.scene_captions import room
from lsgen.data.multimodal.scenes.scene_questions import ANSWERS, TYPES, ask, chances, question_texts
from lsgen.data.multimodal.scenes.sprite_scenes import SIDE, Scenes, draw_scenes
from lsgen.likelihoods.text.vocabulary import Vocabulary

__all__ = ["SpriteQuestions"]


class SpriteQuestions(MultimodalData):
    """Modalities "image" (3, 32, 32), a scene of two or three sprites, and "question" (L,); the label is the answer.

    There is one question about each scene, and every question has every answer equally often, see
    `lsgen.data.multimodal.scenes.scene_questions`.

    Args:
        shape: (D,) that the configuration states; None for that of the data.
        shapes: those of "image" and "question".
        vocabulary_size: number of words of questions, the end included; None for as many as there are.
        scenes: how many there are, of how many sprites, and which are held out, `Scenes` or its options.
        types: of questions, out of "shape", "colour", "size", "position", "comparison", "count" and "existence"; all
            where it is None.
        length: words that a question has room for; as many as the longest one has where it is None.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        answers: what the labels are called.
        types: what the values of the factor "type", the last one, are called.
        vocabularies: the words of questions.
        best_accuracy: how often one who sees a modality alone can be right, by its name.

    Raises:
        ValueError: an option is out of its range, or not what the data have.

    """

    answers: tuple[str, ...] = ANSWERS
    types: tuple[str, ...] = TYPES

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        vocabulary_size: int | None = None,
        scenes: Scenes | Mapping[str, Any] = Scenes(40_000, 2, (), 2_000, 4_000),
        types: Sequence[str] | None = None,
        length: int | None = None,
        missing: Mapping[str, float] | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        self.scenes = Scenes.of(scenes)
        asked = list(TYPES if types is None else types)
        if self.scenes.sprites < 2:
            raise ValueError("expected scenes of 2 or 3 sprites for questions about them, got 1")
        if isinstance(types, str) or not asked or not set(asked) <= set(TYPES) or len(set(asked)) < len(asked):
            raise ValueError(f"expected data.types out of {', '.join(TYPES)}, each once, got {types}")
        texts = question_texts()
        vocabulary = Vocabulary.of(texts.values())
        words = room(length, max(len(text.split()) for text in texts.values()), "length", "question")
        provides = {"image": (3, SIDE, SIDE), "question": (words,)}
        super().__init__(shape, shapes, provides, missing, batch_size, seed, loading)
        self.take_words("question", vocabulary, vocabulary_size)
        known = chances(self.scenes.sprites)
        self.best_accuracy = {"question": sum(known[name] for name in asked) / len(asked)}
        self.factor_names = (*self.scenes.factor_names, "type")
        self.factor_sizes = (*self.scenes.factor_sizes, len(TYPES))
        numbers = torch.tensor([TYPES.index(name) for name in asked])
        self._asked = ask(self.scenes.drawn(self.split_seed), numbers, self.split_seed)
        self._rows = self.scenes.split(self._asked.factors, self.split_seed)
        self._texts = torch.zeros(max(texts) + 1, words, dtype=torch.int64)
        self._texts[list(texts)] = vocabulary.encode(list(texts.values()), words)

    def build(self, split: Split) -> BatchDataset:
        """Return the scenes of a split with their questions."""
        return self.subset(self._drawn, self._rows[split], split)

    def _drawn(self, rows: torch.Tensor) -> Observations:
        factors, question, answer, kind = (part[rows] for part in self._asked)
        x = self.packing.pack({"image": draw_scenes(factors), "question": self._texts[question]})
        return {"x": x, "label": answer, "factors": torch.cat([factors.flatten(1), kind[:, None]], 1)}
