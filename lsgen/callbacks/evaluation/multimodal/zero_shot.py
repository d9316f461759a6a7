"""Classification of held-out observations by prompts alone, beside probes that learn from labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lsgen.analysis.probing import ProbeOptions, transfer
from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.held_out_scores import check_labelled
from lsgen.callbacks.evaluation.multimodal.codes_of_views import (
    OfViews,
    ViewedCodes,
    codes_of,
    distance_of_views,
    viewed_codes,
)
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Split
from lsgen.latent import Codes
from lsgen.latent.multimodal import ViewSpace
from lsgen.metrics.multimodal import ZeroShot, prompt_centres

__all__ = ["ZeroShotAccuracy"]

WIDEST = 20_000  # numbers of an observation up to which probes see it as it is


class ZeroShotAccuracy(OfViews):
    """Logs the accuracy of classifying held-out observations by the nearest class, whose code is that of its prompts.

    The codes of several prompts of a class are averaged on the sphere. Each view but that of the sentences is
    classified. Beside the accuracy stand its 95 % interval, what a guess and the most frequent class give, and the
    accuracy of two linear probes that are fitted to labelled training observations: of the codes of the same view, and
    of its values as they are.

    It is left out, with a line, where neither the callback nor the data have prompts.

    Args:
        every_n_steps: see `OfHeldOut`.
        every_n_epochs: see `OfHeldOut`.
        n: see `OfHeldOut`.
        prompts: sentences for each class, by its name, in the order of the labels; those of the data unless given.
        probed: training observations that probes are fitted to; 0 for no probes.
        splits: see `OfHeldOut`.
        chunk_size: see `OfHeldOut`.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range, there are not two classes with prompts, or one has none; when training
            starts, a prompt has a word that is not known, the data have no labels, or no view of sentences.
        TypeError: see `OfViews`.

    """

    family: ClassVar[str] = "zero_shot"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2000,
        prompts: Mapping[str, Sequence[str]] | None = None,
        probed: int = 2000,
        splits: Sequence[Split] = ("val", "test"),
        chunk_size: int = 500,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, n, splits, chunk_size, turns)
        self.at_least(0, probed=probed)
        if prompts is not None:
            self._check_prompts(list(prompts.values()))
        self.prompts = None if prompts is None else [list(of) for of in prompts.values()]
        self.probed = probed
        self._known: list[list[str]] = []
        self._view, self._prompts = "", torch.empty(0)

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take prompts and vocabularies from the data, and refuse those that do not fit."""
        super().prepare(trainer, pl_module)
        data: Any = self._data
        prompts = getattr(data, "prompts", None) if self.prompts is None else self.prompts
        self._known = [list(of) for of in prompts or ()]
        if not self._known:
            rank_zero_info(f"{type(self).__name__} is left out: {type(data).__name__} has no prompts for its classes.")
            return
        self._check_prompts(self._known)
        classes = getattr(data, "classes", None)
        if classes is not None and len(classes) != len(self._known):
            raise ValueError(
                f"{type(self).__name__} expected prompts of the {len(classes)} classes of the data, got those of "
                f"{len(self._known)}"
            )
        vocabularies = getattr(data, "vocabularies", None) or {}
        if len(vocabularies) != 1:
            raise ValueError(
                f"{type(self).__name__} expected one view of sentences, got {list(vocabularies) or 'none'}"
            )
        ((self._view, vocabulary),) = vocabularies.items()
        texts = [text for of in self._known for text in of]
        self._prompts = vocabulary.encode(texts, data.shapes[self._view][0])
        check_labelled(self, data, self.splits)

    def judge(self, space: Any, found: ViewedCodes, sink: Sink) -> None:
        """Measure and log."""
        if not self._known or found.labels is None:
            return
        codes = codes_of(space, self._view, self._prompts)
        centres = prompt_centres(codes, [len(of) for of in self._known], isinstance(space, ViewSpace))
        views = [name for name in found.codes if name != self._view]
        trained = self._training_codes(space) if self.probed else None
        for view in views:
            metric = ZeroShot(centres, distance_of_views(space), sync_on_compute=False).to(codes.device)
            metric.update(found.codes[view], found.labels.to(codes.device))
            scores = dict(metric.compute())
            if trained is not None:
                scores |= self._probes(found, trained, view)
            self.send({f"{view}/{name}": parts for name, parts in scores.items()}, sink)

    def _training_codes(self, space: Any) -> ViewedCodes:
        assert self._data is not None
        batch = self._data.probe(min(self.probed, len(self._data.dataset("train"))), "train")
        return viewed_codes(space, batch, self.chunk_size, {})

    def _probes(self, found: ViewedCodes, trained: ViewedCodes, view: str) -> dict[str, dict[str, Tensor]]:
        """Return the accuracy of linear probes of the codes of a view, and of its values."""
        fit, test = (
            Codes(of.codes[view].cpu()).with_columns({"label": of.labels.numpy()})
            for of in (trained, found)
            if of.labels is not None
        )
        raw = [of.parts[view].flatten(1).numpy() for of in (trained, found)]
        others = {"raw": (raw[0], raw[1])} if raw[0].shape[1] <= WIDEST else {}
        curves = transfer(fit, test, "label", others, ProbeOptions(budgets=(None,), seeds=1))
        scores = {"probe_observations": {"value": torch.tensor(len(trained))}}
        for name in ("codes", *others):
            score = curves.scores[name][0]
            ends = {} if score.interval is None else dict(zip(("low", "high"), score.interval, strict=True))
            parts = {"value": score.value, **ends}
            scores[f"probe_{name}"] = {part: torch.tensor(value, dtype=torch.float64) for part, value in parts.items()}
        return scores

    def _check_prompts(self, prompts: Sequence[Sequence[str]]) -> None:
        if len(prompts) < 2 or any(isinstance(of, str) or not list(of) for of in prompts):
            got = [list(of) if not isinstance(of, str) else of for of in prompts]
            raise ValueError(
                f"{type(self).__name__} expected a list of prompts for each of two classes or more, got {got}"
            )
