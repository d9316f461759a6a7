"""Exact answers of the Ising model against all states, against each other, and against published numbers."""

from math import asinh, log, sqrt

import pytest
import torch

from lsgen.data.physics.ising_exact import (
    enumerated_ising,
    infinite_energy,
    infinite_magnetisation,
    ising_statistics,
    kaufman_log_partition,
    transfer_log_partition,
    transfer_log_partition_and_derivatives,
)

NATURAL = [(0.3, 0.2), (0.44, 0.0), (-0.2, -0.5)]


def moments(natural, size):
    """log Z, means and covariance of the statistics over all states."""
    statistics = ising_statistics(enumerated_ising(size))
    exponent = statistics @ natural
    weight = exponent.softmax(0)
    centred = statistics - weight @ statistics
    return exponent.logsumexp(0), weight @ statistics, (weight[:, None] * centred).T @ centred


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("natural", NATURAL)
def test_the_transfer_matrix_sums_over_all_states(natural, size):
    natural = torch.tensor(natural, dtype=torch.float64)
    value, gradient, hessian = transfer_log_partition_and_derivatives(natural, size)
    expected = moments(natural, size)
    for ours, theirs in zip((value, gradient, hessian), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_a_state_counts_every_bond_once():
    up = torch.ones(4, 4)
    one = up.clone()
    one[1, 2] = 0
    assert ising_statistics(torch.stack([up, one])).tolist() == [[32, 16], [24, 14]]


@pytest.mark.parametrize(("t", "h", "volume"), [(2.27, 0.5, 0.634146), (1.0, 2.0, 2.0412e-5)])
def test_the_volume_in_temperature_and_field_is_the_published_one(t, h, volume):
    g = moments(torch.tensor([1 / t, h / t], dtype=torch.float64), 4)[2]
    assert float(torch.linalg.det(g).sqrt()) / t**3 == pytest.approx(volume, rel=5e-5)


def test_the_metric_without_a_field_is_the_published_one():
    g = moments(torch.tensor([1 / 2.27, 0], dtype=torch.float64), 4)[2]
    assert float(g[0, 0]) / 2.27**4 == pytest.approx(2.433078, rel=1e-6)
    assert float(g[1, 1]) / 2.27**2 == pytest.approx(37.806798, rel=1e-6)


@pytest.mark.parametrize("lattice", [(5, 6), (6, 5), (8, 3)])
@pytest.mark.parametrize("coupling", [0.2, log(1 + sqrt(2)) / 2, 0.8])
def test_kaufman_agrees_with_the_transfer_matrix(lattice, coupling):
    natural = torch.tensor([coupling, 0.0], dtype=torch.float64)
    assert kaufman_log_partition(coupling, *lattice) == pytest.approx(
        float(transfer_log_partition(natural, *lattice)), rel=1e-11
    )


def test_a_transfer_matrix_need_not_be_square():
    natural = torch.tensor([0.3, 0.2], dtype=torch.float64)
    torch.testing.assert_close(
        transfer_log_partition(natural, 3, 6), transfer_log_partition(natural, 6, 3), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("coupling", [0.3, 0.6])
def test_onsager_is_the_limit_of_kaufman(coupling):
    size, step = 200, 1e-4
    values = [kaufman_log_partition(coupling + sign * step, size) for sign in (1, -1)]
    assert infinite_energy(coupling) == pytest.approx(-(values[0] - values[1]) / (2 * step * size**2), abs=1e-6)


def test_onsager_and_yang_at_known_points():
    critical = asinh(1) / 2
    assert infinite_energy(critical * (1 + 1e-9)) == pytest.approx(-sqrt(2), abs=1e-6)
    z = torch.tensor(-2.0).double().exp()
    series = 1 - 2 * z**4 - 8 * z**6 - 34 * z**8 - 152 * z**10 - 714 * z**12
    assert infinite_magnetisation(1.0) == pytest.approx(float(series), abs=1e-8)
    assert infinite_magnetisation(critical) == 0


@pytest.mark.parametrize(
    "call",
    [lambda: kaufman_log_partition(0.0, 4), lambda: infinite_energy(-1.0), lambda: infinite_magnetisation(0.0)],
)
def test_couplings_that_are_not_positive_are_refused(call):
    with pytest.raises(ValueError, match="expected a coupling 1/T above 0, got"):
        call()


def test_lattices_without_an_exact_answer_are_refused():
    with pytest.raises(ValueError, match="expected a lattice of 3 x 3 or 4 x 4 sites"):
        enumerated_ising(5)
    with pytest.raises(ValueError, match="expected rows of 3 to 12 sites"):
        transfer_log_partition(torch.zeros(2), 13)
