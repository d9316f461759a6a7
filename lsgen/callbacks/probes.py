"""Probes: observations that are the same at every turn of a callback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lsgen.models import LatentModel

__all__ = ["Probe", "counts_observed", "fixed_probe", "observations_of", "observed_of", "probe_of"]


@dataclass(frozen=True)
class Probe:
    """Fixed observations.

    Attributes:
        x: observations (N, *shape).
        label: what they show, (N,) integers, where the data say so.
        gallery: training observations, which stand for codes near them where nothing decodes.

    """

    x: Tensor
    label: Tensor | None = None
    gallery: Probe | None = None

    def __len__(self) -> int:
        return len(self.x)

    def where(self, kept: Tensor) -> Probe:
        """Return the observations that are kept, bool (N,)."""
        return Probe(self.x[kept], None if self.label is None else self.label[kept], self.gallery)

    def first(self, n: int) -> Probe:
        """Return the first n observations, or all where there are fewer."""
        return Probe(self.x[:n], None if self.label is None else self.label[:n], self.gallery)


def observations_of(batch: Any, model: object = None) -> Probe:
    """Return the observations of a batch, with their labels where it has them.

    Args:
        batch: a mapping with the key "x", a tensor, or a sequence whose first item is the tensor (and whose
            second, where it is an integer for every observation, is the label). A NaN that a mapping says is
            not "observed" is returned as 0, as models of missing values see it. Observations that lack a modality are
            left out.
        model: packs a mapping with one entry a modality; none is needed for other batches.

    Raises:
        TypeError: the batch is none of these.

    """
    x, label = batch, None
    if isinstance(batch, Mapping) and "x" not in batch and isinstance(model, LatentModel):
        contract = model.contract()
        batch = batch if contract.packing is None else contract.take(batch, cast(torch.dtype, model.dtype))
    if isinstance(batch, Mapping):
        x, label = batch.get("x"), batch.get("label")
        if isinstance(observed := batch.get("observed"), Tensor) and isinstance(x, Tensor):
            x = x.masked_fill(~observed & x.isnan(), 0.0)
    elif isinstance(batch, list | tuple) and batch:
        x, label = batch[0], batch[1] if len(batch) > 1 else None
    if not isinstance(x, Tensor) or not x.dim():
        raise TypeError(
            'expected a batch that is a tensor, a mapping with the tensor "x", or a sequence that begins with '
            f"the tensor; got {type(batch).__name__}"
        )
    known = isinstance(label, Tensor) and label.shape == x.shape[:1] and not label.is_floating_point()
    found = Probe(x, label if known else None)
    present = batch.get("present") if isinstance(batch, Mapping) else None
    return found.where(present.all(-1)) if isinstance(present, Tensor) else found


def counts_observed(model: object) -> bool:
    """Return whether the bound of a model is that of the observed values alone."""
    return isinstance(model, LatentModel) and "observed" in model.contract().demands


def observed_of(model: object, batch: Any) -> Tensor | None:
    """Return which values of a batch count in the bound of a model, bool (B, *shape); None where all of them do."""
    return batch["observed"] if counts_observed(model) else None


def fixed_probe(trainer: Trainer, n: int, gallery: int = 0) -> Probe | None:
    """Return n observations that are the same in every run and at every step.

    Args:
        trainer: trains on the data.
        n: number of observations.
        gallery: number of training observations beside them.

    They come from the data module's `probe`, else from the beginning of the validation data, else from that of
    the training data: in the order of the data set, past any sampler, so that no iterator or generator that
    training uses moves. Where there are fewer than n, all are returned; None where there are no such data, as
    with nothing but a training loader over an iterable data set, which is read once.
    """
    data: Any = getattr(trainer, "datamodule", None)
    if _has_probes(data):
        return _own_probe(data, n, gallery)
    return _beside(
        trainer.val_dataloaders, trainer.train_dataloader, n, gallery, getattr(trainer, "lightning_module", None)
    )


def probe_of(data: LightningDataModule, n: int, gallery: int = 0, model: object = None) -> Probe | None:
    """Return the same observations without a trainer, from a data module that is set up for validation."""
    if _has_probes(data):
        return _own_probe(data, n, gallery)
    loaders: list[Any] = []
    for make in (data.val_dataloader, data.train_dataloader):
        try:
            loaders.append(make())
        except (MisconfigurationException, NotImplementedError, AttributeError):
            loaders.append(None)
    return _beside(loaders[0], loaders[1], n, gallery, model)


def _has_probes(data: Any) -> bool:
    return hasattr(data, "probe") and hasattr(data, "dataset")


def _own_probe(data: Any, n: int, gallery: int) -> Probe | None:
    most = len(data.dataset("val"))
    found = observations_of(data.probe(min(n, most), "val")) if most else None
    if found is None or not gallery or not (known := len(data.dataset("train"))):
        return found
    return replace(found, gallery=observations_of(data.probe(min(gallery, known), "train")))


def _beside(validation: Any, training: Any, n: int, gallery: int, model: object) -> Probe | None:
    """Return the first observations of loaders, with the first of training beside them where these are no stream."""
    found = _first(validation, training, n, model)
    return found if found is None or not gallery else replace(found, gallery=_first(None, training, gallery, model))


def _first(validation: Any, training: Any, n: int, model: object) -> Probe | None:
    for loader in (validation, training):
        for one in loader if isinstance(loader, list | tuple) else [loader]:
            if isinstance(one, Iterable) and (found := _beginning(one, n, one is training, model)):
                return found
    return None


def _beginning(loader: Iterable[Any], n: int, trainable: bool, model: object) -> Probe | None:
    """Return the first n observations of a loader; None for a training loader over an iterable data set."""
    if isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset) and loader.batch_size:
        items = [loader.dataset[i] for i in range(min(n, len(loader.dataset)))]  # type: ignore[arg-type]
        return observations_of(loader.collate_fn(items), model) if items else None
    if trainable:
        return None
    batches: list[Probe] = []
    for batch in loader:
        batches.append(observations_of(batch, model))
        if sum(map(len, batches)) >= n:
            break
    return _joined(batches).first(n) if batches else None


def _joined(probes: list[Probe]) -> Probe:
    labels = [probe.label for probe in probes if probe.label is not None]
    label = torch.cat(labels) if len(labels) == len(probes) else None
    return Probe(torch.cat([probe.x for probe in probes]), label)
