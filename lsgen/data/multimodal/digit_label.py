"""Images of digits, or of clothes, with their class as a second modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.images.digits import Digits
from lsgen.data.images.fashion_mnist import FashionMnist
from lsgen.data.images.mnist import Mnist
from lsgen.data.loading import Loading
from lsgen.data.module import Split
from lsgen.data.multimodal.multimodal_data import MultimodalData

__all__ = ["DigitLabel"]

_FROM_FILES = {"mnist": Mnist, "fashion_mnist": FashionMnist}


class DigitLabel(MultimodalData):
    """Modalities "image" (1, H, W) and "label" (1,), the number of the class, 0 to 9; also the label of the batch.

    Args:
        shape: (65,) of scanned digits, (785,) of MNIST and Fashion-MNIST.
        shapes: those of "image" and "label".
        images: "scanned", the digits of scikit-learn, embedded; "mnist" or "fashion_mnist".
        root: directory of data sets in torchvision's layout, for the last two.
        binarise: "none", "threshold", "static" (one binarisation for all epochs) or "dynamic" (a new one in each).
        val_size: training images held out for validation; 360 scanned digits are the test.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        single: the data set of the images.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: the images are not there.
        NotADirectoryError: root is not a directory.

    Reference: Wu & Goodman, "Multimodal generative models for scalable weakly-supervised learning" (2018), section 5.1,
    https://arxiv.org/abs/1802.05335.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        images: str = "scanned",
        root: str = "data",
        binarise: str = "none",
        val_size: int | float = 180,
        missing: Mapping[str, float] | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if images not in ("scanned", *_FROM_FILES):
            raise ValueError(f'expected images "scanned", "mnist" or "fashion_mnist", got {images!r}')
        common: dict[str, Any] = {
            "binarise": binarise,
            "val_size": val_size,
            "loading": Loading(split_seed=loading.split_seed),
        }
        single = Digits(**common) if images == "scanned" else _FROM_FILES[images](root=root, **common)
        provides = {"image": single.shape, "label": (1,)}
        encodings = {"image": single.encoding}
        super().__init__(shape, shapes, provides, missing, batch_size, seed, loading, encodings)
        self.single = single
        self._packed: Callable[[Any], TensorSource] = cache(_beside_labels)

    def build(self, split: Split) -> BatchDataset:
        """Return the images of a split with their labels."""
        of = self.single.dataset(split)
        return self.subset(self._packed(of.source), of.rows, split, part=of.part)


def _beside_labels(source: TensorSource) -> TensorSource:
    images, label = source.tensors["x"], source.tensors["label"]
    return TensorSource(x=torch.cat([images.flatten(1), label[:, None].to(images.dtype)], 1), label=label)
