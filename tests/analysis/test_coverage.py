"""Coverage of draws that are right, too narrow and too wide."""

import pytest
import torch
from scipy.stats import norm

from lsgen.analysis.coverage import imputation_coverage


def case(scale, n=4000, draws=99):
    torch.manual_seed(0)
    x = torch.randn(n, 2, dtype=torch.float64)
    observed = torch.zeros(n, 2, dtype=torch.bool)
    observed[:, 1] = True
    return x, observed, scale * torch.randn(draws, n, 2, dtype=torch.float64)


def test_draws_of_the_truth_cover_what_they_promise():
    found = imputation_coverage(*case(1.0))
    assert found.share.interval[0] < 0.9 < found.share.interval[1]
    assert found.share.baseline == 0.9
    assert found.share.n == 4000
    fifth = norm.ppf((95 - 3 / 8) / (99 + 1 / 4))  # Blom's expectation of the 95th of 99 draws
    assert found.width == pytest.approx(2 * fifth, abs=0.03)
    assert found.below + found.above + found.share.value == pytest.approx(1)


def test_draws_that_are_too_sure_do_not():
    found = imputation_coverage(*case(0.5))
    exact = torch.special.ndtr(torch.tensor(0.5 * 1.645)) * 2 - 1
    assert found.share.value == pytest.approx(float(exact), abs=0.03)
    assert found.share.interval[1] < 0.9


def test_intervals_lie_between_order_statistics():
    draws = torch.arange(1.0, 20.0)[:, None, None].expand(19, 2, 1)
    x = torch.tensor([[1.0], [19.5]])
    found = imputation_coverage(x, torch.zeros(2, 1, dtype=torch.bool), draws)
    assert (found.share.value, found.below, found.above, found.width) == (0.5, 0, 0.5, 18)


def test_values_whose_truth_is_unknown_are_counted_apart():
    x, observed, draws = case(1.0, n=10)
    x[0, 0] = torch.nan
    found = imputation_coverage(x, observed, draws)
    assert (found.share.n, found.unknown) == (9, 1)


def test_what_cannot_be_judged_is_refused():
    x, observed, draws = case(1.0, n=4)
    with pytest.raises(ValueError, match="19 draws or more"):
        imputation_coverage(x, observed, draws[:18])
    with pytest.raises(ValueError, match="known truth, got none"):
        imputation_coverage(x, torch.ones_like(observed), draws)
    with pytest.raises(ValueError, match="finite draws"):
        imputation_coverage(x, observed, torch.full_like(draws, torch.inf))
    with pytest.raises(ValueError, match="expected a truth and a mask"):
        imputation_coverage(x[:2], observed, draws)
