"""The intrinsic dimension of codes on manifolds whose dimension is known."""

import sys

import numpy as np
import pytest
import torch

from lsgen.analysis.intrinsic import intrinsic_dimension
from lsgen.latent import Codes, PoincareBall, Sphere

RANDOM = np.random.default_rng(0)


def on_a_sphere(m, n=400, d=8):
    x = RANDOM.normal(size=(n, m + 1))
    turn = np.linalg.qr(RANDOM.normal(size=(d, d)))[0]
    return np.pad(x / np.linalg.norm(x, axis=1, keepdims=True), ((0, 0), (0, d - m - 1))) @ turn


@pytest.mark.parametrize("m", [1, 2, 4])
def test_spheres_have_their_dimension_whatever_space_they_lie_in(m):
    pytest.importorskip("skdim")
    found = [intrinsic_dimension(Codes(on_a_sphere(m))) for _ in range(3)]
    for name, bias in (("two_nn", 0.02), ("mle", 0.05)):
        values = np.array([getattr(one, name).value for one in found])
        assert values.mean() == pytest.approx(m, abs=4 * values.std() / 3**0.5 + bias * m)
    assert found[0].two_nn.baseline == 8
    assert sum(one.two_nn.interval[0] <= m <= one.two_nn.interval[1] for one in found) + 1 >= 2


@pytest.mark.parametrize("manifold", [Sphere(), PoincareBall(1.0)])
def test_distances_are_those_of_the_manifold(manifold):
    pytest.importorskip("skdim")
    z = manifold.onto(torch.from_numpy(RANDOM.normal(size=(400, 3)) * (1 if manifold == Sphere() else 0.25)))
    found = intrinsic_dimension(Codes(z, manifold=manifold), k=10)
    dimension = 2 if manifold == Sphere() else 3
    assert found.mle.value == pytest.approx(dimension, abs=0.35)


def test_copies_are_left_out_and_too_few_codes_refused(monkeypatch):
    pytest.importorskip("skdim")
    z = on_a_sphere(2, 200)
    once, often = intrinsic_dimension(Codes(z)), intrinsic_dimension(Codes(np.tile(z, (3, 1))))
    assert (often.two_nn.value, often.copies) == (pytest.approx(once.two_nn.value), 400)
    part = intrinsic_dimension(Codes(z), points=100, seed=1)
    assert part.two_nn.n == 100
    assert part.mle.value == pytest.approx(once.mle.value, rel=0.15)
    line = intrinsic_dimension(Codes(RANDOM.random((300, 1))))
    assert line.mle.value == pytest.approx(1, abs=0.15)
    for bad in (np.ones((60, 2)), RANDOM.normal(size=(29, 2))):
        with pytest.raises(ValueError, match="at least 30 different codes and points"):
            intrinsic_dimension(Codes(bad))
    monkeypatch.setitem(sys.modules, "skdim", None)
    with pytest.raises(ImportError, match=r"pip install 'lsgen\[maps\]'"):
        intrinsic_dimension(Codes(z))
