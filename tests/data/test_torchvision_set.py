"""Sets of torchvision read from files of their layout, with their own splits, as torchvision itself reads them."""

import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from lsgen.data import TorchvisionSet

RNG = np.random.default_rng(0)

try:
    import torchvision.datasets
except RuntimeError as error:  # wheels of torchvision that PyTorch's own wheels alone can load
    pytest.skip(f"torchvision cannot be loaded ({error})", allow_module_level=True)


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def images(*size):
    return RNG.integers(0, 256, size, dtype=np.uint8)


def read(data, split):
    dataset = data.dataset(split)
    batch = dataset[torch.argsort(dataset.rows)]
    return (batch["x"] * 255).round().to(torch.uint8), batch["label"].tolist()


@pytest.fixture
def root(tmp_path, monkeypatch):
    for module in ("cifar", "svhn", "flowers102", "omniglot"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda path, md5=None: True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "stem", "letters"),
    [
        ("KMNIST", "KMNIST/raw/{}-{}-idx{}-ubyte", 0),
        ("EMNIST/letters", "EMNIST/raw/emnist-letters-{}-{}-idx{}-ubyte", 1),
    ],
)
def test_files_as_those_of_mnist(root, name, stem, letters):
    written = {}
    for part, size in (("train", 12), ("test" if letters else "t10k", 5)):
        written[part] = images(size, 28, 28), np.arange(size) % 10 + letters
        write_idx(root / stem.format(part, "images", 3), written[part][0])
        write_idx(root / stem.format(part, "labels", 1), written[part][1])
    data = TorchvisionSet(name=name, root=str(root), val_size=3)
    assert data.shape == (1, 28, 28)
    x, labels = read(data, "test")
    assert np.array_equal(x[:, 0], written["test" if letters else "t10k"][0])
    assert labels == written["test" if letters else "t10k"][1].tolist()
    kept = torch.cat([data.dataset(split).rows for split in ("train", "val")])
    assert sorted(kept.tolist()) == list(range(12))
    assert np.array_equal(read(data, "val")[0][:, 0], written["train"][0][data.dataset("val").rows.sort().values])


def test_channels_that_come_first_or_last(root):
    folder = root / "cifar-100-python"
    folder.mkdir()
    pixels = images(4, 3072)
    for part in ("train", "test"):
        (folder / part).write_bytes(pickle.dumps({"data": pixels, "fine_labels": [3, 99, 0, 7]}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["a", "b"]}))
    x, labels = read(TorchvisionSet(name="CIFAR100", root=str(root)), "test")
    assert np.array_equal(x, pixels.reshape(4, 3, 32, 32))
    assert labels == [3, 99, 0, 7]
    svhn = images(32, 32, 3, 4)
    for part in ("train", "test"):
        savemat(root / f"{part}_32x32.mat", {"X": svhn, "y": np.array([[1], [10], [2], [3]])})
    x, labels = read(TorchvisionSet(name="SVHN", root=str(root)), "test")
    assert np.array_equal(x, svhn.transpose(3, 2, 0, 1))
    assert labels == [1, 0, 2, 3]
    grey = TorchvisionSet(name="SVHN", root=str(root), pictures={"channels": 1, "size": 16})
    assert read(grey, "test")[0].shape == (4, 1, 16, 16)


def test_files_of_several_sizes_and_a_validation_part_of_their_own(root):
    folder = root / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    for number in range(1, 10):
        picture = Image.new("RGB", (20 + number, 30), (20 * number, 0, 255 - 20 * number))
        picture.save(folder / "jpg" / f"image_{number:05d}.jpg", quality=100)
    savemat(folder / "imagelabels.mat", {"labels": np.arange(1, 10)[None]})
    savemat(folder / "setid.mat", {"trnid": [[1, 2, 3, 4]], "valid": [[5, 6]], "tstid": [[7, 8, 9]]})
    options = {"name": "Flowers102", "root": str(root)}
    with pytest.raises(ValueError, match=r"expected 21 x 30 pixels as in the first picture, got 22 x 30"):
        TorchvisionSet(**options).dataset("train")
    data = TorchvisionSet(**options, pictures={"size": 8})
    assert data.shape == (3, 8, 8)
    for split, numbers in (("train", [1, 2, 3, 4]), ("val", [5, 6]), ("test", [7, 8, 9])):
        x, labels = read(data, split)
        assert labels == [number - 1 for number in numbers]
        expected = torch.tensor([[20 * number, 0, 255 - 20 * number] for number in numbers])
        torch.testing.assert_close(x.float().mean((2, 3)), expected.float(), atol=3, rtol=0)


def test_what_has_no_parts_is_split_at_random():
    data = TorchvisionSet(name="FakeData", val_size=40, test_size=50)
    rows = torch.cat([data.dataset(split).rows for split in ("train", "val", "test")])
    assert sorted(rows.tolist()) == list(range(400))
    image, label = torchvision.datasets.FakeData(400, (3, 32, 32), 10)[int(data.dataset("test").rows[0])]
    batch = data.dataset("test")[torch.tensor([0])]
    assert np.array_equal((batch["x"][0] * 255).round().numpy(), np.asarray(image).transpose(2, 0, 1))
    assert batch["label"].item() == label


def test_what_is_missing_or_unknown_is_said(tmp_path):
    root = str(tmp_path)
    command = (
        r"KMNIST\('.*', train=True, download=True\); KMNIST\('.*', train=False, download=True\)\" gets it, or data"
    )
    with pytest.raises(
        FileNotFoundError, match=f"expected the KMNIST data in .*found nothing whole: python -c .*{command}"
    ):
        TorchvisionSet(name="KMNIST", root=root)
    with pytest.raises(FileNotFoundError, match=r"EMNIST\('.*', split='letters', train=True, download=True\)"):
        TorchvisionSet(name="EMNIST/letters", root=root)
    with pytest.raises(FileNotFoundError, match=r"FER2013 .* see torchvision's documentation for how to get it"):
        TorchvisionSet(name="FER2013", root=root)
    with pytest.raises(ValueError, match=r"expected a set of torchvision out of CIFAR10, .*, got 'Kinetics'"):
        TorchvisionSet(name="Kinetics")
    with pytest.raises(
        ValueError, match="expected KMNIST without a part, which it does not have, got 'KMNIST/letters'"
    ):
        TorchvisionSet(name="KMNIST/letters")


def test_every_set_that_is_offered_is_one_of_torchvision_and_takes_what_it_is_called_with():
    from inspect import signature

    from lsgen.data.images.torchvision_set import _PARTS, _VARIANTS

    for name, parts in _PARTS.items():
        parameters = signature(getattr(torchvision.datasets, name)).parameters
        called_with = {option for arguments in parts.values() for option in arguments}
        assert called_with <= set(parameters) or "kwargs" in parameters, name
        assert name not in _VARIANTS or _VARIANTS[name][0] in parameters
