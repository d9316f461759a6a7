"""Sets of Hugging Face from local files, as they were written."""

import sys
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from lsgen.data import HuggingFace, Loading

RNG = np.random.default_rng(0)


def bytes_of(batch):
    return (batch["x"] * 255).round().to(torch.uint8).numpy()


def read(data, split):
    dataset = data.dataset(split)
    return dataset[torch.argsort(dataset.rows)]


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    found = pytest.importorskip("datasets", reason="pip install 'lsgen[datasets]'")
    monkeypatch.setattr(found.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    found.disable_progress_bars()
    return found


def pictures(datasets, count):
    """Return pictures in colour with a class, and the set of them."""
    values, labels = RNG.integers(0, 256, (count, 5, 4, 3), dtype=np.uint8), [number % 2 for number in range(count)]
    features = datasets.Features({"img": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"img": [Image.fromarray(picture) for picture in values], "kind": labels}
    return values, datasets.Dataset.from_dict(rows, features=features)


def test_pictures_and_classes_of_a_parquet_file(tmp_path, datasets):
    values, written = pictures(datasets, 9)
    written.to_parquet(str(tmp_path / "few.parquet"))
    data = HuggingFace(path=str(tmp_path / "few.parquet"), val_size=2, test_size=3, batch_size=2)
    assert (data.shape, data.classes) == ((3, 5, 4), ("cat", "dog"))
    for split in ("train", "val", "test"):
        batch, rows = read(data, split), data.dataset(split).rows.sort().values
        assert np.array_equal(bytes_of(batch), values[rows].transpose(0, 3, 1, 2))
        assert torch.equal(batch["label"], rows % 2)
    smaller = HuggingFace(path=str(tmp_path / "few.parquet"), pictures={"size": 2, "channels": 1})
    assert read(smaller, "train")["x"].shape[1:] == (1, 2, 2)
    worker = HuggingFace(path=str(tmp_path / "few.parquet"), val_size=2, test_size=3, batch_size=2, loading=Loading(1))
    for mine, theirs in zip(data.train_dataloader(), worker.train_dataloader(), strict=True):
        assert torch.equal(mine["x"], theirs["x"])


def test_splits_of_a_folder_that_was_saved(tmp_path, datasets):
    parts = {name: pictures(datasets, count) for name, count in (("train", 6), ("validation", 3), ("test", 2))}
    datasets.DatasetDict({name: part[1] for name, part in parts.items()}).save_to_disk(str(tmp_path / "saved"))
    data = HuggingFace(path=str(tmp_path / "saved"))
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        assert np.array_equal(bytes_of(read(data, split)), parts[name][0].transpose(0, 3, 1, 2))


def test_numbers_of_one_shape(tmp_path, datasets):
    values = RNG.normal(size=(8, 3)).astype(np.float32)
    columns = {"x": values.tolist(), "label": list(range(8)), "other": [[0]] * 7 + [[0, 1]], "word": ["a"] * 8}
    datasets.Dataset.from_dict(columns).to_parquet(str(tmp_path / "data.parquet"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "data.parquet").rename(tmp_path / "folder" / "train.parquet")
    path = str(tmp_path / "folder")
    data = HuggingFace(path=path, val_size=2, test_size=0)
    batch = read(data, "train")
    rows = data.dataset("train").rows.sort().values
    assert np.array_equal(batch["x"].numpy(), values[rows])
    assert torch.equal(batch["label"], rows.to(torch.int64))
    for x, label, sentence in (
        (None, "word", "expected classes or whole numbers in the column 'word', got Value"),
        ("y", None, "expected columns.x out of x, label, other, word, got 'y'"),
        ("word", None, "expected pictures, or arrays of numbers of one shape, in the column 'word'"),
        ("x", "word", "expected classes or whole numbers in the column 'word', got Value"),
        ("other", None, r"expected numbers of shape \(1,\) in every row of 'other', got shape \(2,\) in row 7"),
    ):
        with pytest.raises(ValueError, match=sentence):
            read(HuggingFace(path=path, columns={"x": x, "label": label}, val_size=0, test_size=0), "train")


def test_gaps_are_found_before_a_batch_is_read(tmp_path, datasets):
    def refused(rows, sentence, columns=None):
        datasets.Dataset.from_dict(rows, **(columns or {})).save_to_disk(str(tmp_path / "saved"))
        data = HuggingFace(path=str(tmp_path / "saved"), val_size=0, test_size=0)
        with pytest.raises(ValueError, match=sentence):
            data.dataset("train")

    numbers = RNG.normal(size=(6, 3)).tolist()
    nested = datasets.Features({"x": datasets.Array2D((2, 2), "float32")})
    gap, cut = [[*row] for row in numbers], [*numbers[:4], numbers[4][:2], numbers[5]]
    gap[3][1] = None
    refused({"x": gap}, r"finite numbers in the column 'x', got nan in row 3 of train, position \(1,\)")
    gap[3][1] = 1e39
    refused({"x": gap}, r"got inf in row 3 of train, position \(1,\)")
    refused({"x": cut}, r"numbers of shape \(3,\) in every row of 'x', got shape \(2,\) in row 4 of train")
    refused({"x": [*numbers[:5], None]}, "got none in row 5 of train")
    refused({"x": [[[1.0, float("inf")], [0.0, 0.0]]] * 2}, r"row 0 of train, position \(0, 1\)", {"features": nested})
    image = Image.new("L", (2, 2))
    features = datasets.Features({"x": datasets.Image()})
    refused({"x": [image, image, None]}, "a picture in every row of 'x', got none in row 2", {"features": features})
    refused(
        {"x": numbers, "label": [0, 1, -7, 0, 1, 0]}, "expected classes from 0 in 'label', got -7 in row 2 of train"
    )
    buffer = BytesIO()
    image.save(buffer, "PNG")
    files = [{"bytes": content, "path": None} for content in (buffer.getvalue(), b"nothing")]
    datasets.Dataset.from_dict({"x": files}, features=features).save_to_disk(str(tmp_path / "broken"))
    train = HuggingFace(path=str(tmp_path / "broken"), val_size=0, test_size=0).dataset("train")
    with pytest.raises(ValueError, match="expected a picture in row 1 of the column 'x', got what is cut short"):
        train[torch.arange(2)]
    with pytest.raises(ValueError, match="expected columns to be a mapping with some of x, label, got 'x'"):
        HuggingFace(path=str(tmp_path / "broken"), columns="x")


def test_what_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="expected columns for x and label, got y"):
        HuggingFace(columns={"y": "z"})
    assert HuggingFace().dataset("val")[torch.arange(5)]["x"].shape == (5, 1, 8, 8)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"expected the package datasets: pip install 'lsgen\[datasets\]'"):
        HuggingFace(path=str(tmp_path))


def test_splits_with_other_columns_and_rows_without_numbers_are_refused(tmp_path, datasets):
    _, written = pictures(datasets, 6)
    kind = written.features["kind"]
    others = {
        "order": written.cast_column("kind", datasets.ClassLabel(names=kind.names[::-1])),
        "none": written.remove_columns("kind"),
    }
    for name, other in others.items():
        datasets.DatasetDict(train=written, test=other).save_to_disk(str(tmp_path / name))
        with pytest.raises(ValueError, match="'kind' of the test split to be that of the training split"):
            HuggingFace(path=str(tmp_path / name))
    empty = {"img": [None, Image.new("L", (2, 2)), None], "kind": [0, 1, 0]}
    first = {"img": [Image.new("L", (2, 2))] * 2 + [None], "kind": [0, 1, 0]}
    for rows in (empty, first):
        datasets.Dataset.from_dict(rows, features=written.features).save_to_disk(str(tmp_path / "gaps"))
        with pytest.raises(ValueError, match="a picture in every row"):
            HuggingFace(path=str(tmp_path / "gaps"), val_size=0, test_size=0).dataset("train")[torch.arange(3)]
    for rows, said in (
        ({"x": [[1.0, float("nan")]] * 9}, "finite numbers"),
        ({"x": [[1.0]] * 9, "label": ["a"] * 9}, "whole numbers"),
    ):
        datasets.Dataset.from_dict(rows).to_parquet(str(tmp_path / "few.parquet"))
        with pytest.raises(ValueError, match=said):
            HuggingFace(path=str(tmp_path / "few.parquet")).dataset("train")
    (tmp_path / "few.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"few\.parquet, got what is cut short, damaged"):
        HuggingFace(path=str(tmp_path / "few.parquet"))
