"""The joint embedding of several modalities that answers are read from: of questions about images, or of sentiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from lsgen.latent import FeatureSpace
from lsgen.likelihoods import Packing
from lsgen.likelihoods.text.vocabulary import Vocabulary
from lsgen.models.multimodal.parts_given import packed_observations

__all__ = ["AnswerSpace", "JointFeatures"]


class JointFeatures(nn.Module):
    """Packed observations (N, D) of several modalities -> codes (N, d).

    A modality that is not seen is a blank, zeros, the same for all observations: what is left of the network is the
    same, so that it tells what the other modalities alone give.

    Args:
        packing: where the modalities lie.
        encoders: of each modality by name, observations (N, *shape) -> features (N, size).
        fusion: features of the modalities by name -> codes (N, d); with an attribute `dim`.
        views: the modalities that are seen; all unless given.

    Raises:
        ValueError: there are encoders of other modalities, or views are none of them.

    """

    def __init__(
        self,
        packing: Packing,
        encoders: Mapping[str, nn.Module],
        fusion: nn.Module,
        views: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if set(encoders) != set(packing.names):
            raise ValueError(f"expected encoders of {', '.join(packing.names)}, got {', '.join(encoders) or 'none'}")
        chosen = packing.names if views is None else tuple(views)
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(packing.names):
            raise ValueError(f"expected views out of {', '.join(packing.names)}, got {', '.join(chosen) or 'none'}")
        self.packing, self.views = packing, tuple(name for name in packing.names if name in chosen)
        self.encoders, self.fusion = nn.ModuleDict(dict(encoders)), fusion

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes."""
        parts, features = self.packing.unpack(x), {}
        for name, encoder in self.encoders.items():
            if name in self.views:
                features[name] = encoder(parts[name])
            else:
                features[name] = encoder(torch.zeros_like(parts[name][:1])).expand(len(x), -1)
        codes: Tensor = self.fusion(features)
        return codes


class AnswerSpace(FeatureSpace):
    """Codes of packed observations of several modalities, and a linear head whose classes are answers.

    Args:
        features: packed observations (N, D) -> codes (N, d).
        dim: dimension d of codes.
        classes: number K of answers.

    Attributes:
        packing: where the modalities lie in an observation.
        views: the modalities that are seen.
        vocabularies: the words of those that are texts, by name; none before `name`.
        answers: what the classes are called, "0", "1", ... before `name`.

    Raises:
        ValueError: there are fewer than 2 classes; see `FeatureSpace`.

    """

    encoder: JointFeatures

    def __init__(self, features: JointFeatures, dim: int, classes: int) -> None:
        super().__init__(features, dim, shape=(features.packing.dimensions,))
        if classes < 2:
            raise ValueError(f"expected at least 2 classes, got {classes}")
        self.head = nn.Linear(dim, classes)
        self.vocabularies: dict[str, Vocabulary] = {}
        self.answers = tuple(map(str, range(classes)))
        self._named = False

    @property
    def packing(self) -> Packing:
        """Where the modalities lie in an observation."""
        return self.encoder.packing

    @property
    def views(self) -> tuple[str, ...]:
        """The modalities that are seen."""
        return self.encoder.views

    def name(self, vocabularies: Mapping[str, Vocabulary], answers: Sequence[str]) -> None:
        """Say what the words and the classes are; it is kept with the weights.

        Raises:
            ValueError: there are more or fewer answers than classes, or others than those that were learned.

        """
        if len(answers) != len(self.answers):
            raise ValueError(f"expected {len(self.answers)} answers, as model.classes says, got {len(answers)}")
        if self._named and (dict(vocabularies) != self.vocabularies or tuple(answers) != self.answers):
            raise ValueError("expected the words and answers that the model was trained with, got others")
        self.vocabularies, self.answers, self._named = dict(vocabularies), tuple(answers), True

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (N, K) of the answers to packed observations (N, D)."""
        scores: Tensor = self.head(self.encode(x).mean)
        return scores

    def texts_of(self, x: Tensor) -> list[str]:
        """Return the most probable answer to each of some packed observations (N, D)."""
        return [self.answers[k] for k in self.logits(x).argmax(1).tolist()]

    @torch.no_grad()
    def answer(self, **observations: Any) -> list[str]:
        """Return the most probable answer for each of N observations.

        Args:
            observations: texts, or an array (N, *shape), of each modality that is seen, by its name.

        Raises:
            ValueError: see `packed_observations`.
            TypeError: see `packed_observations`.

        """
        return self.texts_of(
            packed_observations(self.packing, self.vocabularies, observations, self.views, self.head.weight)
        )

    def get_extra_state(self) -> dict[str, Any]:
        """Return what words and classes are called, to be saved with the weights."""
        words = {name: asdict(vocabulary) for name, vocabulary in self.vocabularies.items()}
        return {"vocabularies": words, "answers": self.answers if self._named else None}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over saved names."""
        if state["answers"] is not None:
            self.name({name: Vocabulary(**own) for name, own in state["vocabularies"].items()}, state["answers"])
