"""Tables of codes: what goes in comes back, from a file too; what is no table is refused."""

from __future__ import annotations

import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsgen.latent import Codebook, Cube, Euclidean, Lorentz, Manifold, PoincareBall, ProductManifold, Simplex, Sphere
from lsgen.latent.codes import Codes, concatenate

Z = np.array([[0.1, -0.2], [1.5, 2.0], [-3.0, 0.25]], dtype=np.float32)
NAN, DAY = float("nan"), np.datetime64("2020-02-29")
COLUMNS: dict[str, Any] = {
    "text": ["a", "", "ß\n\0"],
    "surrogates": ["\ud800", "x\udfff\U0001f600", "e\u0301"],
    "missing text": np.array(["a", None, "b"], dtype=object),
    "fixed text": np.array(["abc", "d", ""]),
    "bytes": np.array([b"abc", b"d", b""]),
    "int64": np.array([-(2**63), 2**63 - 1, 0]),
    "uint64": np.array([0, 2**64 - 1, 1], dtype=np.uint64),
    "int8": np.array([-128, 0, 127], dtype=np.int8),
    "big endian": np.array([1, 2, 3], dtype=">i4"),
    "bool": [True, False, True],
    "float": np.array([NAN, -0.0, np.inf]),
    "float16": np.array([NAN, 1, 2], dtype=np.float16),
    "complex": np.array([1j, NAN, 2], dtype=np.complex64),
    "days": np.array([DAY, "NaT", "1969-01-01"], dtype="datetime64[D]"),
    "nanoseconds": np.array(["2020-01-01T00:00:00.123456789", "NaT", "1900-01-01"], dtype="datetime64[ns]"),
    "durations": np.array([1, -5, "NaT"], dtype="timedelta64[ms]"),
    "tensor": torch.tensor([3, 1, 2]),
}


def _table(**changes: Any) -> Codes:
    given: dict[str, Any] = {"z": Z, "ids": ["p", "q", "r"], "columns": {"label": [3, 5, 3]}, "scale": np.abs(Z)}
    return Codes(**(given | changes))


@pytest.mark.parametrize("mapped", [True, False])
def test_every_kind_of_column_survives_a_file(tmp_path: Path, mapped: bool) -> None:
    table = _table(columns=COLUMNS)
    table.save(tmp_path / "codes.npz")
    found = Codes.load(tmp_path / "codes.npz", mapped)
    assert found == table
    assert list(found.columns) == list(COLUMNS)
    for name, given in COLUMNS.items():
        expected, column = np.asarray(given), found.columns[name]
        if expected.dtype.kind in "UO":
            assert column.tolist() == list(given)
        else:
            assert column.dtype == expected.dtype
            assert np.array_equal(column, expected, equal_nan=expected.dtype.kind in "fcmM")
        assert not column.flags.writeable
    assert np.signbit(found.columns["float"][1])
    np.testing.assert_array_equal(found.z, Z)
    assert found.z.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None, 3], np.array([1, NAN, 3])),
        ([1.5, None, 3], np.array([1.5, NAN, 3])),
        ([date(2020, 2, 29), None, DAY], np.array([DAY, "NaT", DAY], dtype="datetime64[D]")),
        ([datetime(2020, 1, 1, 12), None, datetime(2020, 1, 2)],
         np.array(["2020-01-01T12", "NaT", "2020-01-02"], "M8[us]")),
        ([None, None, None], np.array([None, None, None], dtype=object)),
        (np.array([True, False, True], dtype=object), np.array([True, False, True])),
        (np.array([2**40, 1, 2], dtype=object), np.array([2**40, 1, 2])),
    ],
)  # fmt: skip
def test_python_objects_become_what_they_are(values: Any, expected: np.ndarray) -> None:
    column = _table(columns={"x": values}).columns["x"]
    assert column.dtype == expected.dtype
    assert np.array_equal(column, expected, equal_nan=expected.dtype.kind in "fM")


def test_columns_of_pandas(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "category": pd.Categorical(["a", "b", "a"]),
            "string": pd.array(["a", pd.NA, "b"], dtype="string"),
            "nullable": pd.array([1, pd.NA, 3], dtype="Int64"),
            "date": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
        }
    )
    table = _table(columns={name: frame[name] for name in frame})
    assert table.columns["category"].tolist() == ["a", "b", "a"]
    assert table.columns["string"].tolist() == ["a", None, "b"]
    assert np.array_equal(table.columns["nullable"], [1, NAN, 3], equal_nan=True)
    table.save(tmp_path / "codes.npz")
    assert Codes.load(tmp_path / "codes.npz") == table


BOOK = torch.tensor([[0.0, 1.0], [0.3, -1.0]])
MANIFOLDS: list[tuple[Manifold, list[list[float]]]] = [
    (Euclidean(), [[1.0, 2.0], [3.0, 4.0]]),
    (Sphere(), [[0.6, 0.8], [0.0, -1.0]]),
    (PoincareBall(0.3), [[1.7, 0.0], [0.0, 0.0]]),
    (Lorentz(0.5), [[2.0**0.5, 0.0, 0.0], [3.0**0.5, 0.0, -1.0]]),
    (Cube(-1.0, 0.5), [[-1.0, 0.5], [0.0, 0.0]]),
    (Simplex(3), [[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]]),
    (Codebook(BOOK, 2), [[0.3, -1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]]),
    (ProductManifold([Sphere(), Euclidean(), Simplex(2)], [2, 1, 2]),
     [[1.0, 0.0, 9.0, 0.0, 1.0], [0.6, 0.8, -9.0, 0.5, 0.5]]),
]  # fmt: skip


@pytest.mark.parametrize(("manifold", "z"), MANIFOLDS, ids=lambda value: type(value).__name__)
def test_the_manifold_survives_a_file_and_other_codes_are_refused(tmp_path: Path, manifold: Manifold, z: Any) -> None:
    table = Codes(np.array(z, dtype=np.float32), manifold=manifold)
    table.save(tmp_path / "codes.npz")
    found = Codes.load(tmp_path / "codes.npz")
    assert found == table
    assert isinstance(found.manifold, type(manifold))
    assert isinstance(manifold, Codebook) or found.manifold == manifold
    if isinstance(found.manifold, Codebook):
        assert torch.equal(found.manifold.entries, BOOK)
    assert (table == Codes(table.z)) == (manifold == Euclidean())
    if manifold != Euclidean():
        with pytest.raises(ValueError, match=r"expected codes on .*, got one that is not in row 1"):
            Codes(np.array([z[0], [7.0] * len(z[0])]), manifold=manifold)
    if manifold.coordinates is not None:
        with pytest.raises(ValueError, match=f"expected codes of {len(z[0])} coordinates on .*, got 6"):
            Codes(np.zeros((2, 6)), manifold=manifold)


@pytest.mark.slow
def test_only_what_is_looked_at_is_read(tmp_path: Path) -> None:
    """A table of 96 MB of which one row is looked at: what lies in memory of the file, as the system counts it."""
    path = tmp_path / "codes.npz"
    rows = 2**16
    Codes(np.arange(rows * 96, dtype=np.float64).reshape(rows, 96), scale=np.ones((rows, 96))).save(path)
    found = Codes.load(path)
    assert found.z.ctypes.data % 64 == 0
    assert found.select([rows - 7]).z[0, 5] == (rows - 7) * 96 + 5
    if sys.platform.startswith("linux"):
        blocks = Path("/proc/self/smaps").read_text().split(str(path))[1:]
        size, resident = (sum(int(block.split(key)[1].split()[0]) for block in blocks) for key in ("Size:", "Rss:"))
        assert size > 96_000
        assert 0 < resident < 12_000


def test_numpy_reads_the_file_and_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    _table().save(first)
    _table().save(second)
    assert first.read_bytes() == second.read_bytes()
    with np.load(first) as file:
        np.testing.assert_array_equal(file["z"], Z)
        assert json.loads(file["header.json"])["version"] == 1


def test_a_table_cannot_be_changed_and_does_not_follow_what_it_was_made_of() -> None:
    z, labels = Z.copy(), torch.tensor([1, 2, 3])
    table = Codes(z, columns={"label": labels})
    z[0], labels[0] = 9, 9
    np.testing.assert_array_equal(table.z, Z)
    assert table.columns["label"].tolist() == [1, 2, 3]
    for array in (table.z, table.ids, table.columns["label"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        table.columns["other"] = labels  # type: ignore[index]
    with pytest.raises(AttributeError):
        table.z = z  # type: ignore[misc]
    tensor = table.tensor()
    tensor.zero_()
    assert table.z.any()


def test_an_interrupted_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "codes.npz"
    _table().save(path)
    mapped = Codes.load(path)

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            _table(z=2 * Z).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["codes.npz"]
    assert Codes.load(path) == _table()
    _table(z=2 * Z).save(path)
    assert mapped == _table()
    assert Codes.load(path) == _table(z=2 * Z)


def test_rows_are_selected_by_mask_index_name_and_value() -> None:
    table = _table(
        columns={"label": [3, 5, 3], "word": ["x", None, "y"], "x": [NAN, 1.0, 2.0], "day": [DAY, DAY, None]}
    )
    named = lambda found: found.ids.tolist()
    assert table.places() == {"p": 0, "q": 1, "r": 2}
    assert named(table.select([2, -3])) == ["r", "p"]
    assert named(table.select(torch.tensor([False, True, True]))) == ["q", "r"]
    assert named(table.select(slice(None, None, -1))) == ["r", "q", "p"]
    assert named(table.select(ids=["q", "p"])) == ["q", "p"]
    assert named(table.select(where={"label": 3})) == ["p", "r"]
    assert named(table.select(where={"label": [5, 7]})) == ["q"]
    assert named(table.select(where={"label": np.int32(3), "word": {"y", "z"}})) == ["r"]
    assert named(table.select(where={"word": None})) == ["q"]
    assert named(table.select(where={"x": [NAN, 2]})) == ["p", "r"]
    assert named(table.select(where={"day": "2020-02-29"})) == ["p", "q"]
    assert len(table.select([])) == len(table.select(where={"label": 4})) == 0
    part = table.select([2, 0])
    np.testing.assert_array_equal(part.z, Z[[2, 0]])
    np.testing.assert_array_equal(part.scale, np.abs(Z[[2, 0]]))
    assert part.columns["word"].tolist() == ["y", "x"]
    assert part == Codes(
        Z[[2, 0]], ["r", "p"], columns={n: c[[2, 0]] for n, c in table.columns.items()}, scale=part.scale
    )


def test_a_table_with_further_columns_is_the_same_table_otherwise() -> None:
    table = _table()
    found = table.with_columns({"label": [1, 2, 3], "text": ["a", None, "b"]})
    assert found == Codes(Z, ["p", "q", "r"], columns={"label": [1, 2, 3], "text": ["a", None, "b"]}, scale=np.abs(Z))
    assert table == _table()
    assert found.with_columns({}) == found


def test_an_empty_table_survives_a_file(tmp_path: Path) -> None:
    empty = _table().select([])
    empty.save(tmp_path / "empty.npz")
    for mapped in (True, False):
        assert Codes.load(tmp_path / "empty.npz", mapped) == empty


def test_tables_are_equal_where_everything_is() -> None:
    table = _table(columns={"x": [NAN, 1.0, 2.0]})
    assert table == _table(columns={"x": [NAN, 1.0, 2.0]})
    changes: list[dict[str, Any]] = [
        {"z": Z.astype(np.float64), "scale": np.abs(Z).astype(np.float64)},
        {"z": Z + 1}, {"ids": [1, 2, 3]}, {"scale": None},
        {"columns": {"x": [NAN, 1.0, 3.0]}}, {"columns": {"y": [NAN, 1.0, 2.0]}}, {"columns": {}},
    ]  # fmt: skip
    for change in changes:
        assert table != _table(**({"columns": {"x": [NAN, 1.0, 2.0]}} | change))
    assert table != "table"


def test_tables_are_joined_where_they_have_one_kind() -> None:
    table = _table()
    assert concatenate([table.select([0]), table.select([1, 2])]) == table
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "expected ids that are all different, got 'p' twice"),
        ({"ids": [1, 2, 3]}, "expected tables of one text as ids, got True and False"),
        ({"scale": None}, "expected tables of one scale, got True and False"),
        ({"columns": {}}, r"expected tables of one columns, got \['label'\] and \[\]"),
        ({"manifold": Cube(-5, 5)}, "expected tables of one manifold"),
        ({"columns": {"label": ["a", "b", "c"]}, "ids": ["a", "b", "c"]}, "one kind of values in the column 'label'"),
    ]
    for change, sentence in refused:
        with pytest.raises(ValueError, match=sentence):
            concatenate([table, _table(**change)])
    with pytest.raises(ValueError, match="at least one table of codes, got none"):
        concatenate([])


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "shape": (lambda: Codes(Z[0]), r"expected codes of shape \(N, d\), got \(2,\)"),
    "type": (lambda: Codes(np.arange(4).reshape(2, 2)), "expected codes of type float32 or float64, got int64"),
    "infinite": (lambda: Codes(np.array([[0.0], [NAN]])), "expected finite codes, got one that is not in row 1"),
    "manifold": (lambda: Codes(Z, manifold="sphere"), "expected a manifold, got str"),  # type: ignore[arg-type]
    "ids twice": (lambda: Codes(Z, [1, 2, 1]), "expected ids that are all different, got 1 twice"),
    "text twice": (lambda: Codes(Z, ["a", "b", "b"]), "expected ids that are all different, got 'b' twice"),
    "ids": (lambda: Codes(Z, [0.5, 1, 2]), "expected ids that are whole numbers or text, got float64"),
    "no id": (lambda: Codes(Z, ["a", None, "b"]), "expected an id of every code, got none in row 1"),
    "number of ids": (lambda: Codes(Z, [1, 2]), r"expected 3 values in the column 'ids', got shape \(2,\)"),
    "column": (lambda: _table(columns={"x": [[1], [2], [3]]}),
               r"expected 3 values in the column 'x', got shape \(3, 1\)"),
    "ragged": (lambda: _table(columns={"x": [[1], [2, 3], 4]}), "of one kind in the column 'x', got"),
    "mixed": (lambda: _table(columns={"x": [1, "a", 2]}), "of one kind in the column 'x', got int and str"),
    "objects": (lambda: _table(columns={"x": [{}, {}, {}]}), "of one kind in the column 'x', got dict"),
    "truth": (lambda: _table(columns={"x": [True, None, False]}),
              "a truth value in every row of the column 'x', got 1"),
    "zone": (
        lambda: _table(columns={"x": [datetime(2020, 1, 1, tzinfo=UTC)] * 3}),
        "expected dates without a time zone in the column 'x'",
    ),
    "huge": (lambda: _table(columns={"x": [2**70, 1, 2]}), "expected whole numbers of 64 bits in the column 'x'"),
    "huge and missing": (lambda: _table(columns={"x": [2**60 + 1, None, 2]}),
                         r"whole numbers up to 2\^53 beside missing"),
    "name": (lambda: _table(columns={1: [1, 2, 3]}), "expected names of columns that are text, got 1"),
    "scale shape": (lambda: _table(scale=Z[:2]),
                    r"expected scale float32 \(3, 2\) as the codes are, got float32 \(2, 2\)"),
    "scale": (lambda: _table(scale=Z), "expected scale that is finite and not negative"),
    "mask": (lambda: _table().select([True, False]), r"expected a mask of 3 rows, got shape \(2,\)"),
    "row": (lambda: _table().select([0, 3]), "expected rows of a table of 3 codes, got 3"),
    "row twice": (lambda: _table().select([0, -3]), "expected every row once"),
    "rows": (lambda: _table().select([0.5]), "expected a mask, indices .* or a slice of rows, got float64"),
    "id": (lambda: _table().select(ids=["p", "s", "t"]), "got 2 that it does not have, such as 's'"),
    "nothing": (lambda: _table().select(), "expected one of rows, ids and where to say which codes, got 0"),
    "both": (lambda: _table().select([0], ids=["p"]), "expected one of rows, ids and where to say which codes, got 2"),
    "unknown": (lambda: _table().select(where={"x": 1}), "expected a column of the table, which has label, got 'x'"),
    "kind": (lambda: _table().select(where={"label": "3"}), "the column 'label', which holds int64, got '3'"),
    "further": (lambda: _table().with_columns({"x": [1]}), "expected 3 values in the column 'x', got shape"),
    "unnamed": (lambda: _table().with_columns({1: [1, 2, 3]}), "names of columns that are text, got 1"),  # type: ignore[dict-item]
    "path": (lambda: _table().save("codes.txt"), "expected a path that ends in .npz, got codes.txt"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_is_refused(name: str) -> None:
    act, sentence = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=sentence):
        act()


def _with_header(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    header = json.loads(members["header.json"])
    change(header)
    members["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-50]), "which is damaged"),
    "empty": (lambda path: path.write_bytes(b""), "which is damaged"),
    "text": (lambda path: path.write_text("codes"), "which is damaged"),
    "another npz": (lambda path: np.savez(path, z=Z), "which is damaged: .*header.json"),
    "compressed": (lambda path: np.savez_compressed(path, z=Z), "which is damaged"),
    "later": (
        lambda path: _with_header(path, lambda header: header.update(version=2)),
        "expected a table of codes of version 1, got version 2 in .*, which a later lsgen has saved",
    ),
    "format": (lambda path: _with_header(path, lambda header: header.update(format="x")), "which is another file"),
    "fewer codes": (
        lambda path: _with_header(path, lambda header: header.update(codes=[2, 2])),
        r"says \[2, 2\] codes",
    ),
    "columns": (
        lambda path: _with_header(path, lambda header: header.update(columns=["a", "b"])),
        "codes that lsgen has",
    ),
    "manifold": (
        lambda path: _with_header(path, lambda header: header.update(manifold={"type": "Klein", "arguments": []})),
        "expected a manifold out of .*Sphere.*, got 'Klein'",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("mapped", [True, False])
def test_damaged_files_are_refused_in_one_sentence(tmp_path: Path, name: str, mapped: bool) -> None:
    path = tmp_path / "codes.npz"
    _table().save(path)
    damage, sentence = DAMAGE[name]
    damage(path)
    with pytest.raises(ValueError, match=sentence) as caught:
        Codes.load(path, mapped)
    assert "\n" not in str(caught.value)


def test_no_flipped_byte_gives_another_table(tmp_path: Path) -> None:
    """Read and not mapped, a table with any byte changed is refused, or the byte was one that nobody reads."""
    path = tmp_path / "codes.npz"
    table = _table(columns={"label": [3, 5, 3], "word": ["x", None, "y"]})
    table.save(path)
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 0x55
        path.write_bytes(bytes(data))
        try:
            assert Codes.load(path, mapped=False) == table
        except ValueError:
            refused += 1
    assert refused > len(whole) / 7 / 3


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Codes.load(tmp_path / "none.npz")


def test_copies_and_other_processes_get_an_equal_table_that_cannot_be_changed(tmp_path: Path) -> None:
    columns = {name: values for name, values in COLUMNS.items() if name != "big endian"}  # pickled as little endian
    _table(columns=columns).save(tmp_path / "codes.npz")
    for table in (_table(columns=columns), Codes.load(tmp_path / "codes.npz")):
        for made in (deepcopy(table), pickle.loads(pickle.dumps(table))):
            assert made == table
            arrays = [made.z, made.ids, made.scale, *made.columns.values()]
            assert not any(array is None or array.flags.writeable for array in arrays)


def test_lists_of_large_whole_numbers_and_durations_keep_their_values() -> None:
    table = Codes(Z, [2**64 - 1, 0, 2**53 + 1], columns={"large": [2**64 - 1, 2**53 + 1, 1]})
    assert table.ids.tolist() == [2**64 - 1, 0, 2**53 + 1]
    assert table.columns["large"].tolist() == [2**64 - 1, 2**53 + 1, 1]
    spans = Codes(Z, columns={"span": [timedelta(seconds=2), None, np.timedelta64(3, "ns")]})
    assert spans.columns["span"].astype("timedelta64[ns]").tolist() == [2 * 10**9, None, 3]
    assert spans.select(where={"span": timedelta(seconds=2)}).ids.tolist() == [0]


def test_whole_numbers_are_found_exactly() -> None:
    table = Codes(Z, columns={"n": [2**53 + 1, 255, -1]})
    for value, rows in [(2.0**53, []), (2**53 + 1, [0]), (255.0, [1]), (2**80, []), (-(2.0**80), []), (NAN, [])]:
        assert table.select(where={"n": value}).ids.tolist() == rows


FAR = [date(9999, 1, 1), np.datetime64("2020-01-01T00:00:00.000000001"), None]
UNCLEAR: dict[str, Callable[[], object]] = {
    "names that are truth values": lambda: Codes(Z).select(ids=[True, False]),
    "names that are fractions": lambda: Codes(Z).select(ids=[1.0]),
    "one name": lambda: Codes(Z).select(ids=1),
    "a name in place of several": lambda: Codes(Z, list("abc")).select(ids="ab"),
    "a row beyond 63 bits": lambda: Codes(Z).select(np.array([2**64 - 1], dtype=np.uint64)),
    "truth values among numbers": lambda: Codes(Z, columns={"x": [True, 1, 2]}),
    "whole numbers of no common type": lambda: Codes(Z, columns={"x": [2**63, -1, 0]}),
    "a whole number beside nan": lambda: Codes(Z, columns={"x": [2**53 + 1, NAN, 0]}),
    "dates of no common unit": lambda: Codes(Z, columns={"x": FAR}),
    "joined dates of no common unit": lambda: concatenate(
        [
            Codes(Z, [i, i + 1, i + 2], columns={"x": np.array([when] * 3)})
            for i, when in [(0, FAR[1]), (3, np.datetime64("9999-01-01"))]
        ]
    ),
    "no date": lambda: Codes(Z, columns={"x": np.array([DAY] * 3)}).select(where={"x": "tomorrow"}),
    "rows of several lengths": lambda: Codes([[1.0], [1.0, 2.0]]),
    "bfloat16": lambda: Codes(torch.ones(3, 2, dtype=torch.bfloat16)),
    "a sparse tensor": lambda: Codes(torch.ones(3, 2).to_sparse()),
    "a column of bfloat16": lambda: Codes(Z, columns={"x": torch.ones(3, dtype=torch.bfloat16)}),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_would_change_silently_is_refused(name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^expected [^\n]*$"):
        UNCLEAR[name]()


HEADERS: dict[str, dict[str, Any]] = {
    "a column is not named": {"columns": []},
    "a column is named twice": {"columns": ["label", "label"]},
    "a name is a number": {"columns": [1]},
    "names are text": {"columns": "x"},
    "version zero": {"version": 0},
    "a version that is a truth value": {"version": True},
}


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_do_not_fit_are_refused(tmp_path: Path, name: str, mapped: bool) -> None:
    _table().save(tmp_path / "codes.npz")
    with zipfile.ZipFile(tmp_path / "codes.npz") as old, zipfile.ZipFile(tmp_path / "other.npz", "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "header.json":
                data = json.dumps(json.loads(data) | HEADERS[name]).encode()
            new.writestr(info, data)
    with pytest.raises(ValueError, match=r"^expected [^\n]*$"):
        Codes.load(tmp_path / "other.npz", mapped)


def test_a_mapped_array_whose_description_is_damaged_is_refused(tmp_path: Path) -> None:
    _table().save(tmp_path / "codes.npz")
    whole = (tmp_path / "codes.npz").read_bytes()
    for place in (whole.index(b"{'descr'"), whole.index(b"(3, 2)"), whole.index(b"(3, 2)") + 5):
        for byte in set(b"([\\\"'\n\0") - {whole[place]}:
            (tmp_path / "codes.npz").write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            with pytest.raises(ValueError, match=r"^expected "):
                Codes.load(tmp_path / "codes.npz")
