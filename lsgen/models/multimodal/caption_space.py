"""The codes of what captions describe, such as images, with the probabilities of captions at a code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lsgen.latent import FeatureSpace
from lsgen.likelihoods import Packing
from lsgen.likelihoods.text.base import TextLikelihood
from lsgen.likelihoods.text.vocabulary import Vocabulary
from lsgen.models.multimodal.parts_given import packed_observations

__all__ = ["CaptionSpace"]


class CaptionSpace(FeatureSpace):
    """Codes of one modality of packed observations, from which another one, its caption, is told.

    Args:
        encoder: observations (N, *shape) of the source -> codes (N, d).
        likelihood: codes (N, d) -> distributions of captions.
        packing: where the modalities lie.
        dim: dimension d of codes.
        source: the modality that is described.
        target: the modality that describes it.

    Raises:
        ValueError: there are no such modalities, or captions have another length; see `FeatureSpace`.
        TypeError: the likelihood is none of texts.

    """

    def __init__(
        self,
        encoder: nn.Module,
        likelihood: TextLikelihood,
        packing: Packing,
        dim: int,
        source: str = "image",
        target: str = "caption",
    ) -> None:
        if not isinstance(likelihood, TextLikelihood):
            raise TypeError(f"expected a likelihood of texts, got {type(likelihood).__name__}")
        if source == target or {source, target} - set(packing.names):
            raise ValueError(f"expected two of {', '.join(packing.names)}, got {source!r} described by {target!r}")
        if packing.shapes[target] != likelihood.shape:
            raise ValueError(f"expected {target!r} of shape {likelihood.shape}, got {packing.shapes[target]}")
        super().__init__(_Source(packing, source, encoder), dim, shape=(packing.dimensions,))
        self.captions, self.packing, self.source, self.target = likelihood, packing, source, target

    @property
    def vocabularies(self) -> dict[str, Vocabulary]:
        """The words of captions; none before the likelihood is named."""
        words = self.captions.words
        return {} if words is None else {self.target: Vocabulary(words)}

    def described(self, x: Tensor) -> Distribution:
        """Return the distributions of captions of packed observations (N, D), whose captions are not looked at."""
        captions: Distribution = self.captions(self.encode(x).mean)
        return captions

    def texts_of(self, x: Tensor, beams: int = 1) -> list[str]:
        """Return a caption for each packed observation (N, D), whose own caption is not looked at.

        Args:
            x: the observations.
            beams: sentences that are followed at a time; with one, every word is the most probable next one.

        Raises:
            ValueError: beams is not positive.

        """
        if beams < 1:
            raise ValueError(f"expected at least 1 beam, got {beams}")
        found: Any = self.described(x)
        return self.captions.texts(found.mean if beams == 1 else found.beam(beams))

    @torch.no_grad()
    def caption(self, observations: Any, beams: int = 1) -> list[str]:
        """Return a caption for each of N observations (N, *shape) of the source, an array.

        Args:
            observations: what is described.
            beams: see `texts_of`.

        Raises:
            ValueError: the shape is another; see `texts_of`.

        """
        like = next(self.parameters())
        given = {self.source: observations}
        return self.texts_of(packed_observations(self.packing, {}, given, [self.source], like), beams)


class _Source(nn.Module):
    """The encoder of one modality of packed observations."""

    def __init__(self, packing: Packing, source: str, encoder: nn.Module) -> None:
        super().__init__()
        self.packing, self.source, self.encoder = packing, source, encoder

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.encoder(self.packing.unpack(x)[self.source])
        return out
