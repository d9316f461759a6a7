"""Codes of held-out observations by each of their views alone, for callbacks that compare views."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.held_out_scores import held_out_batch, score_rows
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule, Split
from lsgen.latent import EncodableSpace, Euclidean, Space
from lsgen.latent.distances import CodeDistance, distance_on
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


class OfViews(PeriodicCallback):
    """Abstract callback that compares the codes of held-out observations by each of their views alone.

    Where that cannot be done, such as with codes that are not finite, there is a warning and nothing else.

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `PeriodicCallback`.
        n: number of observations, drawn at random, the same in every run; all of them where there are fewer.
        splits: where they come from.
        chunk_size: observations encoded at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is not positive, or no split is named; when training starts, there are too few.
        TypeError: when training starts, the data are no `lsgen.data.DataModule`.

    """

    default_steps: ClassVar[int | None] = None
    takes: ClassVar[type] = EncodableSpace

    def __init__(
        self,
        every_n_steps: int | None,
        every_n_epochs: int | None,
        n: int,
        splits: Sequence[Split],
        chunk_size: int,
        turns: Turns,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, chunk_size=chunk_size)
        if not splits:
            raise ValueError(f"{type(self).__name__} expected at least one split, got none")
        self.n, self.splits, self.chunk_size = n, tuple(splits), chunk_size
        self._data: DataModule | None = None

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
        self._data = self.data_of(trainer)
        found = min(self.n, sum(len(self._data.dataset(split)) for split in self.splits))
        if found < self.least:
            where = " and ".join(self.splits)
            raise ValueError(
                f"{type(self).__name__} expected at least {self.least} observations of the {where} split, got {found}"
            )

    @abstractmethod
    def judge(self, space: Any, found: ViewedCodes, sink: Sink) -> None:
        """Measure and log."""

    def render(self, space: Any, probe: Probe | None, sink: Sink) -> None:
        """Encode the observations, measure and log."""
        try:
            self.judge(space, self._encoded(space), sink)
        except ValueError as error:
            rank_zero_warn(f"{type(self).__name__} measured nothing: {error}")

    def send(self, scores: Mapping[str, Mapping[str, Tensor]], sink: Sink) -> None:
        """Log scores under the family of the callback; see `score_rows`."""
        sink.scalars(score_rows(self.family, scores))

    def _encoded(self, space: Any) -> ViewedCodes:
        assert self._data is not None
        batch = held_out_batch(self._data, self.n, self.splits)
        vocabularies = dict(getattr(self._data, "vocabularies", None) or {})
        return viewed_codes(space, batch, self.chunk_size, vocabularies)


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
    return distance_on(space.manifold if isinstance(space, ViewSpace) else Euclidean())
