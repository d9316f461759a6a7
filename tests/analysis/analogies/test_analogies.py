"""Analogies, held against all answers one by one, and against tables whose answers are known."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from lsgen.analysis.analogies import ANALOGY_METHODS, evaluate_analogies, solve_analogies
from lsgen.latent import Codes, PoincareBall, Sphere
from lsgen.latent.manifolds.supports import Codebook, Simplex

RANDOM = np.random.default_rng(0)


def brute_force(z, a, b, c, method):
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    if method == "3cosadd":
        target = unit[b] - unit[a] + unit[c]
        return unit @ target
    if method == "3cosmul":
        return ((1 + unit @ unit[b]) / 2) * ((1 + unit @ unit[c]) / 2) / ((1 + unit @ unit[a]) / 2 + 1e-3)
    return -np.linalg.norm(z - (z[b] - z[a] + z[c]), axis=1)


@pytest.mark.parametrize("method", ANALOGY_METHODS)
def test_answers_are_the_best_of_all_codes(method):
    z = RANDOM.normal(size=(40, 6))
    questions = RANDOM.integers(0, 40, (25, 3))
    honest = solve_analogies(Codes(z), questions, method, k=2, exclude_inputs=False)
    standard = solve_analogies(Codes(z), questions, method, k=2)
    for row, (a, b, c) in enumerate(questions):
        order = np.argsort(-brute_force(z, a, b, c, method))
        assert honest[row].tolist() == order[:2].tolist()
        assert standard[row].tolist() == [i for i in order if i not in (a, b, c)][:2]


@pytest.mark.parametrize("manifold", [Sphere(), PoincareBall(0.6)])
def test_transport_answers_with_the_translation_along_the_geodesic(manifold):
    """An isometry that translates along the geodesic from a to c takes b to d."""
    a, c, b = manifold.onto(torch.from_numpy(RANDOM.normal(size=(3, 3)) * 0.15 + [0.3, 0, 0]))[:, None]
    curve = manifold.exp(a, torch.linspace(0, 1, 101, dtype=torch.float64)[:, None] * manifold.log(a, c))
    vector = manifold.log(a, b) / 1000
    for here, there in pairwise(curve.split(1)):  # Schild's ladder, for short vectors
        end = manifold.exp(here, vector)
        middle = manifold.exp(end, manifold.log(end, there) / 2)
        vector = manifold.log(there, manifold.exp(here, 2 * manifold.log(here, middle)))
    d = manifold.exp(c, 1000 * vector)
    others = manifold.onto(
        torch.from_numpy(RANDOM.normal(size=(20, 3)) - [3, 0, 0]) * (0.2 if manifold != Sphere() else 1)
    )
    near = manifold.exp(d, manifold.tangent(d, torch.full_like(d, 1e-2)))
    codes = Codes(torch.cat([a, b, c, near, d, others]), manifold=manifold)
    assert solve_analogies(codes, [[0, 1, 2]], exclude_inputs=False)[0, 0] == 4


def table(noise=0.5, pairs=20, others=100, d=12):
    base, offset = RANDOM.normal(size=(pairs, d)), RANDOM.normal(size=d)
    z = np.concatenate([base, base + offset + noise * RANDOM.normal(size=(pairs, d)), RANDOM.normal(size=(others, d))])
    ids = [f"a{i}" for i in range(pairs)] + [f"ß{i}" for i in range(pairs)] + [f"x{i}" for i in range(others)]
    questions = [(f"a{i}", f"ß{i}", f"a{j}", f"ß{j}") for i in range(pairs) for j in range(pairs) if i != j]
    return Codes(z, ids), questions


def test_scores_are_shares_of_answers_and_count_what_is_missing():
    codes, questions = table()
    place = {name: row for row, name in enumerate(codes.ids.tolist())}
    rows = np.array([[place[name] for name in one] for one in questions])
    asked = [*questions, ("a0", "ß0", "nowhere", "ß1")]
    sections = ["even" if i % 2 == 0 else "odd" for i in range(len(questions))] + ["none"]
    found = evaluate_analogies(codes, asked, sections)
    standard = solve_analogies(codes, rows[:, :3])[:, 0] == rows[:, 3]
    honest = solve_analogies(codes, rows[:, :3], exclude_inputs=False)[:, 0]
    assert found.method == "3cosadd"
    assert found.total.standard.value == pytest.approx(standard.mean())
    assert found.total.honest.value == pytest.approx((honest == rows[:, 3]).mean())
    assert found.total.returns_input.value == pytest.approx((honest[:, None] == rows[:, :3]).any(1).mean())
    assert found.total.honest.value < found.total.standard.value
    assert found.total.coverage.value == pytest.approx(len(questions) / len(asked))
    assert list(found.sections) == ["even", "odd"]
    assert found.sections["odd"].standard.value == pytest.approx(standard[1::2].mean())
    z = codes.z / np.linalg.norm(codes.z, axis=1, keepdims=True)
    near = z @ z.T
    for column, score in ((2, found.total.nearest_of_c), (1, found.total.only_b)):
        best = []
        for one in rows:
            allowed = np.where(np.isin(np.arange(len(z)), one[:3]), -np.inf, near[one[column]])
            best.append(allowed.argmax() == one[3])
        assert score.value == pytest.approx(np.mean(best))
    assert found.total.standard.baseline == found.total.nearest_of_c.value


def test_intervals_know_that_questions_share_pairs():
    """Of questions that are right where both their pairs are, an interval of independent ones would be too short."""
    from lsgen.analysis.analogies.evaluation import _dyadic

    covered, short, truth = 0, 0, 0.49
    for _ in range(200):
        good = RANDOM.random(40) < 0.7
        i, j = np.triu_indices(40, 1)
        values = (good[i] & good[j]).astype(float)
        low, high = _dyadic(values, np.stack([i, j]))
        covered += low <= truth <= high
        short += abs(values.mean() - truth) <= 1.96 * (truth * (1 - truth) / len(values)) ** 0.5
    assert covered / 200 > 0.95 - 4 * (0.05 * 0.95 / 200) ** 0.5
    assert short / 200 < 0.6


def test_what_has_no_answer_is_refused_or_counted_as_wrong():
    codes, questions = table()
    with pytest.raises(ValueError, match="got none of 1"):
        evaluate_analogies(codes, [("a", "b", "c", "d")])
    with pytest.raises(ValueError, match="four names each"):
        evaluate_analogies(codes, [("a0", "ß0", "a1")])
    with pytest.raises(ValueError, match="a method out of 3cosadd"):
        evaluate_analogies(codes, questions, method="lrcos")
    with pytest.raises(ValueError, match="at least 5 codes"):
        evaluate_analogies(Codes(np.eye(4)), [(0, 1, 2, 3)])
    ball = PoincareBall(1.0)
    curved = Codes(0.1 * RANDOM.normal(size=(9, 3)), manifold=ball)
    with pytest.raises(ValueError, match="method transport for codes on PoincareBall"):
        evaluate_analogies(curved, [(0, 1, 2, 3)], method="3cosadd")
    with pytest.raises(ValueError, match="codes that can move"):
        evaluate_analogies(Codes(np.eye(6)[:, :6], manifold=Codebook(torch.eye(6), 1)), [(0, 1, 2, 3)])
    with pytest.raises(ValueError, match="direction"):
        evaluate_analogies(Codes(np.vstack([np.zeros(5), np.eye(5)])), [(1, 2, 3, 4)])
    poles = Codes(np.vstack([np.eye(3), -np.eye(3)]), manifold=Sphere())
    found = evaluate_analogies(poles, [(0, 1, 3, 4), (0, 1, 2, 5)], method="transport")
    assert found.unanswered == 1
    assert found.total.standard.n == 2
    topics = Codes(RANDOM.dirichlet([1, 1, 1], size=9), manifold=Simplex(3))
    assert evaluate_analogies(topics, [(0, 1, 2, 3)]).method == "transport"
    with pytest.raises(ValueError, match="at most 4 answers"):
        solve_analogies(Codes(np.eye(7)), [[0, 1, 2]], k=5)
