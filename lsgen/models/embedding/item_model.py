"""Models of items whose names and counts come from the data, and stay with the model."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from lsgen.models.base import LatentModel
from lsgen.models.embedding.space import WordSpace

__all__ = ["ItemModel"]


class ItemModel(LatentModel):
    """Abstract model with a `WordSpace`.

    What the items are called and how often they occur is taken from `vocabulary` and `counts` of the data module, and
    is in the checkpoint; without one they are numbers that occur equally often.

    Raises:
        ValueError: when training starts, the data have another vocabulary; a checkpoint has another number of items.

    """

    precisions: ClassVar[tuple[str, ...]] = ("32-true", "64-true")
    bounds_evidence: ClassVar[bool] = False
    latent_space: WordSpace
    _named = False

    def setup(self, stage: str) -> None:
        """Take the names and counts of the items from the data module.

        Raises:
            ValueError: they are not those that the model has.

        """
        data, space = getattr(self.trainer, "datamodule", None), self.latent_space
        words, counts = getattr(data, "vocabulary", None), getattr(data, "counts", None)
        if words is None or counts is None:
            return
        if self._named and tuple(words) != space.words:
            raise ValueError(
                f"expected the vocabulary that the model was trained with, {len(space.words)} items, got another"
            )
        if not self._named:
            space.name(words, counts)
            self._named = True

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes (..., d) of items, whole numbers (...)."""
        return self.latent_space.table()[x]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clocks and the names of the items."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["words"] = list(self.latent_space.words) if self._named else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clocks and the names of the items; how often they occur is in the state of the decoder.

        Raises:
            ValueError: the checkpoint is that of another model, or of another number of items.

        """
        super().on_load_checkpoint(checkpoint)
        if "words" not in checkpoint:
            raise ValueError(f"{type(self).__name__} expected a checkpoint of items, got one without 'words'")
        if (words := checkpoint["words"]) is not None:
            if len(words) != len(self.latent_space.words):
                raise ValueError(f"expected a checkpoint of {len(self.latent_space.words)} items, got {len(words)}")
            self.latent_space.rename(words)
            self._named = True
