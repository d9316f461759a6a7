"""Options of the geodesics go through every statistic beside its own of the same name, or are refused."""

import pytest
import torch

from lsgen.geometry import MetricField, reference
from lsgen.geometry.geodesics.boundary_value import solve_geodesics
from lsgen.geometry.geodesics.relaxation import relaxed
from lsgen.geometry.statistics import frechet_mean, kmeans, land, land_log_density, principal_geodesics
from lsgen.geometry.statistics.karcher import LOOSE

f64 = torch.float64
SPHERE = reference.sphere()
CODES = torch.tensor([[0.3, 0.1], [-0.2, 0.3], [0.1, -0.3], [0.4, 0.4]], dtype=f64)
CALLS = {
    "frechet_mean": lambda given: frechet_mean(
        SPHERE.immersion, CODES, tol=1e-2, max_iterations=2, points=9, geodesic_options=given
    ),
    "kmeans": lambda given: kmeans(
        SPHERE.immersion, CODES, 2, tol=1e-1, max_iterations=2, restarts=1, points=9, geodesic_options=given
    ),
    "land": lambda given: land(
        SPHERE.immersion, CODES, 1, tol=1e-1, max_iterations=2, restarts=1, points=9, geodesic_options=given
    ),
    "principal_geodesics": lambda given: principal_geodesics(
        SPHERE.immersion, CODES, tol=1e-2, max_iterations=2, points=9, geodesic_options=given
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_geodesic_takes_them(name, monkeypatch):
    seen = []

    def solved(im, start, end, points, search):
        seen.append((points, search.max_iterations, search.tol))
        return solve_geodesics(im, start, end, points, search)

    def coarser(im, curves, size, max_iterations, tol):
        seen.append((curves.shape[1], max_iterations, tol))
        return relaxed(im, curves, size, max_iterations, tol)

    monkeypatch.setattr("lsgen.geometry.geodesics.logarithm.solve_geodesics", solved)
    monkeypatch.setattr("lsgen.geometry.geodesics.logarithm.relaxed", coarser)
    found = CALLS[name]({"tol": 1e-6, "max_iterations": 77})
    if name == "land":
        land_log_density(SPHERE.immersion, found, CODES, 9, {"tol": 1e-6, "max_iterations": 77})
    points, max_iterations, tol = (set(column) for column in zip(*seen, strict=True))
    assert points == {9, 5}
    assert max_iterations == {77}
    loosened = {"frechet_mean", "principal_geodesics"}  # the first rounds towards a mean have a looser tolerance
    assert tol == ({1e-6, LOOSE} if name in loosened else {1e-6})


def test_they_decide_what_converges():
    im = MetricField(SPHERE.metric, 2)
    none = frechet_mean(im, CODES, max_iterations=8, points=9, geodesic_options={"max_iterations": 0})
    assert not none.converged
    assert none.variance.isnan()
    assert frechet_mean(im, CODES, max_iterations=8, points=9).converged


@pytest.mark.parametrize("name", [*CALLS, "land_log_density"])
def test_refusals(name):
    call = CALLS.get(name, lambda given: land_log_density(SPHERE.immersion, None, CODES, 9, given))
    sentence = "expected geodesic_options among chunk_size, .*max_iterations, .*tol, got initial, tolerance"
    with pytest.raises(ValueError, match=sentence):
        call({"tolerance": 1e-6, "initial": None, "tol": 1e-3})
