"""Files of every format give what was written into them; splits, classes and refusals."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from lsgen.data import Arrays, Loading
from lsgen.data.splits import resolve_size

N = 40
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (N, 6, 5, 3), dtype=np.uint8)
TABLE = RNG.normal(size=(N, 3))
KINDS = np.array(["cat", "dog"] * (N // 2))
NAMES = np.array([["cat", "dog", ""][i % 3] for i in range(N)])


def rows(data, split):
    dataset = data.dataset(split)
    return dataset.rows.long(), dataset[torch.arange(len(dataset))]


def everything(data):
    """Return all observations of a data set in the order of its file, by entry."""
    parts = [rows(data, split) for split in ("train", "val", "test")]
    order = torch.cat([part for part, _ in parts]).argsort()
    return {name: torch.cat([batch[name] for _, batch in parts])[order] for name in parts[0][1]}


def write(path, arrays):
    if path.suffix == ".npy":
        np.save(path, arrays["x"])
    elif path.name.endswith("packed.npz"):
        np.savez_compressed(path, **arrays)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".pt":
        torch.save({name: torch.from_numpy(values) for name, values in arrays.items()}, path)
    elif path.suffix == ".h5":
        with pytest.importorskip("h5py").File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    else:
        columns = {f"c{k}": arrays["x"][:, k] for k in range(arrays["x"].shape[1])}
        columns |= {name: values for name, values in arrays.items() if name != "x"}
        if path.suffix == ".csv":
            with path.open("w", newline="") as file:
                writer = csv.writer(file, delimiter=";")
                writer.writerow(columns)
                writer.writerows(zip(*columns.values(), strict=True))
        else:
            pa = pytest.importorskip("pyarrow")
            from pyarrow.parquet import write_table

            write_table(pa.table(columns), path)
    return str(path)


FORMATS = ["a.npy", "a.npz", "packed.npz", "a.pt", "a.h5", "a.csv", "a.parquet"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_back_what_was_written(name, tmp_path):
    labels = np.arange(N) % 4
    data = Arrays(path=write(tmp_path / name, {"x": TABLE, "label": labels}))
    found = everything(data)
    assert data.shape == (3,)
    assert found["x"].dtype == torch.float32
    torch.testing.assert_close(found["x"], torch.from_numpy(TABLE).float(), rtol=1e-6, atol=0)
    assert name == "a.npy" or torch.equal(found["label"], torch.from_numpy(labels))
    shuffled = torch.tensor([7, 3, 7, 0])
    assert torch.equal(data.dataset("train")[shuffled]["x"], rows(data, "train")[1]["x"][shuffled])


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "packed.npz", "a.pt", "a.h5"])
def test_images_of_bytes_are_scaled_and_get_their_channels_first(name, tmp_path):
    data = Arrays(path=write(tmp_path / name, {"x": IMAGES}))
    assert data.shape == (3, 6, 5)
    assert data.values.levels == 256
    expected = torch.from_numpy(IMAGES).double().permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(everything(data)["x"].double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pt"])
def test_what_can_be_mapped_is_not_read(name, tmp_path):
    data = Arrays(path=write(tmp_path / name, {"x": IMAGES[..., :1]}))
    assert data.shape == (1, 6, 5)
    data.dataset("train")
    assert str(tmp_path / name) in Path("/proc/self/maps").read_text()


def test_grey_images_columns_and_other_levels(tmp_path):
    black = write(tmp_path / "b.npy", {"x": (IMAGES[..., 0] > 99).astype(np.uint8)})
    with pytest.raises(ValueError, match=r"bytes from 0 to 255 .*b.npy, got none above 1: data.numbers.levels=2"):
        Arrays(path=black).dataset("val")
    data = Arrays(path=black, numbers={"levels": 2})
    assert (data.shape, data.values.kind) == ((1, 6, 5), "binary")
    assert torch.equal(everything(data)["x"][:, 0], torch.from_numpy(IMAGES[..., 0] > 99).float())
    path = write(tmp_path / "c.csv", {"x": TABLE, "label": NAMES})
    assert Arrays(path=path, keys={"x": "c1"}).shape == (1,)
    chosen = everything(Arrays(path=path, keys={"x": ["c2", "c0"]}))["x"]
    torch.testing.assert_close(chosen, torch.from_numpy(TABLE[:, [2, 0]]).float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.csv", "a.parquet"])
def test_classes_of_text_keep_their_names_and_empty_ones_are_unknown(name, tmp_path):
    labels = NAMES.astype("S") if name == "a.h5" else NAMES
    data = Arrays(path=write(tmp_path / name, {"x": TABLE, "label": labels}))
    expected = [{"cat": 0, "dog": 1, "": -1}[one] for one in NAMES.tolist()]
    assert everything(data)["label"].tolist() == expected
    assert data.label_names == ("cat", "dog")


def test_labels_may_lie_in_a_file_of_their_own(tmp_path):
    path, labels = (write(tmp_path / f"{name}.npy", {"x": x}) for name, x in (("a", TABLE), ("b", NAMES)))
    data = Arrays(path=path, keys={"label": labels})
    assert everything(data)["label"].tolist() == [i % 3 if i % 3 < 2 else -1 for i in range(N)]


def test_factors_are_numbered_by_their_values(tmp_path):
    factors = np.stack([np.arange(N) % 3 * 10.5, np.arange(N) % 2 - 1.0], 1)
    data = Arrays(path=write(tmp_path / "a.npz", {"images": IMAGES, "factors": factors, "y": np.arange(N)}))
    assert (data.factor_names, data.factor_sizes) == (("factor_0", "factor_1"), (3, 2))
    assert everything(data)["factors"].tolist() == [[i % 3, i % 2] for i in range(N)]
    path = write(tmp_path / "a.csv", {"x": TABLE[:, :1], "size": factors[:, 0], "sex": NAMES})
    data = Arrays(path=path, keys={"factors": ["sex", "size"]})
    assert (data.shape, data.factor_names, data.factor_sizes) == ((1,), ("sex", "size"), (3, 3))
    path = write(tmp_path / "b.csv", {"x": TABLE[:, :1], "size": np.arange(N) % 12, "sex": NAMES})  # 10 after 9
    found = everything(Arrays(path=path, keys={"factors": ["sex", "size"]}))["factors"]
    assert found[:, 1].tolist() == [i % 12 for i in range(N)]


def test_columns_are_standardised_by_the_training_rows_alone(tmp_path):
    constant = np.column_stack([TABLE * [1, 100, 1e-3] + 7, np.full(N, 3.0)])
    data = Arrays(path=write(tmp_path / "a.npy", {"x": constant}), numbers={"standardise": True})
    chosen, batch = rows(data, "train")
    torch.testing.assert_close(batch["x"].mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch["x"].std(0, correction=0), torch.tensor([1.0, 1, 1, 0]))
    seen = torch.from_numpy(constant)[chosen]
    chosen, batch = rows(data, "val")
    expected = (torch.from_numpy(constant)[chosen] - seen.mean(0))[:, :3] / seen.std(0, correction=0)[:3]
    torch.testing.assert_close(batch["x"][:, :3], expected.float())
    images = Arrays(path=write(tmp_path / "b.npy", {"x": IMAGES}), numbers={"standardise": True})
    x = rows(images, "train")[1]["x"].double()
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.var((0, 2, 3), correction=0), torch.ones(3).double())


def test_a_nan_is_refused_with_its_place_or_a_value_that_is_missing(tmp_path):
    gaps = TABLE.copy()
    gaps[17, 1] = gaps[3, 2] = np.nan
    path = write(tmp_path / "a.csv", {"x": gaps})
    with pytest.raises(ValueError, match=r'a.csv \(data.missing=mask .*got nan in row 3, column "c2"'):
        Arrays(path=path).dataset("val")
    found = everything(Arrays(path=path, missing="mask", numbers={"standardise": True}))
    assert torch.equal(found["observed"], torch.from_numpy(~np.isnan(gaps)))
    seen = Arrays(path=path, missing="mask", numbers={"standardise": True}, splits={"val_size": 0, "test_size": 0})
    x = everything(seen)["x"].numpy()
    np.testing.assert_allclose(x, (gaps - np.nanmean(gaps, 0)) / np.nanstd(gaps, 0), rtol=1e-5, atol=1e-6)
    gaps[5] = np.inf
    with pytest.raises(ValueError, match=r"finite numbers .*, got inf in row 5"):
        Arrays(path=write(tmp_path / "a.npy", {"x": gaps}), missing="mask").dataset("train")


def test_groups_are_never_torn_apart_and_a_column_decides(tmp_path):
    patients = np.array(["p", "q", "r", "s", "t"])[np.arange(N) * 5 // N]
    path = write(tmp_path / "a.npz", {"x": TABLE, "patient": patients})
    found = []
    for seed in range(4):
        data = Arrays(path=path, splits={"group": "patient"}, loading=Loading(split_seed=seed))
        parts = {split: set(patients[rows(data, split)[0]]) for split in ("train", "val", "test")}
        assert sorted(patient for part in parts.values() for patient in part) == ["p", "q", "r", "s", "t"]
        assert len(parts["val"]) == len(parts["test"]) == 1  # a tenth of the rows is less than a group
        found.append(frozenset(parts["val"]))
    assert len(set(found)) > 1
    split = np.array(["train", "test", "val", "train"])[np.arange(N) % 4]
    data = Arrays(path=write(tmp_path / "b.csv", {"x": TABLE, "fold": split}), splits={"column": "fold"})
    assert data.shape == (3,)
    assert rows(data, "val")[0].tolist() == list(range(2, N, 4))
    assert rows(data, "train")[0].tolist() == [i for i in range(N) if i % 4 in (0, 3)]


def test_splits_in_files_of_their_own(tmp_path):
    train = write(tmp_path / "a.npz", {"x": TABLE[:20], "label": NAMES[:20]})
    test = write(tmp_path / "t.npz", {"x": TABLE[20:], "label": np.array(["eel"] * 20)})
    data = Arrays(path=train, splits={"test_path": test, "val_size": 4})
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [16, 4, 20]
    torch.testing.assert_close(rows(data, "test")[1]["x"], torch.from_numpy(TABLE[20:]).float())
    assert data.label_names == ("cat", "dog", "eel")
    assert set(rows(data, "test")[1]["label"].tolist()) == {2}
    other = write(tmp_path / "b.npz", {"x": TABLE[:, :2], "label": NAMES})
    with pytest.raises(ValueError, match=r"rows of shape \(3,\) in .*b.npz, as in .*a.npz, got \(2,\)"):
        Arrays(path=train, splits={"val_path": other})


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"a": TABLE, "b": IMAGES}, {}, r"keys.x to say which .*a \(40, 3\) of float64, b \(40, 6, 5, 3\) of uint8"),
        ({"x": TABLE, "y": NAMES, "label": NAMES}, {}, "keys.label to choose between label and y"),
        ({"x": TABLE}, {"keys": {"label": "kind"}}, r'the label "kind" among x \(40, 3\) of float64 in'),
        ({"x": TABLE, "y": NAMES[:7]}, {}, r'expected 40 rows in "y" \(label\), .* got 7'),
        ({"x": TABLE, "y": TABLE[:, 0]}, {}, 'classes that are whole numbers from 0 or text in "y", got .* in row 0'),
        ({"x": NAMES}, {}, "observations that are real numbers .*, got <U3"),
        ({"x": TABLE}, {"keys": {"lable": "y"}}, "keys to be a mapping with some of x, label, factors, got lable"),
        ({"x": TABLE}, {"missing": "drop"}, 'missing to be "refuse" or "mask", got \'drop\''),
        ({"x": TABLE}, {"numbers": {"dequantise": True}}, "data.numbers.levels, as the data are float64 and not bytes"),
        ({"x": TABLE}, {"numbers": {"levels": 4}}, "whole numbers below 4 in .*, got .* in row 0, position"),
        ({"x": TABLE}, {"numbers": {"levels": 4, "standardise": True}}, "standardise without levels"),
        ({"x": TABLE}, {"splits": {"column": "x", "group": "x"}}, "splits to have column or group, got both"),
        ({"x": TABLE, "g": NAMES}, {"splits": {"column": "g"}}, 'a splits.column for each row in "g", got none'),
        ({"x": TABLE, "g": KINDS}, {"splits": {"column": "g"}}, "splits that are called train, val and test, got ca"),
        ({"x": TABLE, "g": NAMES}, {"splits": {"group": "g"}}, 'a splits.group for each row in "g", got none in row'),
        ({"x": TABLE, "g": TABLE}, {"splits": {"group": "g"}}, r"one splits.group for each row in \"g\", .* \(3,\)"),
        ({"x": TABLE, "factors": TABLE[:, :0]}, {}, r"expected factors \(N, K\) in .*, got K = 0"),
        ({"x": TABLE, "y": np.array([b"\xff"] * N)}, {}, 'expected text in UTF-8 in "y"'),
        ({"x": TABLE * np.nan}, {"missing": "mask"}, "expected some value in .* that is observed, got NaN alone"),
        ({"x": TABLE * 1e300}, {}, "finite numbers in .*, within the range of float32, got -?inf in row 0"),
        (
            {"x": TABLE, "g": np.arange(N) % 3},
            {"splits": {"group": "g", "val_size": 0.9, "test_size": 0.05}},
            "sizes that leave one of 3 groups for each split, got val_size = 0.9 and test_size = 0.05",
        ),
        ({"x": TABLE[:, 0], "g": np.zeros(N)}, {"splits": {"group": "g"}}, "at least 3 groups, .* got 1"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(arrays, options, message, tmp_path):
    path = write(tmp_path / "a.npz", arrays)
    with pytest.raises(ValueError, match=message):
        Arrays(path=path, **options).dataset("train")


def test_files_that_are_none_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"ends in .npy, .npz, .pt, .h5, .csv, .parquet, got a.txt"):
        Arrays(path="a.txt")
    for name in ("a.npy", "a.csv"):
        with pytest.raises(FileNotFoundError, match=f"a file of arrays, found nothing at .*{name}"):
            Arrays(path=str(tmp_path / name))
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match=r"arrays data in .*b.npz, got what is cut short, damaged"):
        Arrays(path=str(tmp_path / "b.npz"))
    (tmp_path / "c.csv").write_text("1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"first line of .*c.csv to name its columns"):
        Arrays(path=str(tmp_path / "c.csv"))
    (tmp_path / "d.csv").write_text("a,b\n3,4\n5\n")
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 columns"):
        Arrays(path=str(tmp_path / "d.csv")).dataset("train")
    (tmp_path / "e.csv").write_text("a,name\n3,me\n5,you\n")
    with pytest.raises(
        ValueError, match=r'numbers in column "name" of .*e.csv, got \'me\' in row 0: data.keys.x lists'
    ):
        Arrays(path=str(tmp_path / "e.csv")).dataset("train")


# what newcomers have


@pytest.mark.parametrize("header", ["", "Unnamed: 0"])
def test_an_index_among_the_columns_is_no_observation(tmp_path, header):
    (tmp_path / "own.csv").write_text(f"{header},a\n" + "".join(f"{i},{i % 3}\n" for i in range(20)))
    with pytest.raises(ValueError, match=r"as of an index that was written with them: data.keys.x lists"):
        Arrays(path=str(tmp_path / "own.csv"))
    assert everything(Arrays(path=str(tmp_path / "own.csv"), keys={"x": ["a"]}))["x"][:4, 0].tolist() == [0, 1, 2, 0]


def test_blank_lines_at_the_end_of_a_table_are_left_out_and_others_refused(tmp_path):
    lines = [f"{i},{i % 3}\n" for i in range(20)]
    (tmp_path / "own.csv").write_text("a,b\n" + "".join(lines) + "\n  \n")
    assert everything(Arrays(path=str(tmp_path / "own.csv")))["x"][:, 0].tolist() == list(range(20))
    (tmp_path / "own.csv").write_text("a,b\n" + "\n".join(lines))
    with pytest.raises(ValueError, match="blank lines before row 2"):
        Arrays(path=str(tmp_path / "own.csv")).dataset("train")
    (tmp_path / "own.csv").write_bytes(b"\xff\xfea,b\n")
    with pytest.raises(ValueError, match=r"own\.csv, got what is cut short, damaged or something else"):
        Arrays(path=str(tmp_path / "own.csv"))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros((0, 4), np.uint8)}, r"\(N, ...\) in .*, got x of shape \(0, 4\)"),
        ({"x": np.zeros((20, 0))}, r"got x of shape \(20, 0\)"),
        ({"x": np.float64(3)}, r"got x of shape \(\)"),
        ({"x": TABLE, "label": np.int64(3)}, 'expected 40 rows in "label"'),
        ({"x": TABLE, "label": np.where(np.arange(N) == 7, np.inf, 1)}, "got inf in row 7"),
        ({"x": TABLE, "label": np.full(N, 2**64 - 1, np.uint64)}, "in row 0"),
        ({"x": TABLE, "factors": np.where(TABLE > 0, np.nan, 1)}, "a value of every factor"),
        ({"x": 2**40 + np.arange(N * 3).reshape(N, 3)}, r"become equal, position \(0,\): data.numbers.standardise"),
        ({"x": 1e9 + np.where(np.arange(3) == 2, TABLE, 0)}, r"become equal, position \(2,\)"),
    ],
)
def test_arrays_that_would_give_wrong_numbers_are_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(ValueError, match=said):
        Arrays(path=str(tmp_path / "own.npz")).dataset("train")


def test_large_numbers_that_are_standardised_keep_their_differences(tmp_path):
    np.save(tmp_path / "own.npy", 2**40 + np.arange(N))
    x = everything(Arrays(path=str(tmp_path / "own.npy"), numbers={"standardise": True}))["x"][:, 0]
    assert torch.allclose(x.diff(), x.diff()[0])
    assert x.diff()[0] > 0.05


def test_files_of_their_own_do_not_share_labels_rows_or_groups(tmp_path):
    x, y, own = (str(tmp_path / f"{name}.npy") for name in ("x", "y", "own"))
    for file, values in ((x, TABLE), (y, np.arange(N)), (own, TABLE)):
        np.save(file, values)
    with pytest.raises(ValueError, match=r"expected the label of .* by one name that both hold"):
        Arrays(path=x, keys={"label": y}, splits={"test_path": own})
    with pytest.raises(ValueError, match=r"a file of its own for data.splits.test_path, got .* twice"):
        Arrays(path=x, splits={"test_path": x})
    np.savez(tmp_path / "a.npz", x=TABLE, patient=np.arange(N) // 4)
    np.savez(tmp_path / "b.npz", x=TABLE, patient=np.arange(N) // 4 + 9)
    data = Arrays(path=str(tmp_path / "a.npz"), splits={"group": "patient", "test_path": str(tmp_path / "b.npz")})
    with pytest.raises(ValueError, match=r"groups of their own in .*, got 9 in"):
        data.dataset("train")


@pytest.mark.parametrize(
    "options",
    [
        {"numbers": {"levels": 2.5}},
        {"numbers": {"levels": "many"}},
        {"numbers": {"standardise": "no"}},
        {"keys": {"x": []}},
        {"keys": {"label": 3}},
    ],
)
def test_options_of_another_type_are_refused(options):
    with pytest.raises(ValueError, match=r"expected data\.(numbers|keys)\.\w+ to be"):
        Arrays(**options)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "packed.npz", "a.pt", "a.h5", "a.csv"])
@pytest.mark.parametrize("x", [TABLE, IMAGES, IMAGES[..., 0]])
def test_a_worker_that_is_started_anew_reads_the_same(tmp_path, name, x):
    if name == "a.csv" and x.ndim > 2:
        return
    train = Arrays(path=write(tmp_path / name, {"x": x})).dataset("train")
    theirs = pickle.loads(pickle.dumps(train))
    assert torch.equal(theirs[torch.arange(20)]["x"], train[torch.arange(20)]["x"])


@pytest.mark.parametrize("label", [np.full(N, np.nan), np.full(N, "")])
@pytest.mark.parametrize(("classes", "names"), [(np.arange(N) % 3, ()), (np.array(["b", "a"] * (N // 2)), ("a", "b"))])
def test_a_test_file_without_classes_leaves_those_of_training_as_they_are(tmp_path, classes, names, label):
    np.savez(tmp_path / "a.npz", x=TABLE, label=classes)
    np.savez(tmp_path / "b.npz", x=TABLE, label=label)
    data = Arrays(path=str(tmp_path / "a.npz"), splits={"test_path": str(tmp_path / "b.npz"), "val_size": 0})
    chosen, batch = rows(data, "train")
    expected = classes if not names else np.searchsorted(names, classes)
    assert (data.label_names, batch["label"].tolist()) == (names, expected[chosen].tolist())
    assert rows(data, "test")[1]["label"].tolist() == [-1] * N


def test_files_of_other_types_are_refused(tmp_path):
    files = {"a": (TABLE, np.arange(N)), "b": (TABLE, NAMES), "c": (TABLE.astype(np.uint8), np.arange(N))}
    for name, (x, label) in files.items():
        np.savez(tmp_path / f"{name}.npz", x=x, label=label)
    path = str(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"numbers in every file in .*, got both"):
        Arrays(path=path, splits={"test_path": str(tmp_path / "b.npz")}).dataset("train")
    with pytest.raises(ValueError, match=r"of type float64 in .*c.npz, as in .*a.npz, got uint8"):
        Arrays(path=path, splits={"test_path": str(tmp_path / "c.npz")})


@pytest.mark.parametrize("size", ["a", True, None])
def test_sizes_of_another_type_are_refused(size):
    with pytest.raises(ValueError, match="val_size to be a number of observations or a fraction, got"):
        resolve_size(size, 10, "val_size")


def test_a_tuple_of_many_tensors_is_refused(tmp_path):
    torch.save((torch.ones(20, 3),) * 3, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a tuple of 3 is not told apart, \{name: tensor\} is"):
        Arrays(path=str(tmp_path / "a.pt"))


def test_a_constant_with_errors_of_rounding_is_no_loss(tmp_path):
    np.save(tmp_path / "a.npy", np.where(np.arange(N) % 2, 0.1 + 0.2, 0.3))
    assert everything(Arrays(path=str(tmp_path / "a.npy")))["x"].unique().tolist() == [np.float32(0.3)]


def test_more_levels_than_bytes_have_are_taken(tmp_path):
    bytes_ = np.arange(240, dtype=np.uint8).reshape(20, 12)
    np.save(tmp_path / "a.npy", bytes_)
    data = Arrays(path=str(tmp_path / "a.npy"), numbers={"levels": 300}, splits={"val_size": 0, "test_size": 0})
    train = data.dataset("train")
    np.testing.assert_allclose(train[torch.arange(20)]["x"], bytes_[train.rows] / 299, rtol=1e-6)


def test_tensors_as_a_training_leaves_them(tmp_path):
    x = torch.randn(9, 3)
    for name, tensor in {"bf16": x.bfloat16(), "grad": x.clone().requires_grad_()}.items():
        torch.save(tensor, tmp_path / f"{name}.pt")
        train = Arrays(path=str(tmp_path / f"{name}.pt"), splits={"val_size": 0, "test_size": 0}).dataset("train")
        assert torch.equal(train[torch.arange(9)]["x"], tensor.detach().float()[train.rows])


def test_the_first_cell_that_is_no_number_is_told(tmp_path):
    (tmp_path / "a.csv").write_text("p,q\n" + "1,NA\n" * 5 + "1,12%\n" + "1,n\n")
    with pytest.raises(ValueError, match=r"expected numbers in column \"q\" of .*, got '12%' in row 5: data.keys.x"):
        Arrays(path=str(tmp_path / "a.csv")).dataset("train")
    (tmp_path / "b.csv").write_text("p,q\n")
    with pytest.raises(ValueError, match=r"expected observations \(N, ...\) in .*b.csv, got p of shape \(0,\)"):
        Arrays(path=str(tmp_path / "b.csv")).dataset("train")
    (tmp_path / "c.csv").write_text("p,q\n" + "1,NA\n" * 20)
    with pytest.raises(ValueError, match=r'some value of the column "q" in .* that is observed'):
        Arrays(path=str(tmp_path / "c.csv"), missing="mask").dataset("train")
