"""Omniglot from files written here, and the counts of the real ones where they are."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lsgen.data import Loading, Omniglot
from lsgen.data.images.omniglot import background_characters, one_shot_runs


def _png(seed: int, side: int = 105) -> bytes:
    file = io.BytesIO()
    ink = np.random.default_rng(seed).random((side, side)) < 0.2
    Image.fromarray(~ink).save(file, "png")
    return file.getvalue()


def _written(root: Path, images: int = 20, side: int = 105) -> Path:
    folder = root / "omniglot"
    folder.mkdir(parents=True)
    for name, alphabets in (("small1", ("A", "B")), ("small2", ("B", "C"))):
        with zipfile.ZipFile(folder / f"images_background_{name}.zip", "w") as archive:
            for alphabet in alphabets:
                for character in (1, 2):
                    for drawer in range(1, images + 1):
                        place = f"images_background_{name}/{alphabet}/character{character:02d}/{drawer:04d}.png"
                        archive.writestr(place, _png(ord(alphabet) * 10_000 + character * 100 + drawer, side))
    with zipfile.ZipFile(folder / "all_runs.zip", "w") as archive:
        for run in range(1, 21):
            order = np.random.default_rng(run).permutation(20)
            folder = f"run{run:02d}"
            names = [(f"item{i + 1:02d}", f"class{order[i] + 1:02d}") for i in range(20)]
            lines = [f"{folder}/test/{item}.png {folder}/training/{chosen}.png" for item, chosen in names]
            archive.writestr(f"run{run:02d}/class_labels.txt", "\n".join(lines))
            for i in range(20):
                archive.writestr(f"run{run:02d}/training/class{i + 1:02d}.png", _png(1000 * run + i))
                archive.writestr(f"run{run:02d}/test/item{i + 1:02d}.png", _png(1000 * run + int(order[i])))
    return root


def test_splits_labels_and_groups(tmp_path: Path) -> None:
    """Alphabet B is in both files and counts once; a test image of these files equals the known one of its label."""
    root = str(_written(tmp_path))
    plain = Omniglot((1, 21, 21), root, val_alphabets=["C"], rotations=False)
    assert [len(plain.dataset(split)) for split in ("train", "val", "test")] == [80, 40, 800]
    turned = Omniglot((1, 21, 21), root, val_alphabets=["C"]).dataset("train")
    batch = turned[torch.arange(320)]
    assert batch["label"].bincount().tolist() == ([20, 20, 20, 20, 0, 0] * 4)[:22]
    assert torch.equal(batch["x"][240:320], batch["x"][:80].rot90(3, (2, 3)))
    assert batch["group"].unique().tolist() == [0, 1]
    test = plain.dataset("test")[torch.arange(800)]
    assert test["label"].bincount().tolist() == [2] * 400
    for label in (0, 57, 399):
        one, other = test["x"][test["label"] == label]
        assert torch.equal(one, other)
    assert torch.equal(test["group"].bincount(), torch.full((20,), 40))
    found = one_shot_runs(root, 21)
    assert torch.equal(found.asked[3], found.known[3, found.answers[3]])
    whole, small = (background_characters(root, "small", side).x for side in (105, 35))
    torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(whole, 3), atol=1 / 255, rtol=0)
    loader = Omniglot(
        (1, 21, 21), root, val_alphabets=["C"], batch_size=8, loading=Loading(per_class=4)
    ).train_dataloader()
    assert len(next(iter(loader))["label"].unique()) == 2


def test_files_that_are_missing_or_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected the Omniglot data at .*images_background_small1.zip, found"):
        Omniglot(root=str(tmp_path))
    root = _written(tmp_path / "few", images=3)
    with pytest.raises(ValueError, match=r"expected characters of 20 images each"):
        background_characters(str(root), "small", 35)
    (root / "omniglot" / "images_background.zip").write_bytes(b"another file")
    with pytest.raises(ValueError, match="with the md5 68d2efa1b9178cc56df9314c21c6e718, got"):
        background_characters(str(root), "full", 35)
    (root / "omniglot" / "all_runs.zip").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"expected the Omniglot data in .*all_runs.zip, got what is cut short"):
        one_shot_runs(str(root), 35)
    with pytest.raises(ValueError, match="expected shape"):
        Omniglot((1, 200, 200), str(root))
    with pytest.raises(ValueError, match='expected background "small" or "full", got'):
        Omniglot(root=str(root), background="all")  # type: ignore[arg-type]
    large = _written(tmp_path / "large", side=28)
    with pytest.raises(ValueError, match="expected images of 105 x 105 pixels, got 28 x 28"):
        background_characters(str(large), "small", 35)


def test_the_real_files_hold_what_is_said() -> None:
    root = os.environ.get("LSGEN_DATA_DIR", "data")
    if not (Path(root) / "omniglot" / "all_runs.zip").is_file():
        pytest.skip("Omniglot is not in LSGEN_DATA_DIR")
    found = background_characters(root, "small", 35)
    assert (len(found.x), int(found.label.max()) + 1, len(found.alphabets)) == (4840, 242, 8)
    with pytest.raises(ValueError, match=r"expected data.val_alphabets out of Balinese, .*, got Runes"):
        Omniglot(root=root, val_alphabets=["Runes"]).dataset("train")
