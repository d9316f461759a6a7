"""Codes of held-out observations by each of their views alone, for callbacks that compare views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen.callbacks.evaluation.held_out_scores import OfHeldOut
from lsgen.latent import Space
from lsgen.latent.distances import CodeDistance, EuclideanDistance
from lsgen.latent.multimodal import MultimodalSpace, ViewSpace
from lsgen.likelihoods.text.vocabulary import Vocabulary

__all__ = ["OfViews", "ViewedCodes", "codes_of", "distance_of_views", "viewed_codes"]


@dataclass(frozen=True)
class ViewedCodes:
    """Codes of N observations by each view alone, with what they are codes of.

    Attributes:
        codes: by the name of the view, (N, d).
        parts: the observations of each view, (N, *shape), on the CPU.
        labels: their classes (N,), on the CPU; None where the data have none.
        vocabularies: the words of the views that are sentences.

    """

    codes: Mapping[str, Tensor]
    parts: Mapping[str, Tensor]
    labels: Tensor | None
    vocabularies: Mapping[str, Vocabulary]

    def __len__(self) -> int:
        return len(next(iter(self.codes.values())))

    def identities(self, view: str) -> Tensor:
        """Return a number for what each observation shows in a view, the same for identical ones, int64 (N,)."""
        return self.parts[view].flatten(1).unique(dim=0, return_inverse=True)[1]

    def texts(self, view: str) -> list[str]:
        """Return the sentences of a view."""
        return self.vocabularies[view].decode(self.parts[view])


class OfViews(OfHeldOut[ViewedCodes]):
    """Abstract callback that compares the codes of held-out observations by each of their views alone.

    Args:
        every_n_steps: see `OfHeldOut`.
        every_n_epochs: see `OfHeldOut`.
        n: see `OfHeldOut`.
        splits: see `OfHeldOut`.
        chunk_size: see `OfHeldOut`.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: see `OfHeldOut`; when training starts, there are too few observations.
        TypeError: see `OfHeldOut`.

    """

    @property
    def least(self) -> int:
        """The number of held-out observations that a turn needs."""
        return 2

    def left_out(self, space: Any) -> str | None:
        """Return why a space has nothing for this callback: it has no views."""
        reason = super().left_out(space)
        if reason is not None or not isinstance(space, Space) or isinstance(space, ViewSpace | MultimodalSpace):
            return reason
        return f"{type(space).__name__} has no views"

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module; refuse one with too few observations."""
        super().prepare(trainer, pl_module)
        assert self._data is not None
        found = min(self.n, sum(len(self._data.dataset(split)) for split in self.splits))
        if found < self.least:
            where = " and ".join(self.splits)
            raise ValueError(
                f"{type(self).__name__} expected at least {self.least} observations of the {where} split, got {found}"
            )

    def encoded(self, space: Any, batch: Mapping[str, Tensor]) -> ViewedCodes:
        """Return the codes of a batch by each view, with the words of those that are sentences."""
        return viewed_codes(space, batch, self.chunk_size, dict(getattr(self._data, "vocabularies", None) or {}))


def viewed_codes(
    space: Any, batch: Mapping[str, Tensor], chunk_size: int, vocabularies: Mapping[str, Vocabulary]
) -> ViewedCodes:
    """Return the codes of the observations of a batch by each view alone.

    Args:
        space: a space with views, or of several modalities.
        batch: observations (N, D) in "x", on the CPU, and classes (N,) in "label" where they have any.
        chunk_size: observations encoded at a time.
        vocabularies: the words of the views that are sentences.

    """
    parts = space.packing.unpack(batch["x"])
    codes = {
        name: torch.cat([codes_of(space, name, x) for x in part.split(chunk_size)]) for name, part in parts.items()
    }
    return ViewedCodes(codes, parts, batch.get("label"), vocabularies)


def codes_of(space: Any, view: str, x: Tensor) -> Tensor:
    """Return the codes (N, d) of observations (N, *shape) of one view alone.

    Of a space of several modalities they are the means of the posterior of one, without private codes.
    """
    like = next(iter(space.parameters()))
    x = x.to(like.device, like.dtype)
    if isinstance(space, ViewSpace):
        return space.views[view].encode(x).mean
    return space.modality(view).encode(x).mean[:, : space.shared]


def distance_of_views(space: Any) -> CodeDistance:
    """Return what is near among the codes of views."""
    return space.distance if isinstance(space, ViewSpace) else EuclideanDistance()
