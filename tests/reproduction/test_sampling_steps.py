"""Distances of samples by step against the Gaussians that samplers of a linear denoiser lead to."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import spearmanr
from torch import nn

from lsgen.data import Toy
from lsgen.metrics.quality import Pixels
from lsgen.models.diffusion import Denoiser, Diffusion, VariancePreserving
from lsgen.models.diffusion.samplers import DDIM, Ancestral
from lsgen.reproduction.measures.sampling_steps import SamplingSteps
from lsgen.reproduction.runs import TrainedRun

PATH = VariancePreserving()
SPREAD = 0.7


class Linear(nn.Module):
    """The network of the exact denoiser of N(0, SPREAD^2 I), whose `sigma_data` is 1."""

    shape = (2,)

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x, noise, label=None):
        variance = (8 * noise).exp()[:, None]
        return SPREAD**2 / (SPREAD**2 + variance) * x * (1 + variance).sqrt()


def variance(steps, ancestral):
    """Return the variance of samples: every step is linear, with noise of its own."""
    t = torch.linspace(1, 0, steps, dtype=torch.float64)
    alpha, sigma = (part.tolist() for part in PATH.alpha_sigma(t))
    v = sigma[0] ** 2
    for i in range(steps):
        shrunk = SPREAD**2 * alpha[i] / (alpha[i] ** 2 * SPREAD**2 + sigma[i] ** 2)  # D = shrunk x
        if i + 1 == steps:
            return shrunk**2 * v
        a, b = alpha[i] / alpha[i + 1], sigma[i + 1]
        if ancestral:
            noised = sigma[i] ** 2 - a**2 * b**2
            factor = a * b**2 / sigma[i] ** 2 + alpha[i + 1] * noised / sigma[i] ** 2 * shrunk
            v = factor**2 * v + noised * b**2 / sigma[i] ** 2
        else:
            v = (alpha[i + 1] * shrunk + b * (1 - alpha[i] * shrunk) / sigma[i]) ** 2 * v
    raise AssertionError


def test_distances_are_those_of_the_gaussians_that_samplers_lead_to():
    model = Diffusion(Denoiser(Linear(), PATH, "data", sigma_data=1.0))
    data, n = Toy([2], "two_moons", train_size=2000, val_size=10, test_size=4000), 4000
    run = TrainedRun("arm", 0, model.eval(), data, {}, SimpleNamespace())
    steps = {"ddim": [2, 4, 10], "ancestral": [2, 10]}
    measure = SamplingSteps(
        Pixels([2]), {"ddim": partial(DDIM), "ancestral": partial(Ancestral)}, steps, ["ddim_10", "ancestral_10"], n
    )
    found = measure(run).values

    def moments(split, count):
        rows = data.dataset(split)[torch.arange(count)]["x"].double().numpy()
        return rows.mean(0), np.cov(rows.T)

    mean, covariance = moments("train", 2000)

    def distance(other_mean, other):
        cross = np.trace(np.real(sqrtm(covariance @ other)))
        return sum((mean - other_mean) ** 2) + np.trace(covariance) + np.trace(other) - 2 * cross

    assert found["floor"] == pytest.approx(distance(*moments("test", n)), rel=1e-4)
    expected = {}
    for name, counts in steps.items():
        for count in counts:
            expected[f"{name}_{count}"] = distance(np.zeros(2), variance(count, name == "ancestral") * np.eye(2))
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=0.03)
    assert found["ratio"] == found["ddim_10"] / found["ancestral_10"]
    own = [found[f"ddim_{count}"] for count in steps["ddim"]]
    assert found["ddim_correlation"] == pytest.approx(spearmanr(steps["ddim"], own).statistic)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": {"euler": [2]}}, "expected steps of"),
        ({"ratio": ["ddim_2", "ddim_3"]}, "expected two of ddim_2, ddim_4 in `ratio`"),
        ({"n": 1}, "expected n and real of at least 2"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, sentence):
    given = {"samplers": {"ddim": DDIM}, "steps": {"ddim": [2, 4]}, "ratio": ["ddim_2", "ddim_4"], **options}
    with pytest.raises(ValueError, match=sentence):
        SamplingSteps(Pixels([2]), **given)
