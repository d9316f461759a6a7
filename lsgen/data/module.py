"""Base class of data sets: a Lightning data module whose batches are reproduced exactly at any point of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from functools import cached_property
from inspect import signature
from math import prod
from typing import Any, Literal, get_args

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader

from lsgen.data.augmentation import Augmentation
from lsgen.data.batches import BatchDataset, Observations, Source, TensorSource
from lsgen.data.draws import Purpose, key, stream
from lsgen.data.encodings import Encoding, Values
from lsgen.data.loading import Loading, return_memory
from lsgen.data.sampler import Batching, ClassBatches, MixedBatches, OrderedBatches, Position, ShuffledBatches
from lsgen.data.transforms import BatchTransform, HiddenLabels, NeighbourPairs

__all__ = ["DataModule", "Split"]

Split = Literal["train", "val", "test"]

_CHUNK = 2**22  # numbers looked at together


class DataModule(LightningDataModule, ABC):
    """Abstract data set with splits "train", "val" and "test".

    A batch is {"x": float32 (B, *shape)}, int64 where these are numbers of items, and, where the data have them,
    "label" int64 (B,), -1 where it is not known, and "factors" int64 (B, K); on demand "observed" bool and "pair"
    float32, (B, *shape), and "weight" float32 (B,): see `lsgen.data.transforms`.
    Which observations are held out, and the random draws for them, depend on `split_seed` alone, so that runs with
    different seeds are judged on the same images. The order of training and the draws in it depend on `seed`.

    Args:
        shape: shape of one observation that the configuration states; None for that of the data.
        provides: the shape that the data have.
        encoding: stored values -> x.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        factor_names: names of the ground-truth factors, in the order of their columns in "factors".
        factor_sizes: number of values of each.

    Raises:
        ValueError: shape is not what the data have; batch_size or seed is out of range.

    """

    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()

    def __init__(
        self,
        shape: Sequence[int] | None,
        provides: Sequence[int],
        encoding: Encoding,
        batch_size: int,
        seed: int,
        loading: Loading,
    ) -> None:
        super().__init__()
        self.shape = tuple(int(size) for size in (provides if shape is None else shape))
        if self.shape != tuple(provides):
            raise ValueError(f"expected shape {tuple(provides)}, which {self._name} provides, got {self.shape}")
        if batch_size < 1:
            raise ValueError(f"expected a batch_size of at least 1, got {batch_size}")
        if seed < 0:
            raise ValueError(f"expected a seed of at least 0, got {seed}")
        self.encoding = encoding
        self.batch_size, self.seed, self.loading = batch_size, seed, loading
        if loading.augment and len(self.shape) != 3:
            raise ValueError(f"expected images (C, H, W) for data.loading.augment, got observations {self.shape}")
        self._augmentation, self._draws = Augmentation(loading.augment or ()), list[int]()
        self._splits: dict[str, BatchDataset] = {}
        self._start = Position()

    @abstractmethod
    def build(self, split: Split) -> BatchDataset:
        """Build a split; called once for each split, in every process that needs it."""

    def subset(
        self,
        source: Source,
        rows: Tensor,
        split: Split,
        flip: bool = False,
        part: int = 0,
        transforms: Sequence[BatchTransform] = (),
    ) -> BatchDataset:
        """Return some rows of a source as a split, whose random draws change from epoch to epoch in training only."""
        training = split == "train"
        redrawn = training and self.encoding.redrawn
        seed = self.seed if redrawn or (training and flip) else self.split_seed
        augmented = self.seed if training and self.loading.augment else None
        if self._pairs and self.loading.augment and not training:
            augmented = self.split_seed
        return BatchDataset(source, rows, self.encoding, seed, redrawn, training and flip, part, transforms, augmented)

    @property
    def split_seed(self) -> int:
        """The seed of the splits and of all random draws that every run must share."""
        return self.loading.split_seed

    @property
    def values(self) -> Values:
        """The kind of values in x: binary, grey levels, dequantised or continuous."""
        return self.encoding.values

    def dataset(self, split: Split) -> BatchDataset:
        """Return a split, built when it is first asked for.

        Raises:
            ValueError: there is no such split, or it is to lie on the device and is not in memory.

        """
        if split not in get_args(Split):
            raise ValueError(f'expected a split out of "train", "val" and "test", got {split!r}')
        if split not in self._splits:
            data = self.build(split)
            if self.loading.on_device and not isinstance(data.source, TensorSource):
                raise ValueError(
                    f"expected no data.loading.on_device for {self._name}, whose observations are not in memory but "
                    "read or made when a batch asks for them"
                )
            if self.loading.neighbours is not None:
                data.transforms += (self._neighbours(data, split),)
            self._splits[split] = data
        return self._splits[split]

    def probe(self, n: int, split: Split = "val") -> Observations:
        """Return n observations of a split chosen at random, the same in every call, in every run.

        Args:
            n: number of observations; a smaller probe is the beginning of a larger one.
            split: where they come from.

        Raises:
            ValueError: n is not positive or the split has fewer observations.

        """
        data = self.dataset(split)
        if not 1 <= n <= len(data):
            raise ValueError(f"expected between 1 and {len(data)} observations of the {split} split, got {n}")
        order = torch.randperm(len(data), generator=stream(self.split_seed, Purpose.PROBE))
        return data[order[:n]]

    def stored(self, apart_from: Container[str] = ()) -> Iterator[tuple[Split, int, Observations]]:
        """Yield observations of the splits built so far for an early inspection: (split, first position, batch).

        All of a split comes, in chunks, where it is made of floating-point numbers in memory; of any other, whose
        values are bounded by their encoding or cost work to have, its first observation. Nothing comes where a hook
        of the data module changes batches, or they get a second view.
        """
        hooks = ("on_before_batch_transfer", "on_after_batch_transfer")
        changed = any(getattr(type(self), hook) is not getattr(DataModule, hook) for hook in hooks)
        if changed or self._pairs:
            return
        for split in [split for split in get_args(Split) if split not in apart_from]:
            data = self._splits.get(split, ())
            source = getattr(data, "source", None)
            whole = isinstance(source, TensorSource) and source.tensors["x"].is_floating_point()
            rows = max(1, _CHUNK // prod(self.shape)) if whole else 1
            for first in range(0, len(data) if whole else min(1, len(data)), rows):
                yield split, first, data[torch.arange(first, min(first + rows, len(data)))]

    def setup(self, stage: str | None = None) -> None:
        """Build the splits that a stage needs, and refuse an impossible batch size before any work starts."""
        if stage in ("fit", None):
            self._start = Position()
            self._training_batches()
        for split in ("val",) if stage in ("fit", "validate") else ("test",) if stage == "test" else get_args(Split):
            self.dataset(split)
            if split != "train" and getattr(self.trainer, f"limit_{split}_batches", 0):
                self._ordered(split)

    def train_dataloader(self) -> DataLoader[Observations]:
        """Return the batches of training, from where the run was interrupted on."""
        overfit = getattr(self.trainer, "overfit_batches", 0) > 0
        return self._loader("train", self._ordered("train") if overfit else self._training_batches())

    def val_dataloader(self) -> DataLoader[Observations]:
        """Return the batches of the validation split."""
        return self._loader("val", self._ordered("val"))

    def test_dataloader(self) -> DataLoader[Observations]:
        """Return the batches of the test split."""
        return self._loader("test", self._ordered("test"))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Take the seeds of the augmentation off a batch, and give it a second view where that is asked for."""
        if not (isinstance(batch, dict) and "draw" in batch):
            self._draws = []
            return batch
        self._draws = batch["draw"].tolist()
        kept = {name: value for name, value in batch.items() if name != "draw"}
        return {"pair": batch["x"], **kept} if self.loading.views == 2 else kept

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment a batch on the device."""
        if not self._draws:
            return batch
        views = {"x": self._draws, "pair": self._draws} if self._pairs else {"x": self._draws}
        if self.loading.views == 2:
            views["pair"] = [key(draw, Purpose.PAIR) >> 1 for draw in self._draws]
        return {**batch, **{name: self._augmentation(batch[name], draws) for name, draws in views.items()}}

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the order of training, with the settings that the order depends on."""
        if self.trainer is None:
            return {}
        loop = self.trainer.fit_loop
        epoch, batch = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current
        inside = epoch.started > epoch.processed  # type: ignore[attr-defined]
        done = batch.processed if inside else 0  # type: ignore[attr-defined]
        return {"epoch": epoch.processed, "batch": done, **self._order_key()}  # type: ignore[attr-defined]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a stored position; warn if the rest of its epoch cannot be reproduced."""
        if not state_dict:
            return
        self._start = Position(state_dict["epoch"], state_dict["batch"])
        now = self._order_key()
        changed = [f"{name} {state_dict[name]} -> {value}" for name, value in now.items() if state_dict[name] != value]
        if changed and self._start.batch:
            rank_zero_warn(
                f"Resuming inside epoch {self._start.epoch} with another {', '.join(changed)}: the rest of this epoch "
                "is not made of the observations it still lacks."
            )

    @property
    def _pairs(self) -> bool:
        """Whether batches have pairs for metric learning."""
        return self.loading.views == 2 or self.loading.neighbours is not None

    def _neighbours(self, data: BatchDataset, split: Split) -> NeighbourPairs:
        x = torch.cat([batch["x"] for batch in self._whole(data)])
        seed = self.seed if split == "train" else self.split_seed
        return NeighbourPairs(x, data.rows, self.loading.neighbours or 1, seed, redrawn=split == "train")

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def _ranks(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _order_key(self) -> dict[str, int]:
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "processes": self._ranks[1],
            "observations": len(self.dataset("train")),
        }

    def _training_batches(self) -> ShuffledBatches:
        data, least = self.dataset("train"), self._least_batch(training=True)
        own = {"pair"} if self.loading.neighbours is not None else set()
        if self.loading.augment and (kept := {"pair", "observed", "factors"} - own & data[torch.arange(1)].keys()):
            raise ValueError(
                f'expected no data.loading.augment for {self._name}, whose batches have "{min(kept)}" that augmented '
                "images would contradict"
            )
        drop_last = self.loading.drop_last
        return self._shuffled(
            data, Batching(self.batch_size, self.seed, self._start, *self._ranks, drop_last=drop_last, least=least)
        )

    def _shuffled(self, data: BatchDataset, batching: Batching) -> ShuffledBatches:
        """Return the batches of training."""
        if self.loading.per_class is not None:
            return ClassBatches(self._training_labels, self.loading.per_class, batching)
        for hidden in data.transforms:
            if isinstance(hidden, HiddenLabels) and hidden.share is not None:
                known = hidden.known[data.rows.to(torch.int64)]
                return MixedBatches(known.nonzero()[:, 0], hidden.share, (~known).nonzero()[:, 0], batching)
        return ShuffledBatches(data, batching)

    @cached_property
    def _training_labels(self) -> Tensor:
        """The labels of the training split, int64 (N,), for which all of it is read.

        Raises:
            ValueError: it has none.

        """
        labels = [batch["label"] for batch in self._whole(self.dataset("train")) if "label" in batch]
        if not labels:
            raise ValueError(f"expected data with labels for data.loading.per_class, got {self._name} without")
        return torch.cat(labels)

    def _whole(self, data: BatchDataset) -> Iterator[Observations]:
        """Yield all observations of a split in order, some at a time."""
        return (data[rows] for rows in torch.arange(len(data)).split(max(1, _CHUNK // prod(self.shape))))

    def _ordered(self, split: Split) -> OrderedBatches:
        least = self._least_batch(training=split == "train")
        if not len(self.dataset(split)):
            option = f": its {split}_size sets how many" if f"{split}_size" in signature(type(self)).parameters else ""
            raise ValueError(f"{self._name} expected at least one observation in the {split} split, got none{option}")
        return OrderedBatches(self.dataset(split), self.batch_size, *self._ranks, least)

    def _least_batch(self, training: bool) -> int:
        """Return the smallest batch that the trainer's model can work on; 1 if it gives none."""
        model = getattr(self.trainer, "lightning_module", None)
        demand = getattr(model, "least_batch", None)
        return int(demand(training)) if callable(demand) else 1

    def _loader(self, split: Split, batches: ShuffledBatches | OrderedBatches) -> DataLoader[Observations]:
        data, pinned = self.dataset(split), torch.cuda.is_available()
        if self.loading.on_device:
            batches.device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
            data, pinned = data.to(batches.device), False
        return DataLoader(
            data,
            batch_size=None,
            sampler=batches,
            num_workers=self.loading.num_workers,
            persistent_workers=self.loading.num_workers > 0,
            pin_memory=pinned,
            worker_init_fn=return_memory,
            generator=stream(self.seed, Purpose.ORDER),
        )
