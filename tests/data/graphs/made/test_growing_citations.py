"""The growing network of citations: who can be cited, how often by the formula, and what the drift does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, spearmanr

from lsgen.data import GrowingCitations


def test_papers_cite_so_many_different_ones_of_earlier_years() -> None:
    found = GrowingCitations(years=6, per_year=7, citations=9).graph()
    year = found.columns["year"]
    citing, cited = found.edges.numpy().T
    assert (year[citing] > year[cited]).all()
    assert found.times is not None
    assert np.array_equal(found.times.numpy(), year[citing])
    np.testing.assert_array_equal(np.bincount(citing, minlength=42), [*[0] * 7, *[7] * 7, *[9] * 28])
    assert found.directed
    assert not GrowingCitations(years=3, directed=False).graph().directed
    assert found.names[8] == "1:1"


def test_citations_follow_the_formula() -> None:
    """In the second year nothing has been cited before: nearness alone decides on the one paper that each cites."""
    size = 3000
    found = GrowingCitations(years=2, per_year=size, citations=1, topics=0, drift=0.8, ahead=1.5).graph()
    place = 0.8 * found.columns["intrinsic_year"]
    cited = found.edges[:, 1].numpy()
    kernel = np.exp(-np.square(place[size:, None] - place[:size]) / 2)
    share = kernel / kernel.sum(1, keepdims=True)
    cuts = np.quantile(place[:size], [0.1, 0.3, 0.5, 0.7, 0.9])
    bins = np.searchsorted(cuts, place[:size])
    wanted = np.array([share[:, bins == k].sum() for k in range(6)])
    seen = np.bincount(bins[cited], minlength=6)
    assert ((seen - wanted) ** 2 / wanted).sum() < chi2.isf(1e-4, 5)


def test_what_is_cited_is_cited_again() -> None:
    """In the third year, without distances, a paper is cited in proportion to its citations and one."""
    size, number = 400, 30
    found = GrowingCitations(years=3, per_year=size, citations=number, topics=0, drift=0.0).graph()
    citing, cited = found.edges.numpy().T
    before = np.bincount(cited[citing < 2 * size], minlength=2 * size)
    after = np.bincount(cited[citing >= 2 * size], minlength=2 * size)
    expected = (before + 1) / (before + 1).sum() * after.sum()
    for part in (before == 0, before > np.median(before)):
        assert abs(after[part].sum() / expected[part].sum() - 1) < 0.1  # drawing without replacement flattens it


def test_papers_ahead_of_their_time_are_cited_more_in_a_field_that_moves() -> None:
    for drift, moves in ((0.4, True), (0.0, False)):
        found = GrowingCitations(years=20, per_year=100, drift=drift).graph()
        year, ahead = found.columns["year"], found.columns["intrinsic_year"] - found.columns["year"]
        cited = found.in_degrees().numpy()
        within = [spearmanr(ahead[year == y], cited[year == y])[0] for y in range(3, 15)]
        assert (np.mean(within) > 0.25) == moves
        assert moves or abs(np.mean(within)) < 0.1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"years": 1}, "expected at least 2 years"),
        ({"citations": 0}, "a paper and a citation in each"),
        ({"drift": float("inf")}, "expected drift, ahead and spread of at least 0 and finite"),
    ],
)
def test_what_does_not_grow_is_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        GrowingCitations(**options)  # type: ignore[arg-type]
