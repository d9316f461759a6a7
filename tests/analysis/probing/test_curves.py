"""Probes tell what codes hold and what they do not, and groups keep copies apart."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lsgen.analysis.probing import ProbeOptions, probe, transfer
from lsgen.latent import Codes, Sphere

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(200, 4))
CLASSES = np.where(Z[:, 0] > 0, "right", "left").astype(object)
QUICK = {"seeds": 2, "resamples": 200}


def codes(z=Z, first=0, **columns):
    return Codes(z, np.arange(first, first + len(z)), columns=columns)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
        ("knn", KNeighborsClassifier(5)),
    ],
)
def test_scores_are_those_of_scikit_learn(name, model):
    fit, test = codes(Z[:150], label=CLASSES[:150]), codes(Z[150:], 500, label=CLASSES[150:])
    found = transfer(fit, test, options=ProbeOptions(name, (None,), **QUICK))
    assert found.budgets == (150,)
    exact = model.fit(Z[:150], CLASSES[:150].astype(str)).score(Z[150:], CLASSES[150:].astype(str))
    assert found.scores["codes"][0].value == pytest.approx(exact)
    plain = DummyClassifier().fit(Z[:150], CLASSES[:150].astype(str)).score(Z[150:], CLASSES[150:].astype(str))
    assert found.scores["majority"][0].value == found.scores["codes"][0].baseline == pytest.approx(plain)


def test_regression_is_that_of_scikit_learn_in_any_unit():
    y = Z[:, 1] + 0.3 * RNG.normal(size=200)
    for scale in (1.0, 1e6):
        fit, test = codes(Z[:150], y=scale * y[:150]), codes(Z[150:], 500, y=scale * y[150:])
        found = transfer(fit, test, "y", options=ProbeOptions("linear", (None,), **QUICK))
        model = make_pipeline(StandardScaler(), Ridge(1.0)).fit(Z[:150], y[:150])
        assert found.scores["codes"][0].value == pytest.approx(r2_score(y[150:], model.predict(Z[150:])))
        assert found.scores["majority"][0].value <= 0


def test_more_labels_tell_more_and_noise_tells_nothing():
    noise = RNG.normal(size=(200, 2, 2))
    untrained = codes(np.tanh(Z @ RNG.normal(size=(4, 1))))
    found = probe(codes(label=CLASSES), baselines={"raw": noise, "untrained": untrained}, options=ProbeOptions(**QUICK))
    assert found.kind == "classification"
    assert (found.budgets, found.left_out) == ((10, 30, 100, 160), (300,))
    assert set(found.scores) == {"majority", "codes", "raw", "untrained"}
    curve = [score.value for score in found.scores["codes"]]
    assert curve[-1] > 0.9 > curve[0] > 0.55
    low, high = found.scores["raw"][-1].interval
    assert low < 0.5 < high + 0.05
    assert all(score.n == 40 for scores in found.scores.values() for score in scores)


def test_copies_of_one_group_are_on_one_side():
    group = np.repeat(np.arange(60), 12)
    z = RNG.normal(size=(60, 8))[group] + 1e-3 * RNG.normal(size=(720, 8))
    table = codes(z, label=RNG.integers(0, 2, 60)[group], group=group)
    scores = [
        probe(table, options=ProbeOptions("knn", (None,), groups=groups, held_out=0.4, **QUICK)).scores["codes"][0]
        for groups in (None, "group")
    ]
    assert scores[0].value > 0.95
    low, high = scores[1].interval
    assert low < 0.5 < high
    assert high - low > 0.2


def test_intervals_hold_for_other_labels_and_other_items():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(20_000, 2))
    y = (z[:, 0] + 0.5 * rng.normal(size=20_000) > 0).astype(int)
    fit, test = codes(z[:10_000], label=y[:10_000]), codes(z[10_000:], 50_000, label=y[10_000:])
    wide = transfer(fit, test, options=ProbeOptions("linear", (20,), seeds=40, resamples=10)).scores["codes"][0].value
    inside = 0
    for i in range(20):
        few = slice(100 * i, 100 * i + 100)
        options = ProbeOptions("linear", (20,), seeds=5, resamples=50, seed=i)
        low, high = (
            transfer(fit.select(slice(200 * i, 200 * i + 200)), test.select(few), options=options)
            .scores["codes"][0]
            .interval
        )
        inside += low < wide < high
    assert inside >= 16


def test_small_networks_predict_classes_and_numbers():
    table = codes(label=CLASSES, y=Z[:, 0] ** 2)
    for column, least in (("label", 0.85), ("y", 0.3)):
        found = probe(table, column, options=ProbeOptions("mlp", (None,), seeds=1, resamples=50))
        assert found.scores["codes"][0].value > least


def test_missing_labels_are_left_out():
    some = CLASSES.copy()
    some[::2] = None
    found = probe(codes(label=some), options=ProbeOptions("linear", (None,), **QUICK))
    assert (found.budgets, found.scores["codes"][0].n) == ((80,), 20)
    numbers = np.where(np.arange(200) % 4 == 0, np.nan, Z[:, 0])
    assert probe(codes(y=numbers), "y", options=ProbeOptions("linear", (None,), **QUICK)).budgets == (120,)


def test_one_coordinate_one_member_and_codes_of_a_sphere():
    rare = CLASSES.copy()
    rare[0] = "alone"
    found = probe(codes(Z[:, :1], label=rare), options=ProbeOptions("linear", (None,), **QUICK))
    assert found.scores["codes"][0].value > 0.9
    z = Z[:, :3] / np.linalg.norm(Z[:, :3], axis=1)[:, None]
    z[:, 2] = np.abs(z[:, 2])
    sphere = Codes(z, manifold=Sphere(), columns={"label": CLASSES})
    assert probe(sphere, options=ProbeOptions("linear", (None,), **QUICK)).scores["codes"][0].value > 0.85


def test_mistakes_are_refused():
    table = codes(label=CLASSES, one=np.ones(200, int), group=np.zeros(200, int))
    for column, words in (("nothing", "column out of label"), ("one", "that varies, got one value")):
        with pytest.raises(ValueError, match=words):
            probe(table, column)
    with pytest.raises(ValueError, match="two groups of items or more"):
        probe(table, options=ProbeOptions(groups="group"))
    with pytest.raises(ValueError, match="as the baseline 'raw', got float64"):
        probe(table, baselines={"raw": Z[:3]})
    with pytest.raises(ValueError, match="names of their own, got 'codes'"):
        probe(table, baselines={"codes": Z})
    with pytest.raises(ValueError, match="ids of the table"):
        probe(table, baselines={"raw": codes(Z, 7)})
    with pytest.raises(ValueError, match="distinct budgets"):
        ProbeOptions(budgets=(10, 10))
    with pytest.raises(ValueError, match="a probe out of linear, knn, mlp"):
        ProbeOptions("forest")
