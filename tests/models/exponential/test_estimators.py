"""Estimators of the Fisher metric against closed forms and enumeration."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import rel_entr
from scipy.stats import norm

from lsgen.data.physics.ising_exact import enumerated_ising, ising_statistics
from lsgen.geometry import HessianMetric, geodesic
from lsgen.models.exponential import (
    BregmanEstimator,
    FamilySamples,
    FisherClassifier,
    KernelPosterior,
    KnownPosterior,
    LocalStatistics,
    PosteriorNetwork,
    PotentialFit,
    ReleasedRecipe,
    StatisticsMLP,
    family_errors,
    finite_family,
    fisher_errors,
    scale_sensitivity,
)

f64 = torch.float64
QUICK = PotentialFit(width=6, grid=8, steps=60)


def locations(nodes=16, each=400, reach=2.0):
    """x ~ N(t, 1) at nodes of a line."""
    t = torch.linspace(-reach, reach, nodes, dtype=f64).repeat(each)[:, None]
    return FamilySamples(t + torch.randn(len(t), 1, generator=torch.Generator().manual_seed(1), dtype=f64), t)


def location_density(x, t):
    return -((x.double()[:, :1] - t[:, 0]) ** 2) / 2


def ising(size=3, nodes=8, each=150):
    """Independent configurations of a small lattice, with the exact family."""
    states = enumerated_ising(size)
    family = finite_family(ising_statistics(states), (0.1, -0.4), (0.4, 0.3))
    axes = [torch.linspace(float(a), float(b), nodes, dtype=f64) for a, b in zip(family.low, family.high, strict=True)]
    t = torch.cartesian_prod(*axes)
    p = (ising_statistics(states) @ t.T).softmax(0)
    drawn = torch.multinomial(p.T, each, replacement=True, generator=torch.Generator().manual_seed(2))
    return FamilySamples(states[drawn.flatten()][:, None], t.repeat_interleave(each, 0)), family


def truth(family, samples, part=0.8):
    t = samples.nodes[(samples.scaled(samples.nodes).abs() <= part).all(1)]
    return t, family.log_partition(t), family.gradient(t), family.fisher(t)


def impossible(x, t):
    """A log density that is minus infinity far from the parameters."""
    return torch.where((x - t.T).abs() < 2, 0.0, -torch.inf)


@pytest.mark.slow
def test_mean_log_posteriors_give_the_right_scale_and_single_ones_do_not():
    samples = locations(each=2000)
    family = BregmanEstimator(KnownPosterior(location_density), QUICK).fit(samples)
    at = torch.linspace(-1.5, 1.5, 13, dtype=f64)[:, None]
    found = family.fisher(at)
    assert found.mean() == pytest.approx(1, abs=0.04)
    assert (found - 1).abs().max() < 0.2
    assert 0.5 < family.misfit < 2
    assert family.refinement < 0.05
    wide = locations(17, 20, 8.0)
    released = ReleasedRecipe(KnownPosterior(location_density), replace(QUICK, grid=20), each=20).fit(wide)
    centre = released.fisher(torch.linspace(-4, 4, 33, dtype=f64)[:, None]).mean()
    assert centre == pytest.approx(released_scale(), abs=0.06)


def released_scale():
    """The precision g of N(t, 1/g) whose mean Jensen-Shannon divergence from N(x, 1), x ~ N(t, 1), is least."""
    shift, y = np.linspace(-6, 6, 121)[:, None], np.linspace(-9, 9, 721)[None]
    single = norm.pdf(y, shift)

    def loss(precision):
        model = np.broadcast_to(norm.pdf(y, 0, precision**-0.5), single.shape)
        middle = (single + model) / 2
        divergence = (rel_entr(single, middle) + rel_entr(model, middle)).sum(1) / 2
        return (norm.pdf(shift[:, 0]) * divergence).sum()

    return minimize_scalar(loss, bounds=(0.3, 1.2), method="bounded", options={"xatol": 1e-4}).x


@pytest.mark.slow
@pytest.mark.parametrize("network", [StatisticsMLP, LocalStatistics])
def test_a_network_finds_the_metric_of_the_ising_model(network):
    samples, exact = ising()
    found = BregmanEstimator(PosteriorNetwork(network, steps=200, batch_size=500), QUICK).fit(samples)
    assert isinstance(found.metric, HessianMetric)
    errors = family_errors(found, *truth(exact, samples))
    assert errors.fisher.median() < 0.15
    assert errors.log_partition < 0.03
    assert errors.gradient.max() < 0.35


def test_coordinates_that_are_not_natural_are_reported():
    samples, exact = ising(each=300)
    statistics = lambda x: ising_statistics(x[:, 0])
    known = KnownPosterior(lambda x, t: statistics(x) @ t.T - exact.potential(t))
    natural = BregmanEstimator(known, QUICK).fit(samples)
    physical = FamilySamples(samples.x, torch.stack([1 / samples.t[:, 0], samples.t[:, 1] / samples.t[:, 0]], 1))
    back = lambda y: torch.stack([1 / y[:, 0], y[:, 1] / y[:, 0]], 1)
    carried = KnownPosterior(lambda x, y: known(x, back(y)))
    assert natural.misfit < 2
    assert BregmanEstimator(carried, replace(QUICK, steps=40)).fit(physical).misfit > 3 * natural.misfit


@pytest.mark.slow
def test_geodesics_of_a_learned_metric_converge():
    samples, exact = ising()
    known = KnownPosterior(lambda x, t: ising_statistics(x[:, 0]) @ t.T - exact.potential(t))
    found = BregmanEstimator(known, QUICK).fit(samples)
    generator = torch.Generator().manual_seed(0)
    ends = samples.low + (samples.high - samples.low) * torch.rand(2, 8, 2, dtype=f64, generator=generator)
    curves = geodesic(found.metric, *ends, 33)
    assert curves.converged.all()
    torch.testing.assert_close(curves.length, geodesic(exact.metric, *ends, 33).length, rtol=0.1, atol=0)


def test_a_classifier_finds_the_metric_without_a_family():
    samples = locations(9, 1500)
    found = FisherClassifier(steps=250, batch_size=500, hidden=32).fit(samples)
    inner = (samples.scaled(samples.nodes).abs() < 0.8).all(1)
    assert fisher_errors(found.at_nodes, torch.ones(9, 1, 1, dtype=f64))[inner].max() < 0.3
    at = torch.linspace(-1.4, 1.4, 9, dtype=f64)[:, None]
    assert fisher_errors(found.fisher(at), torch.ones(9, 1, 1, dtype=f64)).max() < 0.3


@pytest.mark.slow
def test_a_metric_by_kernels_grows_with_the_scale():
    samples = locations(9, 500)
    family = BregmanEstimator(KernelPosterior(lambda x: x, scale=4.0), QUICK).fit(samples)
    blurred = 1 / (1 + 1 / 4)  # the kernel convolves both sides
    centre = family.fisher(torch.zeros(1, 1, dtype=f64))
    assert centre == pytest.approx(blurred, rel=0.3)
    sizes = scale_sensitivity(locations(9, 50), KernelPosterior(lambda x: x), (0.05, 1.0), QUICK)
    assert sizes[1] > sizes[0] + 1


@pytest.mark.slow
def test_parameters_that_never_repeat_are_learned_from():
    t = 4 * torch.rand(6000, 1, dtype=f64, generator=torch.Generator().manual_seed(3)) - 2
    x = t + torch.randn(6000, 1, dtype=f64, generator=torch.Generator().manual_seed(4))
    found = BregmanEstimator(PosteriorNetwork(steps=200, batch_size=256), QUICK).fit(FamilySamples(x, t))
    centre = found.fisher(torch.linspace(-1, 1, 9, dtype=f64)[:, None])
    assert (centre - 1).abs().max() < 0.25


def test_results_are_the_same_again():
    samples = locations(8, 40)
    fit = BregmanEstimator(PosteriorNetwork(steps=5), replace(QUICK, steps=3)).fit
    at = torch.zeros(1, 1, dtype=f64)
    state = torch.get_rng_state()
    assert torch.equal(fit(samples).fisher(at), fit(samples).fisher(at))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PosteriorNetwork(steps=0), "positive order, steps, batch_size"),
        (lambda: PotentialFit(grid=2), "at least 4 points"),
        (lambda: KernelPosterior(lambda x: x, kernel="box"), "gaussian, chord"),
        (lambda: KernelPosterior(lambda x: x, scale=0.0), "positive, finite scale"),
        (lambda: KernelPosterior(lambda x: x, scale=float("inf")), "positive, finite scale"),
        (lambda: FisherClassifier(reach=0.0), "positive"),
        (lambda: FisherClassifier(rate=float("nan")), "positive"),
        (
            lambda: FisherClassifier().fit(FamilySamples(torch.ones(4, 1), torch.tensor([[0.0], [1.0]]).repeat(2, 1))),
            "expected observations that differ, got 1 alone",
        ),
        (lambda: FisherClassifier(rate=1e30, steps=9, hidden=4).fit(locations(9, 9)), "training to converge"),
        (lambda: ReleasedRecipe(KnownPosterior(location_density), each=0), "at least 1 sample of every node"),
        (lambda: BregmanEstimator(KnownPosterior(impossible), QUICK).fit(locations(4, 9)), "finite log posteriors"),
        (lambda: BregmanEstimator(KnownPosterior(lambda x, t: x), QUICK).fit(locations(4, 9)), r"log densities \(36,"),
        (lambda: FamilySamples(torch.zeros(0, 1), torch.zeros(0, 1)), r"got \(0, 1\) and \(0, 1\)"),
        (lambda: FamilySamples(torch.zeros(3, 1), torch.zeros(3, 0)), r"got \(3, 1\) and \(3, 0\)"),
        (lambda: finite_family(torch.zeros(3, 2), [0.0], [1.0]), r"statistics \(S, d\) with a box"),
        (lambda: finite_family(torch.zeros(3, 1), 0.0, 1.0), r"statistics \(S, d\) with a box"),
        (lambda: finite_family(torch.full((3, 1), torch.nan), [0.0], [1.0]), "finite statistics"),
        (lambda: finite_family(torch.zeros(3, 1), [0.0], [1.0], torch.zeros(2)), "3 log weights, got"),
        (lambda: finite_family(torch.zeros(1, 1), [0.0], [1.0], torch.full((1,), -torch.inf)), "log weights below"),
        (lambda: LocalStatistics((9,), 2), r"\(C, H, W\)"),
        (lambda: KernelPosterior(lambda x: x).fit(locations(9, 3)), "4 samples at every node"),
        (lambda: FisherClassifier(reach=0.01).fit(locations(9, 2)), "larger reach"),
        (lambda: QUICK(locations(4, 2), torch.zeros(1, 1), lambda grid: grid, "hellinger"), "kl, jsd"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
