"""The Frechet distance of a Gaussian generator against its closed form."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn

from lsgen.data import Toy
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.quality import Pixels
from lsgen.models.gan import GAN, NonSaturating
from lsgen.nn.adversarial.critics import MLPCritic
from lsgen.reproduction.measures.frechet import Frechet
from lsgen.reproduction.runs import TrainedRun


def test_distance_of_a_gaussian_generator() -> None:
    generator = nn.Linear(2, 2)
    with torch.no_grad():
        generator.weight.copy_(torch.tensor([[2.0, 0.0], [1.0, 0.5]]))
        generator.bias.copy_(torch.tensor([1.0, -1.0]))
    model = GAN(generator, MLPCritic([2], (4,)), FixedGaussian([2]), StandardNormal(2), NonSaturating())
    data, n = Toy([2], "two_moons", train_size=2000, val_size=10, test_size=10), 100_000
    run = TrainedRun("arm", 0, model.eval(), data, {}, SimpleNamespace())
    found = Frechet(Pixels([2]), n=n, chunk_size=5000)(run).values["distance"]

    real = data.dataset("train")[torch.arange(2000)]["x"].double().numpy()
    mean, covariance = np.array([1.0, -1.0]), np.array([[4.0, 2.0], [2.0, 1.25]])
    own = np.cov(real.T)
    cross = np.trace(np.real(sqrtm(own @ covariance)))
    expected = sum((real.mean(0) - mean) ** 2) + np.trace(own) + np.trace(covariance) - 2 * cross
    assert found == pytest.approx(expected, abs=20 / math.sqrt(n))


def test_too_few_samples_have_no_covariance() -> None:
    with pytest.raises(ValueError, match="expected n and real of at least 2"):
        Frechet(Pixels([2]), n=1)
