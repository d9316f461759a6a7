"""Sets with known factors, read from files of their layout."""

import numpy as np
import pytest
import torch
from scipy.io import savemat

from lsgen.data import MPI3D, Cars3D, Correlation, Shapes3D, SmallNorb

RNG = np.random.default_rng(0)
SIZES = {"val_size": 2, "test_size": 3}


def images(*size):
    return RNG.integers(0, 256, size, dtype=np.uint8)


def everything(data):
    """Return bytes, factors and labels of all splits, in the order of the rows."""
    parts = [data.dataset(split) for split in ("train", "val", "test")]
    rows = torch.cat([part.rows for part in parts])
    assert len(rows.unique()) == len(rows)
    batches = [part[torch.arange(len(part))] for part in parts]
    x, factors, label = (
        torch.cat([batch[name] for batch in batches])[rows.argsort()] for name in ("x", "factors", "label")
    )
    return (x * 255).round().to(torch.uint8).numpy(), factors.numpy(), label.numpy()


def levels(x):
    """Return the level of images of one level each."""
    assert (x == x[:, :1, :1, :1]).all()
    return x[:, 0, 0, 0]


@pytest.fixture
def rooms(tmp_path):
    """Write 24 rooms on a grid of 2 x 1 x 2 x 2 x 3 x 1 values, and return their images and classes."""
    h5py = pytest.importorskip("h5py", reason="pip install 'lsgen[h5]'")
    classes = np.stack(np.unravel_index(np.arange(24), (2, 1, 2, 2, 3, 1)), 1)
    written = images(24, 64, 64, 3)
    (tmp_path / "3dshapes").mkdir()
    with h5py.File(tmp_path / "3dshapes" / "3dshapes.h5", "w") as file:
        file["images"] = written
        file["labels"] = classes * [0.1, 0.1, 0.1, 0.25, 1.0, 30.0] + [0, 0, 0, 0.75, 0, -30]
    return written, classes


@pytest.mark.filterwarnings("ignore:.*is not the file that was published")
def test_shapes3d(tmp_path, monkeypatch, rooms):
    monkeypatch.setattr("lsgen.data.factors.shapes3d.CHUNK", 10)
    data = Shapes3D(root=str(tmp_path), **SIZES)
    x, factors, label = everything(data)
    assert np.array_equal(x, rooms[0].transpose(0, 3, 1, 2))
    assert np.array_equal(factors, rooms[1])
    assert np.array_equal(label, rooms[1][:, 4])
    monkeypatch.setattr(Shapes3D, "factor_sizes", (2, 1, 2, 2, 3, 1))
    near = Correlation("object_hue", "scale", sigma=0.1)
    pairs = Shapes3D(root=str(tmp_path), correlation=near, val_size=0, test_size=0).dataset("train")
    columns = pairs[torch.arange(len(pairs))]["factors"][:, [2, 3]]
    assert len(columns) == 24
    assert torch.equal(columns[:, 0], columns[:, 1])
    with pytest.raises(ValueError, match=r"expected correlated factors out of floor_hue, .*, got 'colour'"):
        Shapes3D(root=str(tmp_path), correlation=Correlation("colour", "scale"))


def test_another_file_than_the_published_one_is_said_once(tmp_path, rooms):
    with pytest.warns(UserWarning, match="3dshapes.h5 is not the file that was published: its md5 is"):
        Shapes3D(root=str(tmp_path), **SIZES).prepare_data()
    unpacked = tmp_path / "3dshapes" / "3dshapes.pictures"
    assert unpacked.stat().st_size >= 24 * 3 * 64 * 64
    inode = unpacked.stat().st_ino
    everything(Shapes3D(root=str(tmp_path), **SIZES))
    assert unpacked.stat().st_ino == inode


def test_cars3d(tmp_path, monkeypatch):
    """The stored axes are rows, columns, channels, azimuths and elevations."""
    monkeypatch.setattr(Cars3D, "factor_sizes", (4, 24, 2))
    (tmp_path / "cars").mkdir()
    for car in (0, 1):
        level = car * 100 + np.arange(24)[:, None] * 4 + np.arange(4)
        im = np.broadcast_to(level, (128, 128, 3, 24, 4)).astype(np.uint8)
        savemat(tmp_path / "cars" / f"car_{car:03d}_mesh.mat", {"im": im})
    x, factors, label = everything(Cars3D(root=str(tmp_path), **SIZES))
    assert x.shape == (2 * 24 * 4, 3, 64, 64)
    elevation, azimuth, car = factors.T
    assert np.array_equal(levels(x), car * 100 + azimuth * 4 + elevation)
    assert np.array_equal(label, car)
    assert len(np.unique(factors, axis=0)) == len(factors)
    (tmp_path / "cars" / "car_001_mesh.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected the Cars3D data at .*: unpack the 183 files"):
        Cars3D(root=str(tmp_path))


def write_matrix(file, array, magic):
    sizes = [*array.shape, *[1] * (3 - array.ndim)]
    header = np.array([magic, array.ndim, *sizes], "<i4").tobytes()
    file.write_bytes(header + array.astype("<i4" if magic == 0x1E3D4C54 else np.uint8).tobytes())


@pytest.fixture
def toys(tmp_path):
    """Write 8 images in two parts, whose left picture has the level of their number; return their columns."""
    folder = tmp_path / "small_norb"
    folder.mkdir()
    columns = np.column_stack([RNG.integers(0, size, 8) for size in (5, 10, 9, 18, 6)])
    for part, name in enumerate(("5x46789x9x18x6x2x96x96-training", "5x01235x9x18x6x2x96x96-testing")):
        rows = slice(4 * part, 4 * part + 4)
        pictures = np.broadcast_to(np.stack([np.arange(8), np.full(8, 99)], 1)[rows, :, None, None], (4, 2, 96, 96))
        info = columns[rows, 1:] * [1, 1, 2, 1]
        write_matrix(folder / f"smallnorb-{name}-dat.mat", pictures, 0x1E3D4C55)
        write_matrix(folder / f"smallnorb-{name}-cat.mat", columns[rows, 0], 0x1E3D4C54)
        write_matrix(folder / f"smallnorb-{name}-info.mat", info, 0x1E3D4C54)
    return columns


def test_small_norb(tmp_path, toys):
    data = SmallNorb(root=str(tmp_path), **SIZES)
    x, factors, label = everything(data)
    assert data.shape == (1, 64, 64)
    assert np.array_equal(levels(x), np.arange(8))
    assert np.array_equal(factors, toys[:, [0, 2, 3, 4]])
    assert np.array_equal(label, toys[:, 0])


def test_damaged_matrices(tmp_path, toys):
    file = tmp_path / "small_norb" / "smallnorb-5x01235x9x18x6x2x96x96-testing-dat.mat"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"expected 73728 values in .*-testing-dat\.mat, got a file of 73751 bytes"):
        SmallNorb(root=str(tmp_path), **SIZES).dataset("train")
    file.with_name(file.name.replace("dat", "cat")).write_bytes(b"<html></html>")
    with pytest.raises(ValueError, match=r"expected a matrix of bytes or integers in .*, got magic number 0x"):
        SmallNorb(root=str(tmp_path), **SIZES).dataset("train")


@pytest.mark.filterwarnings("ignore:.*is not the file that was published")
@pytest.mark.parametrize("sizes", [(2, 1, 2, 1, 1, 2, 2), (1, 2, 1, 1, 1, 3, 1)])
def test_mpi3d(tmp_path, monkeypatch, sizes):
    """The whole grid, or the one with fewer colours and shapes, which is told by the number of images."""
    monkeypatch.setattr("lsgen.data.factors.mpi3d.CHUNK", 5)
    monkeypatch.setattr("lsgen.data.factors.mpi3d.GRID", (2, 1, 2, 1, 1, 2, 2))
    monkeypatch.setattr("lsgen.data.factors.mpi3d.FEWER", (1, 2, 1, 1, 1, 3, 1))
    count = int(np.prod(sizes))
    written = images(count, 64, 64, 3)
    (tmp_path / "mpi3d").mkdir()
    np.savez(tmp_path / "mpi3d" / "mpi3d_real.npz", images=written)
    data = MPI3D(root=str(tmp_path), name="real", val_size=1, test_size=2)
    assert data.factor_sizes == sizes
    x, factors, label = everything(data)
    assert np.array_equal(x, written.transpose(0, 3, 1, 2))
    assert np.array_equal(factors, np.stack(np.unravel_index(np.arange(count), sizes), 1))
    assert np.array_equal(label, factors[:, 1])
    np.savez(tmp_path / "mpi3d" / "mpi3d_toy.npz", images=written[1:])
    with pytest.raises(ValueError, match=f"expected 16 or 6 images, got {count - 1}"):
        MPI3D(root=str(tmp_path))
    with pytest.raises(ValueError, match="expected MPI3D by the name toy, realistic or real, got 'sim'"):
        MPI3D(name="sim")


@pytest.mark.parametrize("kind", [Shapes3D, Cars3D, SmallNorb, MPI3D])
def test_files_that_are_missing(kind, tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=f"expected the {kind.title} data at .*{kind.folder}.*, found nothing: .* LSGEN_DATA_DIR",
    ):
        kind(root=str(tmp_path))
