"""Fashion-MNIST with captions that name the article."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lsgen.data.images.fashion_mnist import FashionMnist
from lsgen.data.loading import Loading
from lsgen.data.multimodal.captioned.captioned_images import CaptionedImages, Templates

__all__ = ["CaptionedFashion"]


class CaptionedFashion(CaptionedImages):
    """70,000 articles of clothing (1, 28, 28) in grey levels with captions such as "a picture of a sneaker".

    The label is the kind of article.

    Args:
        shape: (D,) that the configuration states; None for that of the data.
        shapes: those of "image" and "caption".
        vocabulary_size: number of words of captions, the end included; None for as many as there are.
        root: directory of data sets; the files lie in "FashionMNIST/raw", unpacked.
        val_size: training images held out for validation; 0 trains on all 60,000 and validates on the test images.
        templates: sentences for the articles, `Templates` or its options.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the choice of sentences.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range or not what the data have, or the longest sentence has no room.
        FileNotFoundError: the images are not there.
        NotADirectoryError: root is not a directory.

    """

    nouns: ClassVar[Mapping[str, str]] = {
        "top": "a top",
        "trousers": "a pair of trousers",
        "pullover": "a pullover",
        "dress": "a dress",
        "coat": "a coat",
        "sandal": "a sandal",
        "shirt": "a shirt",
        "sneaker": "a sneaker",
        "bag": "a bag",
        "ankle boot": "an ankle boot",
    }

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        vocabulary_size: int | None = None,
        root: str = "data",
        val_size: int | float = 5_000,
        templates: Templates | Mapping[str, Any] = Templates(),
        missing: Mapping[str, float] | None = None,
        batch_size: int = 128,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        images = FashionMnist(root=root, val_size=val_size, loading=Loading(split_seed=loading.split_seed))
        super().__init__(shape, shapes, vocabulary_size, images, templates, missing, batch_size, seed, loading)
