"""Phase transitions of diffusion models without a trained one."""

import math

import numpy as np
import pytest
import torch

from lsgen.data import Digits, Ising, ParameterGrid, Tasep
from lsgen.data.physics.ising_exact import enumerated_ising, ising_statistics
from lsgen.data.physics.tasep_exact import tasep_log_probabilities
from lsgen.models.exponential import PotentialFit
from lsgen.reproduction.comparisons.class_clones import ClassClones
from lsgen.reproduction.comparisons.collapse_times import CollapseTimes
from lsgen.reproduction.comparisons.data_speciation import DataSpeciation
from lsgen.reproduction.comparisons.symmetry_breaking import SymmetryBreaking
from lsgen.reproduction.comparisons.thermodynamics import Thermodynamics
from lsgen.reproduction.figures.curves import Curves


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_clones_are_compared_with_the_integral():
    found = ClassClones(dim=16, clones=1000, repeats=2, steps=100)({})
    assert found.values["theory"] == pytest.approx(0.7752, abs=5e-5)
    error = math.sqrt(0.775 * 0.225 / 2000)
    assert abs(found.values["clones"] - found.values["theory"]) < 4 * error
    assert found.arrays["clones_curve"].shape == found.arrays["deviation"].shape == (2, 9)
    assert found.values["deviation"] == pytest.approx(found.arrays["deviation"].mean())
    assert (np.diff(found.arrays["theory_curve"]) > 0).all()  # times run from noise to data


def test_the_speciation_time_of_data_is_that_of_their_covariance():
    found = DataSpeciation(Digits(), classes=(0, 1), each=80, draws=200, times=(0.5, 1.0, 2.0, 6.0))({})
    split = Digits().dataset("train")
    batch = split[split.rows.sort().indices]  # as they lie in the file
    rows = torch.cat([batch["x"].flatten(1)[batch["label"] == label][:80] for label in (0, 1)]).double()
    top = np.linalg.eigvalsh(np.cov(rows.numpy().T))[-1]
    assert found.values["eigenvalue"] == pytest.approx(top)
    assert found.values["time"] == pytest.approx(math.log(top) / 2)
    agreement = found.arrays["agreement"]
    assert (np.diff(agreement) < 0).all()
    assert agreement[-1] == pytest.approx(0.5, abs=0.05)  # far in the noise both classes are as likely


def test_measured_entropies_are_near_the_formula():
    found = CollapseTimes(dims=(64,), observations=1000, draws=400, repeats=2)({})
    assert found.values["time_64"] == pytest.approx(0.5 * math.log(1 + 1 / (1000 ** (2 / 64) - 1)))
    assert found.values["away_64"] < 0.06 < found.values["near_64"] + 0.06 < 0.25
    assert found.arrays["near_64"].shape[0] == 2
    assert found.values["near_64"] == pytest.approx(found.arrays["near_64"].mean())
    assert found.arrays["measured_64"].shape[1] == len(found.arrays["times_64"])


@pytest.mark.slow
def test_symmetry_breaks_at_the_closed_form():
    found = SymmetryBreaking(amplitude=1.4)({})
    square = 1.4**2
    assert found.values["theta_drift"] == pytest.approx(math.sqrt(math.sqrt(1 + square**2) - square), rel=1e-8)
    assert found.values["theta_density"] == pytest.approx(math.sqrt(1 / (1 + square)), rel=1e-8)
    bend = found.arrays["potential"][:, 99] - 2 * found.arrays["potential"][:, 100] + found.arrays["potential"][:, 101]
    critical = found.values["theta_drift"]
    assert all((b > 0) == (s < critical) for b, s in zip(bend, found.arrays["scales"], strict=True) if s != critical)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ClassClones(times=(0.5,)), "1.0 among them"),
        (lambda: ClassClones(dim=1), "dim, clones and steps of 2 or more"),
        (lambda: CollapseTimes(offsets=(0.1,)), "near 0 and away from it"),
        (lambda: CollapseTimes(draws=1), "draws of 2 or more"),
        (lambda: DataSpeciation(Digits(), classes=(1,)), "two or more classes"),
        (lambda: DataSpeciation(Digits(), classes=(0, 1), each=5000)({}), "expected 5000 observations of each"),
        (lambda: DataSpeciation(Digits(), classes=(1, 8), each=80)({}), "an eigenvalue above 1"),
        (lambda: Curves({}), "at least one panel"),
        (lambda: Curves({"a": {"x": "b/c"}}), "x, points or lines"),
    ],
)
def test_what_cannot_be_measured_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_data_of_another_kind_are_refused():
    with pytest.raises(TypeError, match=r"expected a lsgen.data.DataModule, got str"):
        DataSpeciation("mnist")


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        Ising((1, 4, 4), grid=ParameterGrid((0.2, -0.3), (0.4, 0.3), (3, 3), 100), held_out=(0, 0), steps=4),
        Tasep(sites=3, grid=ParameterGrid((0.3, 0.3), (0.7, 0.8), (3, 3), 100), held_out=(0, 0)),
    ],
)
def test_free_energies_are_learned_in_parts(data):
    fit = PotentialFit(width=3, grid=4, steps=8)
    found = Thermodynamics(data, parts=2, components=2, steps=20, inner=1.0, potential=fit)({})
    for way in ("convex", "mean", "pca"):
        slopes = found.arrays[f"{way}_slopes"]
        assert slopes.shape == (2, 9)
        assert found.values[f"{way}_slopes"] == pytest.approx(float(slopes.mean()))
        assert found.values[f"{way}_slopes_quartered"] == pytest.approx(float(slopes.mean()) / 4)
        assert 0 < found.values[f"{way}_first"] ** 2 < found.values[f"{way}_slopes"]
    assert 0 < found.values["convex_fisher"] < 1
    exact = found.arrays["exact_map"]
    if isinstance(data, Ising):
        t = torch.tensor([found.arrays["first"][1], found.arrays["second"][1]], dtype=torch.float64)
        weights = (ising_statistics(enumerated_ising(4)) @ t).softmax(0)
        g = torch.cov(ising_statistics(enumerated_ising(4)).T, aweights=weights, correction=0)
        assert float(exact[1, 1]) == pytest.approx(float(g.logdet()))
    else:  # by differences of the divergence
        step = 1e-3
        u = torch.tensor([found.arrays["first"][1], found.arrays["second"][1]], dtype=torch.float64)
        moved = u + step * torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]]).double()
        p = tasep_log_probabilities(moved.sigmoid(), 3)
        kl = lambda i: float((p[0].exp() * (p[0] - p[i])).sum()) * 2 / step**2
        a, b, c = kl(1), kl(2), kl(3)
        assert float(exact[1, 1]) == pytest.approx(math.log(a * b - ((c - a - b) / 2) ** 2), abs=0.05)


def test_other_data_have_no_exact_answers():
    with pytest.raises(TypeError, match="Ising or Tasep"):
        Thermodynamics(Digits())
