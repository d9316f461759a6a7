"""The exclusion process against the stationary vector of its master equation."""

import numpy as np
import pytest
import torch
from scipy.linalg import null_space

from lsgen.data import ParameterGrid, Tasep
from lsgen.data.physics.tasep_exact import (
    draw_tasep,
    limiting_current,
    tasep_current,
    tasep_log_partition,
    tasep_log_probabilities,
)

RATES = [(0.3, 0.8), (0.6, 0.2), (0.25, 0.25), (0.9, 0.7)]


def stationary(alpha, beta, sites):
    """Probabilities of all states, whose bits are the sites, by the master equation."""
    size = 2**sites
    generator = np.zeros((size, size))

    def hop(before, after, rate):
        generator[after, before] += rate
        generator[before, before] -= rate

    for state in range(size):
        bits = [state >> site & 1 for site in range(sites)]
        if not bits[0]:
            hop(state, state | 1, alpha)
        if bits[-1]:
            hop(state, state ^ (1 << (sites - 1)), beta)
        for site in range(sites - 1):
            if bits[site] and not bits[site + 1]:
                hop(state, state ^ (3 << site), 1.0)
    vector = null_space(generator)[:, 0]
    return vector / vector.sum()


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("sites", [1, 3, 6])
def test_the_current_leaves_the_last_site(rates, sites):
    probability = stationary(*rates, sites)
    occupied = (np.arange(2**sites) >> (sites - 1)) & 1
    assert tasep_current(*rates, sites) == pytest.approx(rates[1] * (probability @ occupied), rel=1e-10)


@pytest.mark.parametrize("rates", RATES)
def test_long_systems_have_the_current_of_their_phase(rates):
    assert tasep_current(*rates, 600) == pytest.approx(limiting_current(*rates), abs=1.5e-3)


def test_partition_functions_of_few_sites():
    assert tasep_log_partition(0.3, 0.7, 1) == pytest.approx(np.log(1 / 0.3 + 1 / 0.7))
    assert tasep_log_partition(1.0, 1.0, 3) == pytest.approx(np.log(14))  # a Catalan number


def test_states_are_drawn_from_the_stationary_distribution():
    each, sites = 20_000, 5
    alpha, beta = torch.tensor(RATES, dtype=torch.float64).repeat_interleave(each, 0).unbind(-1)
    states = draw_tasep(alpha, beta, sites, np.random.default_rng(0)).numpy()
    numbers = (states * 2 ** np.arange(sites)).sum(1).reshape(len(RATES), each)
    for rates, mine in zip(RATES, numbers, strict=True):
        expected = each * stationary(*rates, sites)
        squares = (np.bincount(mine, minlength=2**sites) - expected) ** 2 / expected
        assert squares.sum() < 31 + 4.5 * np.sqrt(62)


def test_long_systems_can_be_drawn():
    rates = torch.tensor([[0.05, 0.9], [0.9, 0.05]], dtype=torch.float64).repeat_interleave(200, 0)
    states = draw_tasep(rates[:, 0], rates[:, 1], 300, np.random.default_rng(0)).double()
    low, high = states[:200].mean(), states[200:].mean()
    assert abs(low - 0.05) < 0.01
    assert abs(high - 0.95) < 0.01


def test_states_belong_to_their_nodes():
    data = Tasep(sites=8, grid=ParameterGrid((0.1, 0.1), (0.9, 0.9), (2, 2), each=500), held_out=(200, 200))
    batch = data.dataset("train")[torch.arange(1600)]
    full = batch["x"].mean(1)
    filled = [full[(batch["factors"] == torch.tensor(node)).all(-1)].mean() for node in ((0, 1), (1, 0))]
    assert filled[0] < 0.2
    assert filled[1] > 0.8


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match=r"expected rates above 0, got 0.0"):
        Tasep(grid={"low": (0.0, 0.1), "high": (1.0, 1.0)})
    with pytest.raises(ValueError, match="expected at least 2 sites, got 1"):
        Tasep(sites=1)
    with pytest.raises(ValueError, match="at least 1 site, got 0"):
        tasep_current(0.5, 0.5, 0)


@pytest.mark.parametrize("sites", [1, 2, 5])
def test_probabilities_of_all_states_solve_the_master_equation(sites):
    found = tasep_log_probabilities(torch.tensor(RATES), sites).exp()
    for rates, row in zip(RATES, found, strict=True):
        np.testing.assert_allclose(row, stationary(*rates, sites), rtol=1e-6, atol=1e-12)
    with pytest.raises(ValueError, match="1 to 16 sites"):
        tasep_log_probabilities(torch.tensor(RATES), 17)
