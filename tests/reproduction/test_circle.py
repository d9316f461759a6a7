"""Whether codes keep a circle, for codes that are known functions of the true angle."""

from math import exp
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lsgen.data import Digits, EmbeddedCircle
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models import VAE
from lsgen.models.vae import ELBO
from lsgen.nn import MLPDecoder, MLPEncoder
from lsgen.reproduction.measures.circle import Circle
from lsgen.reproduction.runs import TrainedRun


class Known(nn.Module):
    """Posteriors of given means (n, 2), in the order of the observations, and of one variance."""

    dim, heads = 2, 2

    def __init__(self, means, log_variance):
        super().__init__()
        self.means, self.log_variance = means, log_variance

    def forward(self, x):
        return torch.cat([self.means, torch.full_like(self.means, self.log_variance)], dim=1)


def measured(means, log_variance=-30.0, data=None):
    data = EmbeddedCircle() if data is None else data
    model = VAE(
        Known(means, log_variance),
        MLPDecoder(2, data.shape, ()),
        likelihood=FixedGaussian(data.shape),
        prior=StandardNormal(2),
        objective=ELBO(),
    )
    return Circle()(TrainedRun("arm", 0, model, data, {}, SimpleNamespace()))


def ring(angle):
    return torch.stack([torch.cos(angle), torch.sin(angle)], dim=1).float()


def test_a_circle_that_is_turned_or_mirrored_is_kept():
    theta = EmbeddedCircle().angles("test")
    for code in (ring(theta + 1), 3 * ring(2 - theta)):
        found = measured(code)
        assert found.values["correlation"] == pytest.approx(1, abs=1e-9)
        assert found.values["inner"] == 0
    np.testing.assert_allclose(found.arrays["codes"], code, atol=1e-5)
    np.testing.assert_allclose(found.arrays["angles"], theta, rtol=1e-6)


def test_the_share_of_short_codes_is_that_of_a_normal_distribution_where_the_posterior_is_the_prior():
    found = measured(torch.zeros(1000, 2), 0.0)
    share = 1 - exp(-1 / 4)
    assert found.values["inner"] == pytest.approx(share, abs=4.5 * (share * (1 - share) / 1000) ** 0.5)
    assert found.values["inner"] == pytest.approx(found.arrays["inner"].mean())
    assert found.values["correlation"] < 0.15


def test_other_data_and_other_dimensions_are_refused():
    with pytest.raises(TypeError, match="Digits"):
        measured(torch.zeros(1000, 2), data=Digits())
    data = EmbeddedCircle()
    model = VAE(
        MLPEncoder(data.shape, 3, ()),
        MLPDecoder(3, data.shape, ()),
        likelihood=FixedGaussian(data.shape),
        prior=StandardNormal(3),
        objective=ELBO(),
    )
    with pytest.raises(ValueError, match="3 dimensions"):
        Circle()(TrainedRun("arm", 0, model, data, {}, SimpleNamespace()))
