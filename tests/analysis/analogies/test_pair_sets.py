"""Analogies of many pairs, of groups and of files, held against loops over formulas and tables of known answers."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lsgen.analysis.analogies import (
    attribute_analogies,
    evaluate_pair_sets,
    read_questions,
    solve_by_pairs,
)
from lsgen.latent import Codes, PoincareBall


def relation(count=8, dim=12, noise=0.05, seed=0):
    """Return codes of words, of their plurals and of others, with the pairs of the first two."""
    rng = np.random.default_rng(seed)
    a, shift, others = rng.normal(size=(count, dim)), 3 * rng.normal(size=dim), rng.normal(size=(30, dim))
    z = np.concatenate([a, a + shift + noise * rng.normal(size=a.shape), others])
    return Codes(z, [f"w{i}" for i in range(len(z))]), [(f"w{i}", f"w{i + count}") for i in range(count)]


def test_average_of_differences_is_added_and_the_greatest_cosine_answers():
    codes, _ = relation()
    unit = codes.z / np.linalg.norm(codes.z, axis=1, keepdims=True)
    pairs, asked = np.array([[0, 8], [1, 9], [2, 10]]), np.array([4, 20])
    found = solve_by_pairs(codes, pairs, asked, "3cosavg", k=4, exclude_inputs=False)
    for c, row in zip(asked, found, strict=True):
        target = unit[c] + unit[[8, 9, 10]].mean(0) - unit[[0, 1, 2]].mean(0)
        cosines = [x @ target / np.linalg.norm(target) for x in unit]
        assert row.tolist() == np.argsort(cosines)[::-1][:4].tolist()
    kept = solve_by_pairs(codes, pairs, asked, "3cosavg", k=3)
    assert all(c not in row for c, row in zip(asked, kept, strict=True))


def test_class_times_similarity_ranks_answers():
    codes, _ = relation()
    unit = (codes.z / np.linalg.norm(codes.z, axis=1, keepdims=True)).astype(float)
    pairs = np.array([[0, 8], [1, 9], [2, 10], [3, 11]])
    free = np.setdiff1d(np.arange(len(unit)), pairs)
    drawn = np.random.default_rng(3).permutation(free)[:4]
    rows = [8, 9, 10, 11, 0, 1, 2, 3, *drawn]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-10))
    scores = model.fit(unit[rows], [1] * 4 + [0] * 8).predict_proba(unit)[:, 1] * (unit @ unit[5])
    found = solve_by_pairs(codes, pairs, [5], "lrcos", k=3, exclude_inputs=False, seed=3)
    assert found[0].tolist() == np.argsort(-scores)[:3].tolist()


@pytest.mark.parametrize("method", ["lrcos", "3cosavg"])
def test_a_relation_is_answered_and_noise_is_not(method):
    codes, pairs = relation()
    rng = np.random.default_rng(1)
    chance = [(f"w{a}", f"w{b}") for a, b in rng.permutation(np.arange(16, 46)).reshape(-1, 2)[:10]]
    gone = [("w0", "nobody"), ("w1", "w9")]
    found = evaluate_pair_sets(codes, {"plural": pairs, "chance": chance, "few": gone}, method)
    plural, nothing = found.relations["plural"], found.relations["chance"]
    assert plural.standard.value > 0.8
    assert plural.standard.value >= plural.honest.value
    assert plural.honest.interval[0] <= plural.honest.value <= plural.honest.interval[1]
    assert nothing.standard.value <= 0.2
    assert found.left_out == ("few",)
    assert found.total.standard.n == 18
    assert found.total.coverage.value == pytest.approx(18 / 20)
    share = (8 * plural.standard.value + 10 * nothing.standard.value) / 18
    assert found.total.standard.value == pytest.approx(share)


def test_a_pair_does_not_answer_for_itself():
    """Three pairs with nothing in common: trained on itself, the class would hold the answer."""
    rng = np.random.default_rng(0)
    codes = Codes(rng.normal(size=(40, 30)))
    found = evaluate_pair_sets(codes, {"none": [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]}).total
    assert found.honest.value == 0


def test_any_code_beside_c_is_right():
    codes, pairs = relation()
    twice = [*pairs, ("w0", "w9")]
    once, both = (evaluate_pair_sets(codes, {"r": one}, "3cosavg").total for one in (pairs, twice))
    assert both.standard.n == 9
    assert both.standard.value * 9 >= once.standard.value * 8


def grid(shift=0.0, manifold=None):
    """Return codes at two attributes, whose differences add up where shift is 0."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    corners = rng.normal(size=(3, 1, 5)) + rng.normal(size=(1, 3, 5)) + shift * rng.normal(size=(3, 3, 5))
    z = corners[first, second] + 0.01 * rng.normal(size=(200, 5))
    z = 0.3 * np.tanh(z) if manifold is not None else z
    columns = {"a": first, "b": np.array(["x", "y", "z"], dtype=object)[second]}
    return Codes(z, columns=columns) if manifold is None else Codes(z, manifold=manifold, columns=columns)


def test_groups_answer_where_attributes_add_up():
    added, apart = (attribute_analogies(grid(shift), "a", "b").total for shift in (0.0, 3.0))
    assert added.honest.value == 1.0
    assert added.honest.n == 6 * 6
    assert added.coverage.value == 1.0
    assert apart.honest.value < 0.6
    assert attribute_analogies(grid(), "a", "b", questions=10).total.honest.n == 10
    assert attribute_analogies(grid(manifold=PoincareBall()), "a", "b").method == "transport"


def test_questions_are_read_by_section(tmp_path):
    file = tmp_path / "q.txt"
    file.write_text(": one\nA b c d\n\n: two\ne f g h\n", encoding="utf-8")
    assert read_questions(file) == ([("A", "b", "c", "d"), ("e", "f", "g", "h")], ["one", "two"])
    assert read_questions(file, lower=True)[0][0] == ("a", "b", "c", "d")
    file.write_text(": one\r\na b c d\r\n", encoding="utf-8-sig")
    assert read_questions(file) == ([("a", "b", "c", "d")], ["one"])
    file.write_text("a b c\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"four names a line in .*q\.txt, got 3 in line 1"):
        read_questions(file)
    file.write_text(": empty\n", encoding="utf-8")
    with pytest.raises(ValueError, match="got none"):
        read_questions(file)


def test_what_cannot_be_answered_is_refused():
    codes, pairs = relation()
    with pytest.raises(ValueError, match="method out of lrcos, 3cosavg, got 'cos'"):
        evaluate_pair_sets(codes, {"r": pairs}, "cos")
    with pytest.raises(ValueError, match="three pairs in the table that share no code, got none of 1"):
        evaluate_pair_sets(codes, {"r": pairs[:2]})
    with pytest.raises(ValueError, match="flat codes, or codes on a sphere"):
        evaluate_pair_sets(Codes(codes.z / 100, codes.ids, PoincareBall()), {"r": pairs})
    with pytest.raises(ValueError, match="asked among 46 codes, got row 99"):
        solve_by_pairs(codes, [[0, 8], [1, 9]], [99])
    with pytest.raises(ValueError, match="two pairs"):
        solve_by_pairs(codes, [[0, 8]], [3])
    with pytest.raises(ValueError, match="at least 5 groups of 2 codes or more by 'a' and 'b'"):
        attribute_analogies(grid().select(np.arange(9)), "a", "b")
    with pytest.raises(ValueError, match="column out of a, b, got 'c'"):
        attribute_analogies(grid(), "a", "c")
