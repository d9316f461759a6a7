"""What neighbours explain of columns, held against scikit-learn's leave-one-out predictions."""

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from lsgen.analysis.probing import explained_columns
from lsgen.latent import Codes


def table(n=120):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 3))
    columns = {
        "sign": (z[:, 0] + 0.3 * rng.normal(size=n) > 0).astype(int),
        "height": z[:, 1] + 0.1 * rng.normal(size=n),
        "noise": rng.integers(0, 3, n),
        "constant": np.ones(n),
        "name": np.array([f"item {i}" for i in range(n)], dtype=object),
    }
    return Codes(z, columns=columns)


def test_shares_are_those_of_predictions_that_leave_the_item_out():
    codes = table()
    found = explained_columns(codes, k=5)
    assert set(found) == {"height", "sign", "noise"}
    assert list(found)[-1] == "noise"
    for name, model in (("sign", KNeighborsClassifier(5)), ("height", KNeighborsRegressor(5))):
        y = codes.columns[name]
        guess = cross_val_predict(model, codes.z, y, cv=LeaveOneOut())
        if name == "sign":
            expected = 1 - np.mean(guess != y) / (1 - np.bincount(y).max() / len(y))
        else:
            expected = 1 - np.mean((guess - y) ** 2) / y.var()
        assert found[name].value == pytest.approx(expected, abs=1e-6)
        assert found[name].interval[0] < expected < found[name].interval[1]
        assert (found[name].n, found[name].baseline) == (120, 0.0)
    assert found["noise"].interval[0] < 0.1


def test_missing_values_are_no_neighbours_and_many_codes_are_drawn_from():
    codes = table()
    height = codes.columns["height"].copy()
    height[::2] = np.nan
    half = Codes(codes.z, columns={"height": height})
    near = np.argsort(((codes.z[:, None] - codes.z) ** 2).sum(-1) + np.diag(np.full(120, np.inf)), axis=1)[:, :20]
    rows = np.arange(1, 120, 2)
    guess = np.nanmean(height[near[rows]], axis=1)
    expected = 1 - np.mean((guess - height[rows]) ** 2) / height[rows].var()
    assert explained_columns(half, k=20)["height"].value == pytest.approx(expected, abs=1e-6)
    some = explained_columns(codes, ["height"], k=5, points=50, seed=3)["height"]
    assert (some.n, some.seed) == (50, 3)
    with pytest.raises(ValueError, match="from 1 to 119 neighbours among 120 codes, got 120"):
        explained_columns(codes, k=120)
