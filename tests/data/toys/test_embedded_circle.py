"""The embedded circle: von Mises clusters, and observations that differ from the map by the noise alone."""

from math import pi

import pytest
import torch
from scipy import special, stats

from lsgen.data import EmbeddedCircle


def everything(data, split="train"):
    dataset = data.dataset(split)
    return dataset[torch.arange(len(dataset))]


@pytest.mark.parametrize("kappa", [0.5, 10.0, 200.0])
def test_angles_are_von_mises_about_the_centres_of_their_clusters(kappa):
    data = EmbeddedCircle((100,), kappa, train_size=4_000)
    centre = 2 * pi / 3 * everything(data)["label"]
    about = torch.remainder(data.angles("train") - centre + pi, 2 * pi) - pi
    assert stats.kstest(about.numpy(), stats.vonmises(kappa).cdf).pvalue > 1e-4
    assert about.cos().mean().item() == pytest.approx(special.ive(1, kappa) / special.ive(0, kappa), abs=0.05)
    assert everything(data)["label"].bincount().min() > 1_200


def test_without_concentration_the_circle_is_uniform():
    angles = EmbeddedCircle((100,), 0.0, train_size=20_000).angles("train")
    assert stats.kstest(angles.numpy() / (2 * pi), "uniform").pvalue > 1e-4


def test_observations_are_the_map_and_normal_noise():
    data = EmbeddedCircle(noise=0.3)
    rest = everything(data)["x"].double() - data.embedding(data.angles("train"))
    assert rest.std().item() == pytest.approx(0.3, rel=0.01)
    assert stats.kstest(rest[:200].flatten().numpy() / 0.3, "norm").pvalue > 1e-4


def test_the_map_is_a_closed_curve_of_mean_square_one_that_is_not_flat():
    data = EmbeddedCircle()
    angle = torch.linspace(0, 2 * pi, 401, dtype=torch.float64)
    curve = data.embedding(angle)
    torch.testing.assert_close(curve[0], curve[-1])
    assert curve[:-1].square().mean().item() == pytest.approx(1, abs=1e-9)
    spectrum = torch.linalg.svdvals(curve - curve.mean(0))
    assert spectrum[2] > 0.05 * spectrum[0]  # a linear map of the circle has two singular values


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concentration": -1.0}, "concentration"),
        ({"noise": -1.0}, "noise"),
        ({"test_size": 0}, "test_size"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        EmbeddedCircle(**options)
