"""CelebA: aligned faces of celebrities with 40 binary attributes, cropped and resized."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.encodings import image_encoding
from lsgen.data.files import data_root, reading, require
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split

if TYPE_CHECKING:
    from torchvision.datasets import CelebA as _Files

__all__ = ["CelebA"]

HEIGHT, WIDTH = 218, 178
ATTRIBUTES = tuple(
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "  # noqa: SIM905
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male "
    "Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks "
    "Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young".split()
)


class CelebA(DataModule):
    """202,599 faces (3, S, S) in the official splits; factors are the 40 attributes, the label is the person.

    The central square of `crop` pixels is resized to S pixels with an antialiased bilinear filter. Pictures are
    decoded when they are asked for: use num_workers.

    Args:
        shape: (3, S, S).
        root: directory of data sets; the files lie in "celeba".
        download: whether torchvision may download what is missing (it needs the package gdown).
        crop: side of the central square, in pixels of the aligned pictures (178 wide, 218 high).
        dequantise: whether uniform noise makes the levels continuous.
        flip: whether training images are mirrored left to right at random.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: the data are not there and may not be downloaded.
        NotADirectoryError: root is not a directory.

    Reference: Liu et al., "Deep learning face attributes in the wild" (ICCV 2015).
    """

    factor_names = ATTRIBUTES
    factor_sizes = (2,) * len(ATTRIBUTES)

    def __init__(
        self,
        shape: Sequence[int] | None = (3, 64, 64),
        root: str = "data",
        download: bool = False,
        crop: int = 148,
        dequantise: bool = False,
        flip: bool = False,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if not 1 <= crop <= WIDTH:
            raise ValueError(f"expected crop between 1 and {WIDTH} pixels, got {crop}")
        encoding = image_encoding(256, dequantise)
        square = (3, 64, 64) if shape is None else (3, int(shape[-1]), int(shape[-1]))
        super().__init__(shape, square, encoding, batch_size, seed, loading)
        self.root, self.download, self.crop, self.flip = data_root(root), download, crop, flip
        if not download:
            texts = ("list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt")
            files = [self.root / "celeba" / name for name in ("img_align_celeba", *texts)]
            require(
                "CelebA",
                files,
                "get img_align_celeba and its text files from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and "
                "set LSGEN_DATA_DIR to the directory above the folder celeba, or data.download=true",
            )

    def prepare_data(self) -> None:
        """Download missing files in one process, if that is allowed."""
        if self.download:
            self._open(download=True)

    def build(self, split: Split) -> BatchDataset:
        """Return an official split."""
        rows = torch.nonzero(self._partition == {"train": 0, "val": 1, "test": 2}[split]).squeeze(1)
        return self.subset(self._faces, rows, split, flip=self.flip)

    @cached_property
    def _faces(self) -> _Faces:
        return _Faces(self._open(download=False), self.root / "celeba" / "img_align_celeba", self.crop, self.shape[-1])

    @cached_property
    def _partition(self) -> Tensor:
        file = self.root / "celeba" / "list_eval_partition.txt"
        with reading("CelebA", file):
            lines = file.read_text(encoding="utf-8").splitlines()
            partition = torch.tensor([int(line.split()[1]) for line in lines])
            if not bool(((partition >= 0) & (partition <= 2)).all()):
                raise ValueError(f"expected parts 0, 1 and 2, got {sorted(set(partition.tolist()))}")
            if len(partition) != len(files := self._faces.files.filename):
                raise ValueError(f"expected a line for each of {len(files)} pictures, got {len(partition)}")
        return partition

    def _open(self, download: bool) -> _Files:
        from torchvision.datasets import CelebA as Files

        with reading("CelebA", self.root / "celeba"):
            files = Files(str(self.root), split="all", target_type=["attr", "identity"], download=download)
            counts = (len(files.filename), len(files.identity), len(files.attr))
            if len(set(counts)) > 1 or not counts[0]:
                raise ValueError(f"expected as many lines in each text file, got {counts}")
            if tuple(files.attr.shape[1:]) != (len(ATTRIBUTES),):
                raise ValueError(f"expected {len(ATTRIBUTES)} attributes, got {files.attr.shape[1]}")
        return files


class _Faces:
    def __init__(self, files: _Files, folder: Path, crop: int, size: int) -> None:
        self.files, self.folder, self.crop, self.size = files, folder, crop, size

    def __call__(self, rows: Tensor) -> Observations:
        x = torch.stack([self._picture(self.files.filename[row]) for row in rows.tolist()])
        return {"x": x, "label": self.files.identity[rows, 0], "factors": self.files.attr[rows]}

    def _picture(self, name: str) -> Tensor:
        from PIL import Image
        from torchvision.transforms.functional import pil_to_tensor

        left, top = (WIDTH - self.crop) // 2, (HEIGHT - self.crop) // 2
        box = (left, top, left + self.crop, top + self.crop)
        with reading("CelebA", self.folder / name), Image.open(self.folder / name) as picture:
            if picture.size != (WIDTH, HEIGHT):
                raise ValueError(f"expected {WIDTH}x{HEIGHT} pixels, got {picture.size[0]}x{picture.size[1]}")
            square: Any = picture.convert("RGB").crop(box)
        resized = square.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return pil_to_tensor(resized)
