"""Samplers of batches, whose order is a pure function of (seed, epoch).

An epoch is a permutation of the N observations, cut into rounds of one batch for each of the W processes. All
processes count the same rounds; without `drop_last` every observation occurs exactly once, and what remains for the
last round is shared out evenly, so that nothing is padded with repetitions and evaluation is exact. Where it is less
than the smallest batch that a model can work on, it is shared out together with the round before it.

Resuming inside an epoch is a starting point: in epoch e the order begins at batch k, in any later epoch at 0. It does
not matter that workers prefetch before the trainer announces the epoch, or that an iterator is made twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DistributedSampler, SequentialSampler

from lsgen.data.draws import Purpose, stream

__all__ = [
    "Batching",
    "ChunkedBatches",
    "ClassBatches",
    "MixedBatches",
    "OrderedBatches",
    "Position",
    "Request",
    "ShuffledBatches",
]


class Request(NamedTuple):
    """One batch asked of a data set: positions in it, int64 (B,), and the epoch, which random draws depend on."""

    indices: Tensor
    epoch: int


class Position(NamedTuple):
    """A position in the order of batches: `batch` batches of epoch `epoch` are done."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Batching:
    """How training observations are ordered and cut into batches.

    Attributes:
        batch_size: observations in a batch, on each process.
        seed: seed of the order.
        start: where the order begins.
        rank: number of this process.
        world_size: number of processes.
        drop_last: whether only full batches are made.
        least: the smallest batch that may be made; to keep to it, a batch may hold up to `least` more than batch_size.

    """

    batch_size: int
    seed: int
    start: Position = field(default_factory=Position)
    rank: int = 0
    world_size: int = 1
    drop_last: bool = False
    least: int = 1


class _Batches(DistributedSampler[Any], ABC):
    # Requests lie on `device`, to which the order of an epoch is moved as a whole.
    # A DistributedSampler, so that a trainer that would wrap a foreign sampler for its processes leaves this one.

    def __init__(self, data: Sized, batch_size: int, rank: int, world_size: int, drop_last: bool, least: int) -> None:
        super().__init__(data, num_replicas=world_size, rank=rank, drop_last=drop_last)  # type: ignore[arg-type]
        if batch_size < least:
            needed = "" if least == 1 else ", the smallest batch that the model can work on"
            raise ValueError(f"expected a batch_size of at least {least}{needed}, got {batch_size}")
        self.batch_size, self.least, self.device = batch_size, least, torch.device("cpu")
        self._sizes = self._batch_sizes(len(data))

    def _batch_sizes(self, observations: int) -> list[int]:
        """Return the sizes of all batches of an epoch, of which every W-th belongs to this process."""
        world, least = self.num_replicas, self.least
        rounds, rest = divmod(observations, self.batch_size * world)
        if not self.drop_last and 0 < rest < least * world and rounds > 0:
            rounds, rest = rounds - 1, rest + self.batch_size * world
        sizes = [self.batch_size] * (rounds * world)
        if rest and not self.drop_last:
            batches = world * -(-rest // (self.batch_size * world))
            batches = batches if rest // batches >= least else world
            sizes += [rest // batches + (batch < rest % batches) for batch in range(batches)]
        if not sizes or min(sizes) < least:
            needed = f"{self.batch_size * world} (drop_last)" if self.drop_last else f"{least * world}"
            raise ValueError(
                f"expected at least {needed} observations for batch_size {self.batch_size} on {world} process(es), "
                f"got {observations}{': lower batch_size, or set drop_last=False' if self.drop_last else ''}"
            )
        return sizes

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch on each process, wherever the order begins."""
        return len(self._sizes) // self.num_replicas

    def __iter__(self) -> Iterator[Request]:
        """Return the batches of this process, from the starting point on."""
        epoch, start = self.begin()
        return self._batches(self.order(epoch), epoch, start)

    def _batches(self, order: Tensor, epoch: int, start: int) -> Iterator[Request]:
        ends, world = list(accumulate(self._sizes, initial=0)), self.num_replicas
        order = order[: ends[-1]].to(self.device)
        for batch in range(self.rank + world * start, len(self._sizes), world):
            yield Request(order[ends[batch] : ends[batch + 1]], epoch)

    @abstractmethod
    def begin(self) -> Position:
        """Return the epoch and the batch at which an iterator made now starts."""

    @abstractmethod
    def order(self, epoch: int) -> Tensor:
        """Return the order of all observations, int64 (N,)."""


class ShuffledBatches(_Batches):
    """Batches for training, in an order given by (seed, epoch).

    Args:
        data: what is indexed.
        batching: how they are ordered and cut into batches.

    Raises:
        ValueError: batch_size is below `least`, or there are too few observations for one batch on each process.

    """

    def __init__(self, data: Sized, batching: Batching) -> None:
        one = batching
        super().__init__(data, one.batch_size, one.rank, one.world_size, one.drop_last, one.least)
        self.seed, self.start = one.seed, one.start

    def begin(self) -> Position:
        """Return the starting point, or the beginning of the present epoch where that is later."""
        start = self.start if self.start.batch < len(self) else Position(self.start.epoch + 1)
        return max(start, Position(self.epoch))

    def order(self, epoch: int) -> Tensor:
        """Return the permutation of an epoch."""
        return torch.randperm(len(self.dataset), generator=stream(self.seed, Purpose.ORDER, epoch))  # type: ignore[arg-type]


class MixedBatches(ShuffledBatches):
    """Batches for training of which some observations are a fixed share, however few they are.

    They are spread evenly over the order, one after another in a new order whenever all have been. An epoch is once all
    other observations.

    Args:
        chosen: positions of these observations, int64 (n,).
        share: their share of every batch, in (0, 1).
        others: positions of all others, int64 (M,).
        batching: how they are ordered and cut into batches.

    """

    def __init__(self, chosen: Tensor, share: float, others: Tensor, batching: Batching) -> None:
        self.chosen, self.share, self.others = chosen, share, others
        taken = (~self._own(int((len(others) + 1) / (1 - share)) + 2)).cumsum(0)
        length = int((taken <= len(others)).sum())
        super().__init__(range(length), batching)

    def order(self, epoch: int) -> Tensor:
        """Return the positions of an epoch, int64."""
        own = self._own(len(self.dataset))  # type: ignore[arg-type]
        order = torch.empty(len(own), dtype=torch.int64)
        generator = stream(self.seed, Purpose.ORDER, epoch)
        order[~own] = self.others[torch.randperm(len(self.others), generator=generator)]
        count, n = int(own.sum()), len(self.chosen)
        rounds = [self.chosen[torch.randperm(n, generator=generator)] for _ in range(-(-count // n))]
        order[own] = torch.cat([*rounds, self.chosen[:0]])[:count]
        return order

    def _own(self, length: int) -> Tensor:
        """Return which places of an order are for the chosen ones, bool (length,); the k-th ends past k/share."""
        passed = (torch.arange(length + 1, dtype=torch.float64) * self.share + 1e-9).floor()
        return passed[1:] > passed[:-1]


class ClassBatches(ShuffledBatches):
    """Batches for training that hold m observations of each of their classes, so that all have a partner.

    In every epoch each class is cut into groups of m at random; what is left over of a class waits for another epoch.
    Batches take one group of every class before a second one of any, in random order. Observations whose label is -1,
    not known, take no part.

    Args:
        labels: label of every observation, int64 (N,).
        per_class: observations m of a class, at least 2.
        batching: how they are ordered and cut into batches; several processes have full batches only.

    Raises:
        ValueError: a class has fewer than m observations, m does not divide the batch size, or see `ShuffledBatches`.

    """

    def __init__(self, labels: Tensor, per_class: int, batching: Batching) -> None:
        if batching.batch_size % per_class:
            size = batching.batch_size
            raise ValueError(f"expected a batch_size that data.loading.per_class = {per_class} divides, got {size}")
        self.per_class, self.rows = per_class, (labels >= 0).nonzero()[:, 0]
        values, self._classes, self._counts = labels[self.rows].unique(return_inverse=True, return_counts=True)
        if not len(values):
            raise ValueError("expected labels for data.loading.per_class, got none that is known")
        fewest = int(self._counts.argmin())
        if self._counts[fewest] < per_class:
            raise ValueError(
                f"expected at least data.loading.per_class = {per_class} training observations of every class, "
                f"got {int(self._counts[fewest])} of class {int(values[fewest])}"
            )
        length = int((self._counts // per_class).sum()) * per_class
        drop_last = batching.drop_last or batching.world_size > 1
        super().__init__(range(length), replace(batching, drop_last=drop_last))

    def order(self, epoch: int) -> Tensor:
        """Return the positions of an epoch, int64."""
        generator = stream(self.seed, Purpose.ORDER, epoch)
        mixed = torch.randperm(len(self.rows), generator=generator)
        mixed = mixed[self._classes[mixed].argsort(stable=True)]
        own = self._classes[mixed]
        rank = torch.arange(len(mixed)) - (self._counts.cumsum(0) - self._counts)[own]
        kept = rank < (self._counts // self.per_class * self.per_class)[own]
        groups = mixed[kept].reshape(-1, self.per_class)
        turn = rank[kept].reshape(-1, self.per_class)[:, 0] // self.per_class
        among = torch.randperm(len(groups), generator=generator)
        return self.rows[groups[among[turn[among].argsort(stable=True)]].flatten()]


class ChunkedBatches(ShuffledBatches):
    """Batches for training on data that lie in chunks, of which each reader has its own and few at a time.

    The chunks of an epoch are in random order and shared out among the readers, which are the workers of all processes:
    worker k of n prepares the batches k, k + n, ... of its process. A reader mixes the observations of some chunks at
    random and then goes on to the next. Chunks at the ends of its share it has in common with another reader.

    Args:
        sizes: observations of each chunk, which lie one after another in the data.
        mixed: chunks that a reader mixes at a time.
        workers: of each process, at least 1.
        batching: how they are ordered and cut into batches.

    """

    def __init__(self, sizes: Sequence[int], mixed: int, workers: int, batching: Batching) -> None:
        self.chunks, self.mixed, self.workers = torch.tensor(sizes), mixed, workers
        super().__init__(range(sum(sizes)), batching)

    def order(self, epoch: int) -> Tensor:
        """Return the positions of an epoch, int64."""
        generator = stream(self.seed, Purpose.ORDER, epoch)
        chosen = torch.randperm(len(self.chunks), generator=generator)
        sizes = self.chunks[chosen]
        place = torch.arange(len(chosen)).repeat_interleave(sizes)  # of the chunk of each position in the new order
        shift = (self.chunks.cumsum(0) - self.chunks)[chosen] - (sizes.cumsum(0) - sizes)
        rows, readers = torch.arange(len(place)) + shift[place], self.num_replicas * self.workers
        parts: list[Tensor] = [rows] * len(self._sizes)
        begin = 0
        for reader in range(readers):
            own = self._sizes[reader::readers]
            share = slice(begin, begin + sum(own))
            group = (place[share] - place[share][:1]) // self.mixed
            among = torch.randperm(len(group), generator=generator)
            among = among[group[among].argsort(stable=True)]
            parts[reader::readers] = rows[share][among].split(own)
            begin = share.stop
        return torch.cat([*parts, rows[begin:]])


class OrderedBatches(_Batches, SequentialSampler):  # type: ignore[misc]
    """Batches for evaluation: every observation once, in the order of the data, the same in every epoch.

    Args:
        data: what is indexed.
        batch_size: observations in a batch, on each process.
        rank: number of this process.
        world_size: number of processes.
        least: the smallest batch that may be made; to keep to it, a batch may hold up to `least` more than batch_size.

    Raises:
        ValueError: batch_size is below `least`, or there are too few observations for one batch on each process.

    """

    def __init__(self, data: Sized, batch_size: int, rank: int = 0, world_size: int = 1, least: int = 1) -> None:
        super().__init__(data, batch_size, rank, world_size, False, least)

    def begin(self) -> Position:
        """Return the beginning."""
        return Position()

    def order(self, epoch: int) -> Tensor:
        """Return 0 .. N-1."""
        return torch.arange(len(self.dataset))  # type: ignore[arg-type]
