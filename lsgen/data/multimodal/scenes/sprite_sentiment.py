r"""Opinions about scenes, some of them ironic: the sentiment follows from text and image, and from neither alone.

    "what a lovely red heart",  "i hate this small square",  ...      a tone, and a claim about the sprite in the image

    label = tone where the claim is true,    the opposite of the tone where it is false (irony)

A false claim names another value of one of its attributes. Scene, tone, words and irony are independent, and a false
claim is distributed as a true one. So the image alone tells nothing, and the text alone no more than how often people
are ironic: with a share s of ironic texts the best accuracies are

    image 1/2,    text max(s, 1 - s),    both together 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.draws import Purpose, key, uniform
from lsgen.data.loading import Loading
from lsgen.data.module import Split
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.data.multimodal.scenes.scene_captions import combinations, thing, with_article
from lsgen.data.multimodal.scenes.sprite_scenes import (
    ATTRIBUTES,
    SIDE,
    Scenes,
    check_attributes,
    combination_of,
    draw_scenes,
)
from lsgen.likelihoods.text.vocabulary import Vocabulary

__all__ = ["SpriteSentiment"]

ADJECTIVES = (("awful", "terrible", "dreadful"), ("lovely", "wonderful", "great"))  # negative, positive
VERBS = (("hate", "loathe", "dislike"), ("love", "adore", "like"))
WAYS = len(ADJECTIVES[0]) + len(VERBS[0])


class SpriteSentiment(MultimodalData):
    """Modalities "image" (3, 32, 32), a scene of one sprite, and "text" (L,), an opinion; the label is the sentiment.

    Args:
        shape: (D,) that the configuration states; None for that of the data.
        shapes: those of "image" and "text".
        vocabulary_size: number of words of texts, the end included; None for as many as there are.
        scenes: how many there are, and which are held out, `Scenes` or its options.
        told: attributes that texts name.
        irony: share of texts that are ironic.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        answers: what the labels are called.
        types: what the values of the factor "type", the last one, are called.
        vocabularies: the words of texts.
        best_accuracy: how often one who sees a modality alone can be right, by its name.

    Raises:
        ValueError: an option is out of its range, or not what the data have.

    """

    answers: tuple[str, ...] = ("negative", "positive")
    types: tuple[str, ...] = ("sincere", "ironic")

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        vocabulary_size: int | None = None,
        scenes: Scenes | Mapping[str, Any] = Scenes(held_out=()),
        told: Sequence[str] = ("shape", "colour"),
        irony: float = 0.4,
        missing: Mapping[str, float] | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        self.scenes = Scenes.of(scenes)
        check_attributes(told, "told")
        if self.scenes.sprites != 1 or not told:
            raise ValueError(
                f"expected texts that name attributes of one sprite, got {list(told)} of {self.scenes.sprites}"
            )
        if not 0 <= irony <= 1:
            raise ValueError(f"expected a share of ironic texts in [0, 1], got {irony}")
        texts = _texts(told)
        vocabulary = Vocabulary.of(texts)
        words = max(len(text.split()) for text in texts)
        provides = {"image": (3, SIDE, SIDE), "text": (words,)}
        super().__init__(shape, shapes, provides, missing, batch_size, seed, loading)
        self.take_words("text", vocabulary, vocabulary_size)
        self.best_accuracy = {"image": 0.5, "text": max(irony, 1 - irony)}
        self.factor_names = (*self.scenes.factor_names, "type")
        self.factor_sizes = (*self.scenes.factor_sizes, len(self.types))
        self._factors = self.scenes.drawn(self.split_seed)
        self._rows = self.scenes.split(self._factors, self.split_seed)
        self._texts = vocabulary.encode(texts, words)
        self._text, self._label, self._ironic = _opinions(self._factors, told, irony, self.split_seed)

    def build(self, split: Split) -> BatchDataset:
        """Return the scenes of a split with their texts."""
        return self.subset(self._drawn, self._rows[split], split)

    def _drawn(self, rows: Tensor) -> Observations:
        factors, kind = self._factors[rows], self._ironic[rows, None]
        x = self.packing.pack({"image": draw_scenes(factors), "text": self._texts[self._text[rows]]})
        return {"x": x, "label": self._label[rows], "factors": torch.cat([factors.flatten(1), kind], 1)}


def _texts(told: Sequence[str]) -> list[str]:
    """Return all texts, by tone, way to say it and combination of attributes."""
    claims = [thing(sprite) for sprite in combinations(told)]
    ways = [
        [f"what {with_article(word)} {{}}" for word in adjectives] + [f"i {word} this {{}}" for word in verbs]
        for adjectives, verbs in zip(ADJECTIVES, VERBS, strict=True)
    ]
    return [way.format(claim) for own in ways for way, claim in product(own, claims)]


def _opinions(factors: Tensor, told: Sequence[str], irony: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the numbers of the texts about scenes (N, 1, 8), their labels, and which of them are ironic, (N,)."""
    rows, names = torch.arange(len(factors)), list(ATTRIBUTES)
    u = uniform(key(seed, Purpose.LABEL), rows, 5)
    tone, way = (u[:, 0] * 2).long(), (u[:, 1] * WAYS).long()
    ironic = (u[:, 2] < irony).long()
    wrong = torch.tensor([names.index(name) for name in told])[(u[:, 3] * len(told)).long()]
    values = torch.tensor([len(words) for words in ATTRIBUTES.values()])[wrong]
    claimed = factors[:, 0, :4].clone()
    other = (claimed[rows, wrong] + 1 + (u[:, 4] * (values - 1)).long()) % values
    claimed[rows, wrong] = torch.where(ironic == 1, other, claimed[rows, wrong])
    combination = combination_of(claimed)
    number = (tone * WAYS + way) * len(combinations(told)) + combination
    return number, torch.where(ironic == 1, 1 - tone, tone), ironic
