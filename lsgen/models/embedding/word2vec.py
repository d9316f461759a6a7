"""Word2Vec: vectors of words from the company they keep, by skip-gram or CBOW; of other items as well."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding

from lsgen.extras import from_extra
from lsgen.models.base import Batch
from lsgen.models.contract import Contract, PlainNumbers
from lsgen.models.embedding.decoders import BinaryDecoder, ContextDecoder
from lsgen.models.embedding.item_model import ItemModel
from lsgen.models.embedding.space import WordSpace
from lsgen.models.embedding.subwords import Subwords, SubwordVectors
from lsgen.models.embedding.windows import Contexts, ContextWindows, keep_probabilities
from lsgen.models.losses import ScalarLoss
from lsgen.models.schedules import Schedule, as_schedule

__all__ = ["Word2Vec"]

_NUMBERS = 2**24  # that are held in memory together


class Word2Vec(ItemModel):
    """Skip-gram or CBOW: the code of an item predicts the items around it.

    A batch holds rows of numbers of items, int64 (B, L), -1 after each document, such as those of `Corpus`; baskets and
    random walks are documents too. What the items are called and how often they occur is taken from `vocabulary` and
    `counts` of the data module, and is in the checkpoint; without one they are numbers that occur equally often.

    On a CPU, training goes from window to window by one thread: the same seed gives the same bits, which it does not
    with several. On other devices, and with the full softmax, a row of the batch makes one step of gradient descent.

    Args:
        decoder: the scores of contexts and their loss: negative sampling, hierarchical or full softmax.
        windows: which items are contexts, `ContextWindows` or its options.
        average: whether the mean of the codes of a context predicts the item in its middle (CBOW), else each by itself
            (skip-gram).
        rate: rate of learning, of the sum over pairs; a number or a schedule.
        max_steps: generator steps, batches, after which training stops.
        workers: threads that train on a CPU, writing without waiting for one another; the provenance of a run says so.
        subwords: which n-grams words share vectors of, `Subwords` or its options, as in fastText; none if None. What
            the codes of words learn from a batch goes to their n-grams at its end.

    Raises:
        ValueError: an option is out of its range; when training starts, there are several processes, or the data have
            another vocabulary; while training, a loss is not finite.

    """

    def __init__(
        self,
        decoder: ContextDecoder,
        windows: ContextWindows | Mapping[str, Any] = ContextWindows(),
        average: bool = False,
        rate: float | Schedule = 0.025,
        max_steps: int | None = None,
        workers: int = 1,
        subwords: Subwords | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(WordSpace(decoder, None if subwords is None else Subwords.of(subwords)), max_steps)
        if workers < 1:
            raise ValueError(f"expected model.workers of at least 1 thread, got {workers}")
        self.workers = int(workers)
        self.automatic_optimization = False
        self.windows, self.average, self.rate = ContextWindows.of(windows), bool(average), as_schedule(rate)
        self._kept: Tensor | None = None
        self._table: Tensor | None = None

    def contract(self) -> Contract:
        """Return the requirements on a batch: numbers of items, or -1."""
        name, items = type(self).__name__, self.latent_space.decoder.items
        return Contract(name, PlainNumbers(name, high=items - 1, low=-1))

    def setup(self, stage: str) -> None:
        """Take the names and counts of the items from the data module."""
        super().setup(stage)
        self._kept = None

    def on_fit_start(self) -> None:
        """Refuse several processes."""
        super().on_fit_start()
        if self.trainer.world_size > 1:
            raise ValueError(f"{type(self).__name__} expected one process, got {self.trainer.world_size}")

    def losses(self, contexts: Contexts, reach: int) -> tuple[Tensor, Tensor]:
        """Return the losses (n, m) of all windows, and which of them there are, bool (n, m).

        Args:
            contexts: items with their contexts, m = 2 reach of them for skip-gram and 1 for CBOW.
            reach: the greatest number of items on either side.

        """
        z, inside = self._codes(contexts, reach)
        return self.latent_space.decoder.losses(z, contexts.items.clamp(min=0)), inside

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the average loss of a pair, in nats."""
        contexts, reach = self._contexts(batch["x"])
        found, inside = self.losses(contexts, reach)
        return ScalarLoss((found * inside).sum() / inside.sum().clamp(min=1))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Make a pass over the windows of a batch, and return their average loss before their steps."""
        rate, decoder = self.rate(self.generator_steps), self.latent_space.decoder
        on_host = batch["x"].device.type == "cpu" and isinstance(decoder, BinaryDecoder)
        loss = self._descend(batch["x"], rate) if on_host else self._step(batch["x"], rate)
        self.last_losses = losses = ScalarLoss(loss, weights={"rate": rate})
        self.tick(len(batch["x"]))
        return {"loss": loss, "losses": losses}

    def validation_step(self, batch: Batch, batch_idx: int) -> ScalarLoss:  # type: ignore[override]
        """Return the loss of a validation batch."""
        return self._evaluation_step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> ScalarLoss:  # type: ignore[override]
        """Return the loss of a test batch."""
        return self._evaluation_step(batch, "test")

    def configure_optimizers(self) -> list[Any]:
        """Ask for no optimiser: steps are taken as in word2vec.c."""
        return []

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clocks and the names of the items; how often they occur is in the state of the decoder."""
        super().on_load_checkpoint(checkpoint)
        self._kept = None

    def _contexts(self, x: Tensor) -> tuple[Contexts, int]:
        rows = x.flatten(1)
        if self._kept is None or self._kept.device != x.device:
            self._kept = keep_probabilities(self.latent_space.decoder.counts, self.windows.subsample)
        return self.windows.contexts(rows, self._kept), self.windows.reach(rows.shape[1])

    def _codes(self, contexts: Contexts, reach: int) -> tuple[Tensor, Tensor]:
        """Return the codes (n, m, d) that predict each item, and which of them there are."""
        table = self.latent_space.table()
        around, inside = contexts.pairs(reach)
        z = embedding(around, table, sparse=table.requires_grad and table.is_leaf)
        if not self.average:
            return z, inside
        number = inside.sum(1, keepdim=True)
        return (z * inside[..., None]).sum(1, keepdim=True) / number.clamp(min=1)[..., None], number > 0

    @torch.no_grad()
    def _descend(self, x: Tensor, rate: float) -> Tensor:
        """Go from window to window on the host."""
        with from_extra("words", f"{type(self).__name__} needs numba to train on a CPU"):
            from lsgen.models.embedding.descent import descend
        space, (contexts, _) = self.latent_space, self._contexts(x)
        assert isinstance(space.decoder, BinaryDecoder)
        targets = space.decoder.targets(contexts.items.clamp(min=0))
        shared = space.codes if isinstance(space.codes, SubwordVectors) else None
        if shared is None:
            table = space.table().detach()
        else:
            seen = x[x >= 0].unique()
            before, table = shared(seen), self._room(shared)
            table[seen] = before
        tables = table, space.decoder.weight
        around, wanted, learned = ([part.detach().numpy() for part in parts] for parts in (contexts, targets, tables))
        total, pairs = descend(around, wanted, learned, rate, self.average, self.workers)
        if not isfinite(total):
            raise ValueError(
                f"{type(self).__name__} expected a finite loss, got {total} after {self.generator_steps} generator "
                "steps: lower model.rate"
            )
        if shared is not None:
            shared.add(seen, table[seen] - before)
        return torch.tensor(total / max(pairs, 1), dtype=space.decoder.weight.dtype)

    def _room(self, shared: SubwordVectors) -> Tensor:
        """Return a table (V, d) for the codes of the items of a batch, which the next one uses again."""
        like = shared.weight
        if self._table is None or self._table.dtype != like.dtype:
            self._table = like.new_zeros(shared.items, like.shape[1])
        return self._table

    def _step(self, x: Tensor, rate: float) -> Tensor:
        """Take a step of gradient descent for each row."""
        total = count = x.new_zeros((), dtype=self.latent_space.decoder.weight.dtype)
        for row in x.flatten(1).split(1):
            contexts, reach = self._contexts(row)
            found, inside = self.losses(contexts, reach)
            loss = (found * inside).sum()
            self.manual_backward(loss)
            with torch.no_grad():
                for parameter in self.parameters():
                    assert parameter.grad is not None
                    parameter.add_(parameter.grad, alpha=-rate)
                    parameter.grad = None
            total, count = total + loss.detach(), count + inside.sum()
        return total / count.clamp(min=1)

    def _evaluation_step(self, batch: Batch, stage: str) -> ScalarLoss:
        """Log the loss, and the negative log probability of the item of a pair, over all items: both per pair."""
        rows, dim = batch["x"].flatten(1), self.latent_space.dim
        numbers = rows.shape[1] * 2 * self.windows.reach(rows.shape[1]) * dim
        loss = nll = pairs = torch.zeros((), device=rows.device)
        for part in rows.split(max(1, _NUMBERS // numbers)):
            contexts, reach = self._contexts(part)
            z, inside = self._codes(contexts, reach)
            found = self.latent_space.decoder.losses(z, contexts.items.clamp(min=0))
            missed = self._negative_log_probabilities(z, contexts, reach)
            loss, nll, pairs = loss + (found * inside).sum(), nll + (missed * inside).sum(), pairs + inside.sum()
        count = pairs.clamp(min=1)
        losses = ScalarLoss(loss / count, scalars={"nll": nll / count})
        named = {f"{stage}/loss": losses.loss, f"{stage}/nll": losses.scalars["nll"]}
        self.log_dict(named, batch_size=int(count), on_epoch=True, sync_dist=True)
        return losses

    def _negative_log_probabilities(self, z: Tensor, contexts: Contexts, reach: int) -> Tensor:
        """Return -log p(item | code), (n, m), for the codes (n, m, d) that predict each item."""
        space = self.latent_space
        scores = space.decoder.scores(z, contexts.items.clamp(min=0))
        if self.average:
            return self._log_normalisers(z[:, 0])[:, None] - scores
        distinct, place = contexts.pairs(reach)[0].unique(return_inverse=True)
        return self._log_normalisers(space.table()[distinct])[place] - scores

    def _log_normalisers(self, z: Tensor) -> Tensor:
        """Return the logarithms (N,) of the sums over all items of exponentiated logits at codes (N, d)."""
        rows = max(1, _NUMBERS // self.latent_space.decoder.items)
        return torch.cat([self.latent_space.raw(part).logsumexp(-1) for part in z.split(rows)])
