"""Scores are those of other libraries, on every manifold and at the edges."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.neighbors import LocalOutlierFactor

from lsgen.analysis.anomalies import anomaly_panel, anomaly_score, applicable_scores
from lsgen.latent import Codes, Sphere

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(60, 3)) * [1, 2, 3], RNG.normal(size=(9, 3))
LABELS = np.arange(60) % 2


def table(z, first=0, **columns):
    return Codes(np.asarray(z, dtype=float), np.arange(first, first + len(z)), columns=columns)


ORDINARY, OTHERS = table(A, label=LABELS), table(B, 100)


def test_scores_are_those_of_other_libraries():
    known = {
        "knn": np.sort(cdist(B, A), 1)[:, 4],
        "mahalanobis": cdist(B, A.mean(0)[None], "mahalanobis", VI=np.linalg.inv(np.cov(A.T)))[:, 0] ** 2,
        "lof": -LocalOutlierFactor(n_neighbors=5, novelty=True).fit(A).score_samples(B),
    }
    means = np.stack([A[c == LABELS].mean(0) for c in (0, 1)])
    centred = A - means[LABELS]
    inverse = np.linalg.inv(centred.T @ centred / 58)
    known["class_mahalanobis"] = (cdist(B, means, "mahalanobis", VI=inverse) ** 2).min(1)
    for name, values in known.items():
        assert anomaly_score(name, ORDINARY, OTHERS, k=5) == pytest.approx(values), name


def test_columns_have_the_sign_that_makes_greater_stranger():
    codes = table(B, elbo=np.arange(9.0), prior_nll=np.arange(9.0), depth=np.arange(9))
    assert anomaly_score("elbo", ORDINARY, codes)[-1] == -8
    assert anomaly_score("prior_nll", ORDINARY, codes)[-1] == 8
    assert anomaly_score("depth", ORDINARY, codes)[-1] == 8
    assert applicable_scores(table(A, elbo=A[:, 0])) == ["knn", "mahalanobis", "lof", "elbo"]


def test_turning_a_sphere_changes_no_score():
    z = A / np.linalg.norm(A, axis=1)[:, None] + [2, 0, 0]
    z = torch.tensor(z / np.linalg.norm(z, axis=1)[:, None])
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    scores = [
        anomaly_score(name, Codes(x[:40], manifold=Sphere()), Codes(x[40:], manifold=Sphere()), k=5)
        for x in (z, z @ turn)
        for name in ("knn", "mahalanobis", "lof")
    ]
    for before, after in zip(scores[:3], scores[3:], strict=True):
        assert before == pytest.approx(after)
    assert scores[0] == pytest.approx(np.sort(np.arccos(np.clip((z[40:] @ z[:40].T).numpy(), -1, 1)), 1)[:, 4])


def test_leaving_the_span_of_ordinary_codes_is_infinitely_strange():
    flat = table(np.c_[A[:, :2], A[:, 0] + A[:, 1]])
    inside, outside = [1.0, 1.0, 2.0], [1.0, 1.0, 2.1]
    scores = []
    for scale in (1.0, 1e-180, 1e180):
        found = anomaly_score("mahalanobis", table(scale * flat.z), table(scale * np.array([inside, outside]), 100))
        assert np.isfinite(found).tolist() == [True, False]
        scores.append(found[0])
    assert scores == pytest.approx(scores[:1] * 3)
    alone = anomaly_score("mahalanobis", table([[1.0], [1.0], [1.0]]), table([[1.0], [2.0]], 100))
    assert alone.tolist() == [0, np.inf]


def test_a_class_with_one_member_has_a_mean():
    labels = np.r_[np.zeros(59, int), 7]
    found = anomaly_score("class_mahalanobis", table(A, label=labels), table(A[-1:], 100))
    assert found == pytest.approx([0.0])


def test_a_digit_that_was_held_out_is_told_by_neighbours():
    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))
    z = x @ np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:16].T
    ordinary = rows[y[rows] != 0]
    parts = ordinary[:800], ordinary[800:1200], np.r_[ordinary[1200:], np.flatnonzero(y == 0)]
    codes = [Codes(z[part], part, columns={"label": y[part]}) for part in parts]
    panel = anomaly_panel(*codes, strange=y[parts[2]] == 0)
    assert panel.detections["knn"].auroc.interval[0] > 0.9
    assert all(alarm.interval[0] < 0.05 < alarm.interval[1] + 0.05 for alarm in panel.false_alarms.values())
    assert not panel.refused


def test_detectors_of_pyod_are_found_by_name_and_repeat():
    pytest.importorskip("pyod")
    found = [anomaly_panel(ORDINARY, table(A[:5] + 0.1, 200), OTHERS, names=["pyod:IForest"], seed=s) for s in (0, 0)]
    assert found[0].scores["pyod:IForest"].tolist() == found[1].scores["pyod:IForest"].tolist()
    with pytest.raises(ValueError, match="a detector of pyod such as pyod:ECOD, got pyod:Nothing"):
        anomaly_score("pyod:Nothing", ORDINARY, OTHERS)


def test_too_few_ordinary_codes_are_said_and_the_others_judged():
    panel = anomaly_panel(ORDINARY.select(slice(0, 5)), table(A[:5] + 1, 200), OTHERS, k=10)
    assert set(panel.scores) == {"mahalanobis", "class_mahalanobis"}
    assert "from 1 to 5 neighbours" in panel.refused["knn"]
    with pytest.raises(ValueError, match="from 1 to 5 neighbours"):
        anomaly_panel(ORDINARY.select(slice(0, 5)), table(A[:5], 200), OTHERS, k=10, names=["knn"])


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match="without a code in common, got 3 as ordinary and judged"):
        anomaly_panel(ORDINARY, OTHERS, table(B[:1], 3))
    with pytest.raises(ValueError, match="classes of the ordinary ones, got '5'"):
        anomaly_panel(ORDINARY, table(B, 200, label=np.full(9, 5)), table(B, 300))
    with pytest.raises(ValueError, match="codes of one space"):
        anomaly_score("knn", ORDINARY, table(B[:, :2]))
    unit = B / np.linalg.norm(B, axis=1)[:, None]
    with pytest.raises(ValueError, match="codes of one space"):
        anomaly_panel(ORDINARY, OTHERS, Codes(unit, np.arange(200, 209), Sphere()))
    with pytest.raises(ValueError, match="a score out of knn"):
        anomaly_score("nothing", ORDINARY, OTHERS)
    with pytest.raises(ValueError, match="expected numbers in the column 'name', got text"):
        anomaly_score("name", ORDINARY, table(B[:1], 100, name=["a"]))
