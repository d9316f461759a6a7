"""Omniglot: handwritten characters of many alphabets, each drawn once by each of 20 people, and its one-shot task.

The task is that of 20 runs. In a run 20 characters of one alphabet are drawn by one person, one image each, and the
same characters by another person; each of the latter images is to be assigned to one of the former.

Reference: Lake, Salakhutdinov & Tenenbaum, "Human-level concept learning through probabilistic program induction"
(Science, 2015), https://github.com/brendenlake/omniglot.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from functools import cache
from hashlib import md5
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import AsStored
from lsgen.data.files import data_root, reading, require
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split

__all__ = ["Characters", "Omniglot", "OneShotRuns", "background_characters", "one_shot_runs"]

Background = Literal["small", "full"]
SIDE, RUNS, WAYS, DRAWERS = 105, 20, 20, 20
FILES: dict[str, tuple[str, ...]] = {
    "small": ("images_background_small1.zip", "images_background_small2.zip"),
    "full": ("images_background.zip",),
}
MD5 = {"images_background.zip": "68d2efa1b9178cc56df9314c21c6e718"}  # of torchvision; others are not published
ADVICE = "put the files of https://github.com/brendenlake/omniglot/tree/master/python there and set LSGEN_DATA_DIR"


class Characters(NamedTuple):
    """Images of characters.

    Attributes:
        x: ink from 0 to 1, float32 (N, S, S).
        label: number of the character, int64 (N,).
        group: number of its alphabet, int64 (N,).
        alphabets: names of the alphabets.

    """

    x: Tensor
    label: Tensor
    group: Tensor
    alphabets: tuple[str, ...]


class OneShotRuns(NamedTuple):
    """The 20 runs of the one-shot task.

    Attributes:
        known: images whose character is known, ink from 0 to 1, float32 (20, 20, S, S).
        asked: images to be assigned, (20, 20, S, S).
        answers: which known image is of the character of each, int64 (20, 20).

    """

    known: Tensor
    asked: Tensor
    answers: Tensor


@cache
def background_characters(root: str, background: str = "small", side: int = SIDE) -> Characters:
    """Return the characters to learn from, in order of alphabet and character; the same ones in every call.

    Args:
        root: directory of data sets; the files lie in "omniglot".
        background: "small", the reduced sets 1 and 2, whose common alphabets count once, or "full".
        side: S, to which images of 105 x 105 pixels are averaged.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged or another one.

    """
    found: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    for name in FILES[background]:
        file = _file(root, name)
        with reading("Omniglot", file):
            content: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
            with zipfile.ZipFile(file) as archive:
                for member in sorted(one for one in archive.namelist() if one.endswith(".png")):
                    alphabet, character = member.split("/")[-3:-1]
                    content.setdefault((alphabet, character), []).append(_ink(archive.read(member), side))
            if not content or any(len(images) != DRAWERS for images in content.values()):
                raise ValueError(f"expected characters of {DRAWERS} images each")
        found |= content
    alphabets = sorted({alphabet for alphabet, _ in found})
    keys = sorted(found)
    images = torch.from_numpy(np.stack([image for one in keys for image in found[one]]))
    label = torch.arange(len(keys)).repeat_interleave(DRAWERS)
    group = torch.tensor([alphabets.index(alphabet) for alphabet, _ in keys]).repeat_interleave(DRAWERS)
    return Characters(images, label, group, tuple(alphabets))


@cache
def one_shot_runs(root: str, side: int = SIDE) -> OneShotRuns:
    """Return the 20 runs of the one-shot task; the same ones in every call.

    Args:
        root: directory of data sets; the file lies in "omniglot".
        side: S, to which images of 105 x 105 pixels are averaged.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is damaged or another one.

    """
    file = _file(root, "all_runs.zip")
    known, asked = (np.zeros((RUNS, WAYS, side, side), dtype=np.float32) for _ in range(2))
    answers = torch.full((RUNS, WAYS), -1)
    with reading("Omniglot", file), zipfile.ZipFile(file) as archive:
        for run in range(RUNS):
            folder = f"run{run + 1:02d}"
            for line in archive.read(f"{folder}/class_labels.txt").decode().split("\n"):
                if line.strip():
                    item, chosen = (int(name[-6:-4]) - 1 for name in line.split())
                    answers[run, item] = chosen
            for i in range(WAYS):
                known[run, i] = _ink(archive.read(f"{folder}/training/class{i + 1:02d}.png"), side)
                asked[run, i] = _ink(archive.read(f"{folder}/test/item{i + 1:02d}.png"), side)
        if not torch.equal(answers.sort(1).values, torch.arange(WAYS).expand(RUNS, WAYS)):
            raise ValueError("expected one image to be assigned for every known one")
    return OneShotRuns(torch.from_numpy(known), torch.from_numpy(asked), answers)


class Omniglot(DataModule):
    """Characters (1, S, S) to learn from, characters of held-out alphabets for validation, the one-shot runs for test.

    The label is the character, and "group" its alphabet; in the test split the label counts the characters of all
    runs, of two images each, and "group" is the run.

    Args:
        shape: (1, S, S), the side S of 105 at most to which images are averaged.
        root: directory of data sets; the files lie in "omniglot".
        background: "small", 242 characters of 8 alphabets, or "full", those of 30 alphabets.
        val_alphabets: names of the alphabets held out for validation.
        rotations: whether characters turned by 90, 180 and 270 degrees are further characters to learn from.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range, or a file is damaged.
        FileNotFoundError: the data are not there.
        NotADirectoryError: root is not a directory.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = (1, 35, 35),
        root: str = "data",
        background: Background = "small",
        val_alphabets: Sequence[str] = ("Balinese",),
        rotations: bool = True,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        side = 35 if shape is None else int(tuple(shape)[-1])
        if not 1 <= side <= SIDE:
            raise ValueError(f"expected shape (1, S, S) with S from 1 to {SIDE}, got {tuple(shape or ())}")
        super().__init__(shape, (1, side, side), AsStored(None), batch_size, seed, loading)
        if background not in get_args(Background):
            raise ValueError(f'expected background "small" or "full", got {background!r}')
        self.root, self.background, self.side = str(data_root(root)), background, side
        self.val_alphabets, self.rotations = tuple(val_alphabets), rotations
        for name in (*FILES[background], "all_runs.zip"):
            require("Omniglot", [Path(self.root) / "omniglot" / name], ADVICE)

    def build(self, split: Split) -> BatchDataset:
        """Return the characters of a split."""
        if split == "test":
            runs = one_shot_runs(self.root, self.side)
            x = torch.cat([runs.known, runs.asked], 1).flatten(0, 1)
            number = torch.arange(RUNS)[:, None]
            label = torch.cat([torch.arange(WAYS).expand(RUNS, WAYS), runs.answers], 1) + WAYS * number
            group = number.expand_as(label)
            source = TensorSource(x=x[:, None], label=label.flatten(), group=group.flatten())
            return self.subset(source, torch.arange(len(x)), split, part=1)
        found = background_characters(self.root, self.background, self.side)
        if unknown := set(self.val_alphabets) - set(found.alphabets):
            names = ", ".join(found.alphabets)
            raise ValueError(f"expected data.val_alphabets out of {names}, got {', '.join(sorted(unknown))}")
        held = torch.tensor([name in self.val_alphabets for name in found.alphabets])[found.group]
        x, label, group = found.x[:, None], found.label, found.group
        turns = range(4) if self.rotations and split == "train" else range(1)
        source = TensorSource(
            x=torch.cat([x.rot90(turn, (2, 3)) for turn in turns]),
            label=torch.cat([label + turn * (int(label.max()) + 1) for turn in turns]),
            group=group.repeat(len(turns)),
        )
        kept = held if split == "val" else ~held
        return self.subset(source, kept.repeat(len(turns)).nonzero()[:, 0], split)


def _file(root: str, name: str) -> Path:
    file = data_root(root) / "omniglot" / name
    require("Omniglot", [file], ADVICE)
    if name in MD5 and (found := md5(file.read_bytes(), usedforsecurity=False).hexdigest()) != MD5[name]:
        raise ValueError(f"expected the Omniglot data in {file} with the md5 {MD5[name]}, got {found}: get it again")
    return file


def _ink(content: bytes, side: int) -> NDArray[np.float32]:
    """Return an image as ink from 0 to 1, averaged to a side."""
    image = Image.open(io.BytesIO(content)).convert("L")
    if image.size != (SIDE, SIDE):
        raise ValueError(f"expected images of {SIDE} x {SIDE} pixels, got {image.size[0]} x {image.size[1]}")
    if side != SIDE:
        image = image.resize((side, side), Image.Resampling.BOX)
    ink: NDArray[np.float32] = 1 - np.asarray(image, dtype=np.float32) / np.float32(255)
    return ink
