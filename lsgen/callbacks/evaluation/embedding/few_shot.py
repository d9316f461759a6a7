"""How well codes tell classes of which few examples are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.embedding.labelled_codes import LabelledCodes, OfLabelledCodes
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Split
from lsgen.latent import EncodableSpace
from lsgen.metrics.retrieval import Episodes, FewShot

__all__ = ["FewShotAccuracy"]


class FewShotAccuracy(OfLabelledCodes):
    """Logs the accuracy of few-shot classification of held-out observations, by nearest codes and by prototypes.

    What is near is said by the distance of the space, as for `RetrievalQuality`.

    Args:
        every_n_steps: see `OfHeldOut`.
        every_n_epochs: see `OfHeldOut`.
        n: see `OfHeldOut`.
        episodes: classes, known codes and queries of the episodes; as `Episodes` has them unless given.
        splits: see `OfHeldOut`.
        chunk_size: see `OfHeldOut`.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range; see `OfLabelledCodes`.
        TypeError: see `OfLabelledCodes`.

    """

    family: ClassVar[str] = "few_shot"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2000,
        episodes: Episodes | None = None,
        splits: Sequence[Split] = ("val", "test"),
        chunk_size: int = 500,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, n, splits, chunk_size, turns)
        self.episodes = Episodes() if episodes is None else episodes

    def judge(self, space: EncodableSpace, codes: LabelledCodes, sink: Sink) -> None:
        """Measure and log."""
        metric = FewShot(self.episodes, space.manifold, distance=space.distance, sync_on_compute=False)
        metric.to(codes.z.device).update(codes.z, codes.labels)
        self.send(metric.compute(), sink)
