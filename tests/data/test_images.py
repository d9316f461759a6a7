"""Image sets read from files that have the layout of the real ones, and what is said when there are none."""

import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from lsgen.data import CelebA, Cifar10, Correlation, Digits, DSprites, FashionMnist, Labels, Mnist

TRAIN, TEST = 50, 20


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def idx_files(root, folder):
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    written = {}
    for part, size in (("train", TRAIN), ("t10k", TEST)):
        written[part] = rng.integers(0, 256, (size, 28, 28)), np.arange(size) % 10
        write_idx(raw / f"{part}-images-idx3-ubyte", written[part][0])
        write_idx(raw / f"{part}-labels-idx1-ubyte", written[part][1])
    return written


@pytest.mark.parametrize(("dataset", "folder"), [(Mnist, "MNIST"), (FashionMnist, "FashionMNIST")])
def test_idx_files_are_read_as_they_were_written(tmp_path, dataset, folder):
    written = idx_files(tmp_path, folder)
    data = dataset(root=str(tmp_path), val_size=5, binarise="none", batch_size=7)
    test = data.dataset("test")[torch.arange(TEST)]
    images, labels = written["t10k"]
    assert np.array_equal((test["x"][:, 0] * 255).round().numpy(), images)
    assert np.array_equal(test["label"].numpy(), labels)
    train = data.dataset("train")
    everything = train[torch.arange(len(train))]
    assert np.array_equal((everything["x"][:, 0] * 255).round().numpy(), written["train"][0][train.rows.numpy()])
    assert len(train) + len(data.dataset("val")) == TRAIN
    assert not set(train.rows.tolist()) & set(data.dataset("val").rows.tolist())


def test_mnist_is_binarised_and_fashion_mnist_grey_unless_told_otherwise(tmp_path):
    idx_files(tmp_path, "MNIST")
    idx_files(tmp_path, "FashionMNIST")
    assert Mnist(root=str(tmp_path)).values.kind == "binary"
    assert FashionMnist(root=str(tmp_path)).values.kind == "grey levels"


def test_all_training_images_can_be_trained_on(tmp_path):
    idx_files(tmp_path, "MNIST")
    data = Mnist(root=str(tmp_path), val_size=0)
    assert len(data.dataset("train")) == TRAIN
    assert torch.equal(data.probe(TEST, "val")["x"], data.probe(TEST, "test")["x"])


def test_fractions_and_too_many_held_out(tmp_path):
    idx_files(tmp_path, "MNIST")
    assert len(Mnist(root=str(tmp_path), val_size=0.1).dataset("val")) == TRAIN // 10
    with pytest.raises(ValueError, match=f"expected val_size between 0 and {TRAIN - 1}, for {TRAIN} .* got 5000"):
        Mnist(root=str(tmp_path)).setup("fit")


@pytest.mark.parametrize(("dataset", "folder"), [(Mnist, "MNIST"), (FashionMnist, "FashionMNIST")])
def test_some_classes_alone(tmp_path, dataset, folder):
    """Their images in the order of the files, in every split, and labels that keep their numbers."""
    images, labels = idx_files(tmp_path, folder)["t10k"]
    data = dataset(root=str(tmp_path), val_size=4, binarise="none", labelled=Labels(known=6, classes=[3, 4, 7]))
    test = data.dataset("test")[torch.arange(len(data.dataset("test")))]
    kept = np.isin(labels, [3, 4, 7])
    assert np.array_equal((test["x"][:, 0] * 255).round().numpy(), images[kept])
    assert test["label"].tolist() == [3, 4, 7] * (TEST // 10)
    train = data.dataset("train")[torch.arange(TRAIN // 10 * 3 - 4)]
    assert sorted(train["label"].unique().tolist()) == [-1, 3, 4, 7]
    assert (train["label"] >= 0).sum() == 6
    with pytest.raises(ValueError, match=r"expected classes out of 0, ..., 9, got \[3, 10\]"):
        dataset(root=str(tmp_path), labelled=Labels(classes=[3, 10]))


def test_some_scanned_digits_alone():
    data = Digits(labelled=Labels(classes=[5, 6]), val_size=20, test_size=30)
    parts = [data.dataset(part) for part in ("train", "val", "test")]
    assert sum(map(len, parts)) == 182 + 181  # as scikit-learn counts them
    assert not set(parts[0].rows.tolist()) & set(parts[2].rows.tolist())
    for part in parts:
        assert set(part[torch.arange(len(part))]["label"].tolist()) == {5, 6}


def cifar_files(root):
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    written = [(rng.integers(0, 256, (10, 3072), dtype=np.uint8), list(range(10))) for _ in names]
    for name, (pixels, labels) in zip(names, written, strict=True):
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    return written


def test_cifar_files_are_read_as_they_were_written(tmp_path, monkeypatch):
    written = cifar_files(tmp_path)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: True)
    data = Cifar10(root=str(tmp_path), val_size=0)
    pixels, labels = written[-1]
    batch = data.dataset("test")[torch.arange(10)]
    assert np.array_equal((batch["x"] * 255).round().numpy(), pixels.reshape(10, 3, 32, 32))
    assert batch["label"].tolist() == labels
    train = data.dataset("train")
    pixels = np.vstack([part for part, _ in written[:5]]).reshape(50, 3, 32, 32)
    assert np.array_equal((train[torch.arange(50)]["x"] * 255).round().numpy(), pixels[train.rows.numpy()])


PEOPLE = 12


def celeba_files(root):
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06d}.png" for number in range(1, PEOPLE + 1)]
    for number, name in enumerate(names):
        Image.new("RGB", (178, 218), (20 * number, 255 - 20 * number, 7)).save(folder / "img_align_celeba" / name)

    def table(file, rows, header=None):
        lines = [] if header is None else [str(PEOPLE), header]
        lines += [f"{name} {row}" for name, row in zip(names, rows, strict=True)]
        (folder / file).write_text("\n".join(lines) + "\n")

    attributes = [
        " ".join("1" if (number + column) % 3 == 0 else "-1" for column in range(40)) for number in range(PEOPLE)
    ]
    table("list_attr_celeba.txt", attributes, " ".join(CelebA.factor_names))
    table("identity_CelebA.txt", [100 + number for number in range(PEOPLE)])
    table("list_bbox_celeba.txt", ["0 0 1 1"] * PEOPLE, "x y w h")
    table("list_landmarks_align_celeba.txt", [" ".join(["1"] * 10)] * PEOPLE, " ".join("abcdefghij"))
    table("list_eval_partition.txt", [number % 3 for number in range(PEOPLE)])


def test_celeba_crops_resizes_and_knows_attributes(tmp_path, monkeypatch):
    celeba_files(tmp_path)
    monkeypatch.setattr("torchvision.datasets.celeba.check_integrity", lambda path, md5=None: True)
    data = CelebA(root=str(tmp_path), shape=(3, 16, 16))
    test = data.dataset("test")
    assert test.rows.tolist() == [2, 5, 8, 11]
    batch = test[torch.tensor([1, 3])]
    colours = torch.tensor([[100, 155, 7], [220, 35, 7]]) / 255
    torch.testing.assert_close(batch["x"], colours[:, :, None, None].expand(-1, -1, 16, 16))
    assert batch["label"].tolist() == [105, 111]
    expected = [[int((number + column) % 3 == 0) for column in range(40)] for number in (5, 11)]
    assert batch["factors"].tolist() == expected


def test_celeba_takes_the_central_square(tmp_path, monkeypatch):
    celeba_files(tmp_path)
    monkeypatch.setattr("torchvision.datasets.celeba.check_integrity", lambda path, md5=None: True)
    picture = np.zeros((218, 178, 3), np.uint8)
    picture[35:183, 15:163] = 255
    Image.fromarray(picture).save(tmp_path / "celeba" / "img_align_celeba" / "000003.png")
    data = CelebA(root=str(tmp_path), shape=(3, 74, 74))
    assert data.dataset("test")[torch.tensor([0])]["x"].min() == 1
    wider = CelebA(root=str(tmp_path), shape=(3, 74, 74), crop=150)
    assert wider.dataset("test")[torch.tensor([0])]["x"][0, 0, 0, 0] < 1


def test_celeba_is_square():
    with pytest.raises(ValueError, match=r"expected shape \(3, 64, 64\), which CelebA provides, got \(3, 48, 64\)"):
        CelebA(shape=(3, 48, 64), download=True)
    with pytest.raises(ValueError, match=r"crop between 1 and 178 pixels, got 200"):
        CelebA(crop=200, download=True)


def dsprites_file(root, images, classes):
    (root / "dsprites").mkdir()
    name = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    np.savez_compressed(root / "dsprites" / name, imgs=images, latents_classes=classes)


def test_dsprites_are_read_as_they_were_written(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (90, 64, 64), dtype=np.uint8)
    classes = np.column_stack([np.zeros(90), rng.integers(0, (3, 6, 40, 32, 32), (90, 5))]).astype(np.int64)
    dsprites_file(tmp_path, images, classes)
    monkeypatch.setattr("lsgen.data.factors.dsprites.CHUNK", 32)
    data = DSprites(root=str(tmp_path), val_size=10, test_size=20)
    for split, size in (("train", 60), ("val", 10), ("test", 20)):
        dataset = data.dataset(split)
        batch = dataset[torch.arange(size)]
        rows = dataset.rows.numpy()
        assert np.array_equal(batch["x"][:, 0].numpy(), images[rows])
        assert np.array_equal(batch["factors"].numpy(), classes[rows, 1:])
        assert np.array_equal(batch["label"].numpy(), classes[rows, 1])


def test_dsprites_with_correlated_factors(tmp_path):
    rng = np.random.default_rng(0)
    classes = np.column_stack([np.zeros(600), rng.integers(0, (3, 6, 40, 32, 32), (600, 5))]).astype(np.int64)
    dsprites_file(tmp_path, np.zeros((600, 64, 64), dtype=np.uint8), classes)
    plain = DSprites(root=str(tmp_path), val_size=50, test_size=50)
    data = DSprites(root=str(tmp_path), val_size=50, test_size=50, correlation=Correlation("shape", "scale", 0.1))
    rows = data.dataset("train").rows
    assert len(rows) == 500
    assert torch.isin(rows, plain.dataset("train").rows).all()
    assert torch.equal(data.dataset("val").rows, plain.dataset("val").rows)
    shape, scale = classes[rows.numpy(), 1], classes[rows.numpy(), 2]
    assert np.corrcoef(shape, scale)[0, 1] > 0.9
    with pytest.raises(ValueError, match=r"expected correlated factors out of shape, .*, got 'colour'"):
        DSprites(root=str(tmp_path), correlation=Correlation("shape", "colour"))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Mnist, "MNIST data at .*train-images-idx3-ubyte, found nothing: set LSGEN_DATA_DIR .* data.download=true"),
        (FashionMnist, "Fashion-MNIST data at .*FashionMNIST"),
        (Cifar10, "CIFAR-10 data at .*cifar-10-batches-py"),
        (CelebA, "CelebA data at .*img_align_celeba, found nothing: get .* LSGEN_DATA_DIR"),
        (DSprites, "dSprites data at .*npz, found nothing: download .* from https"),
    ],
)
def test_missing_data_are_said_to_be_missing(tmp_path, dataset, message):
    with pytest.raises(FileNotFoundError, match=message):
        dataset(root=str(tmp_path))


@pytest.mark.parametrize("dataset", [Mnist, FashionMnist, Cifar10, CelebA, DSprites])
def test_a_root_that_is_a_file_is_refused(tmp_path, dataset):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"expected LSGEN_DATA_DIR .* to be a directory, got .*file"):
        dataset(root=str(tmp_path / "file"))
