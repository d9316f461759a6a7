"""Files of data sets that are cut short, damaged or something else: one sentence that names the file."""

import io
import struct
import zipfile

import numpy as np
import pytest
import torch

from lsgen.data import CelebA, DSprites, Mnist
from lsgen.data.factors.dsprites import FILE

N = 12


def written_dsprites(root, images=None, classes=None, **more):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (N, 64, 64)).astype(np.uint8) if images is None else images
    classes = np.zeros((N, 6), np.int64) if classes is None else classes
    (root / "dsprites").mkdir(exist_ok=True)
    np.savez_compressed(root / "dsprites" / FILE, imgs=images, latents_classes=classes, **more)
    return root / "dsprites" / FILE


def read_dsprites(root):
    return DSprites(root=str(root), val_size=2, test_size=2).dataset("train")


def test_whole_dsprites_are_read(tmp_path):
    written_dsprites(tmp_path)
    assert len(read_dsprites(tmp_path)) == N - 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "File is not a zip file"),
        (b"<html>not found</html>", "File is not a zip file"),
        (lambda data: data[:-200], "File is not a zip file"),
        (lambda data: data[:500] + bytes(300) + data[800:], ""),
    ],
)
def test_dsprites_that_are_no_whole_archive(content, said, tmp_path):
    file = written_dsprites(tmp_path)
    file.write_bytes(content if isinstance(content, bytes) else content(file.read_bytes()))
    told = rf"expected the dSprites data in {file}, got what is cut short.*{said}.*get it again"
    with pytest.raises(ValueError, match=told):
        read_dsprites(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"images": np.zeros((N, 32, 32), np.uint8)},
            r"expected imgs of shape \(N, 64, 64\) in bytes, got \(12, 32, 32\)",
        ),
        ({"images": np.zeros((N, 64, 64), np.float32)}, "in bytes, got .* of float32"),
        ({"images": np.full((N, 64, 64), 255, np.uint8)}, "expected pixels of 0 and 1, got 255"),
        ({"images": np.zeros((0, 64, 64), np.uint8)}, r"got \(0, 64, 64\)"),
        ({"classes": np.zeros((N - 1, 6), np.int64)}, r"of 12 images, got latents_classes of shape \(11, 5\)"),
        ({"classes": np.full((N, 6), 40)}, "expected 5 classes below 3, 6, 40, 32, 32"),
    ],
)
def test_dsprites_of_other_shapes(arrays, said, tmp_path):
    written_dsprites(tmp_path, **arrays)
    with pytest.raises(ValueError, match=said):
        read_dsprites(tmp_path)


def test_dsprites_whose_array_ends_early(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array(header, np.zeros((N, 64, 64), np.uint8))
    (tmp_path / "dsprites").mkdir()
    with zipfile.ZipFile(tmp_path / "dsprites" / FILE, "w") as archive:
        archive.writestr("imgs.npy", header.getvalue()[: -3 * 64 * 64])
    with pytest.raises(ValueError, match="expected 12 images, got an end in image 9"):
        read_dsprites(tmp_path)


def idx(path, array, count=None, kind=8):
    shape = (array.shape[0] if count is None else count, *array.shape[1:])
    header = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (lambda path: path.write_bytes(b""), None),
        (lambda path: path.write_bytes(b"<html></html>"), None),
        (lambda path: idx(path, np.zeros((0, 28, 28)), count=10_000), None),
        (lambda path: idx(path, np.zeros((N, 28, 28)), count=N + 1), None),
        (lambda path: idx(path, np.zeros((N, 28, 28)), kind=3), None),
        (lambda path: idx(path, np.zeros((N, 32, 32))), None),
        (lambda path: idx(path, np.zeros((0, 28, 28))), None),
        (None, lambda path: path.write_bytes(b"")),
        (None, lambda path: idx(path, np.zeros(N - 1))),
        (None, lambda path: idx(path, np.full(N, 10))),
        (None, lambda path: idx(path, np.zeros((N, 1)))),
    ],
)
def test_idx_files_that_are_damaged(images, labels, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (images or (lambda path: idx(path, np.zeros((N, 28, 28)))))(raw / f"{part}-images-idx3-ubyte")
        (labels or (lambda path: idx(path, np.arange(N) % 10)))(raw / f"{part}-labels-idx1-ubyte")
    data = Mnist(root=str(tmp_path), val_size=2)
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=rf"expected the MNIST data in {raw}, got what is cut short"):
            data.dataset(split)


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """Return the folder of a small CelebA."""
    from PIL import Image

    monkeypatch.setattr("torchvision.datasets.celeba.check_integrity", lambda path, md5=None: True)
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06d}.png" for number in range(6)]
    for name in names:
        Image.new("RGB", (178, 218)).save(folder / "img_align_celeba" / name)
    rows = {
        "list_attr_celeba.txt": " ".join(["1"] * 40),
        "identity_CelebA.txt": "3",
        "list_bbox_celeba.txt": "0 0 1 1",
        "list_landmarks_align_celeba.txt": " ".join(["1"] * 10),
        "list_eval_partition.txt": "0",
    }
    for file, row in rows.items():
        header = f"6\n{' '.join(CelebA.factor_names)}\n" if file.startswith("list_attr") else ""
        header = header or ("6\nx y w h\n" if "bbox" in file or "landmarks" in file else "")
        (folder / file).write_text(header + "".join(f"{name} {row}\n" for name in names))
    return folder


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("list_eval_partition.txt", lambda text: ""),
        ("list_eval_partition.txt", lambda text: text[:-40]),
        ("list_eval_partition.txt", lambda text: text.replace(" 0", " 7")),
        ("list_eval_partition.txt", lambda text: "<html>\n"),
        ("identity_CelebA.txt", lambda text: text.splitlines()[0] + "\n"),
        ("list_attr_celeba.txt", lambda text: text.replace(" 1", " x")),
        ("list_attr_celeba.txt", lambda text: ""),
    ],
)
def test_celeba_text_that_is_damaged(file, change, faces):
    (faces / file).write_text(change((faces / file).read_text()))
    with pytest.raises(ValueError, match=rf"expected the CelebA data in {faces}.*get it again"):
        CelebA(root=str(faces.parent)).dataset("train")


def test_celeba_pictures_that_are_damaged(faces):
    from PIL import Image

    data = CelebA(root=str(faces.parent)).dataset("train")
    first, second = (faces / "img_align_celeba" / f"{number:06d}.png" for number in (0, 1))
    first.write_bytes(first.read_bytes()[:90])
    Image.new("RGB", (64, 64)).save(second)
    for row, file in enumerate((first, second)):
        with pytest.raises(ValueError, match=rf"expected the CelebA data in {file}, got what is cut short"):
            data[torch.tensor([row])]
    second.unlink()
    with pytest.raises(FileNotFoundError):
        data[torch.tensor([1])]
