"""Numbers and classes lie beside the image that they belong to."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from lsgen.data import ImageTable


def whole(data, split):
    return data.dataset(split)[torch.arange(len(data.dataset(split)))]


def test_the_example_is_computed_from_its_images():
    data = ImageTable()
    assert data.columns == ("ink", "row", "column", "spread")
    found = {split: whole(data, split) for split in ("train", "val", "test")}
    parts = {split: data.packing.unpack(batch["x"]) for split, batch in found.items()}
    moments = []
    for image in parts["train"]["image"].double():
        v = image[0] * 16
        places = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0)).double()
        w = v.flatten() / v.sum()
        centre = (w[:, None] * places).sum(0)
        spread = (w * (places - centre).square().sum(1)).sum().sqrt()
        moments.append(torch.stack([v.mean(), *centre, spread]))
    expected = torch.stack(moments)
    expected = (expected - expected.mean(0)) / expected.std(0, correction=0)
    torch.testing.assert_close(parts["train"]["numbers"].double(), expected, atol=1e-5, rtol=0)
    # all digits are there, each with its class, in one split
    digits = {
        tuple(x.astype(int).flatten()): int(y) for x, y in zip(load_digits().images, load_digits().target, strict=True)
    }
    for split, batch in found.items():
        pixels = (parts[split]["image"] * 16).round().int().flatten(1).tolist()
        assert [digits[tuple(row)] for row in pixels] == batch["label"].tolist()
        assert torch.equal(parts[split]["digit"][:, 0].to(torch.int64), batch["label"])
    assert sum(map(len, (batch["label"] for batch in found.values()))) == 1797


@pytest.fixture
def table(tmp_path):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (12, 4, 5), dtype=np.uint8)
    lines = ["width,image,kind,height"]
    for n, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{n}.png")
        lines.append(f"{n / 2},{n}.png,{'cba'[n % 3]},7")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return tmp_path / "table.csv", pixels


def test_a_table_of_ones_own(table):
    path, pixels = table
    options = {"path": str(path), "classes": ["kind"], "label": "kind"}
    data = ImageTable(table=options, val_size=2, test_size=3)
    assert data.shapes == {"image": (1, 4, 5), "numbers": (2,), "kind": (1,)}
    assert (data.columns, data.classes) == (("width", "height"), {"kind": ("a", "b", "c")})
    seen = data.dataset("train").rows.double() / 2
    for split in ("train", "val", "test"):
        rows, batch = data.dataset(split).rows.to(torch.int64), whole(data, split)
        parts = data.packing.unpack(batch["x"])
        assert torch.equal((parts["image"][:, 0] * 255).round().to(torch.uint8), torch.from_numpy(pixels)[rows])
        assert batch["label"].tolist() == [2 - n % 3 for n in rows.tolist()]
        width = (rows.double() / 2 - seen.mean()) / seen.std(correction=0)
        torch.testing.assert_close(parts["numbers"][:, 0].double(), width, atol=1e-6, rtol=0)
        assert (parts["numbers"][:, 1] == 0).all()  # what never varies


@pytest.mark.parametrize(
    ("cell", "new", "sentence"),
    [
        ("width,", "breadth,", "expected a column 'width' in"),
        ("0.5,1.png", "wide,1.png", "expected a number in column 'width', row 2 of .*, got 'wide'"),
        ("0.5,1.png", ",1.png", "expected a number in column 'width', row 2 of .*, got ''"),
        ("1.png,b", "1.png,", "expected a class in column 'kind', row 2 of .*, got an empty cell"),
        ("1.png,b,7", "1.png,b", "expected 4 cells in row 2 of .*, got 3"),
        ("1.png", "13.png", "expected the picture .*13.png, which the table names, found nothing"),
    ],
)
def test_what_is_wrong_in_a_table_is_told(table, cell, new, sentence):
    path, _ = table
    path.write_text(path.read_text().replace(cell, new, 1))
    classes = ["kind", "width"] if cell == "width," else ["kind"]
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        ImageTable(table={"path": str(path), "classes": classes})


def test_a_missing_table_and_an_unknown_label():
    with pytest.raises(FileNotFoundError, match=r"expected a table at /nowhere\.csv"):
        ImageTable(table={"path": "/nowhere.csv"})
    with pytest.raises(ValueError, match=r"expected data\.table\.label to be one of data\.table\.classes, got 'kind'"):
        ImageTable(table={"path": "/nowhere.csv", "label": "kind"})
