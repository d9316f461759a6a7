"""The figure of a latent plane, against the quantiles of a normal distribution."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.reproduction.figures.manifold import DecodedManifold
from lsgen.runs import RunError


class Codes(nn.Module):
    """A decoder that shows its code: logits of two pixels, one above the other."""

    def forward(self, z):
        return z[:, None, :, None]


def _results(dim):
    model = SimpleNamespace(latent_space=LatentSpace(Codes(), Bernoulli((1, 2, 1)), StandardNormal(dim)))
    return SimpleNamespace(runs=lambda arm: [SimpleNamespace(model=model)])


def test_images_lie_where_their_codes_have_their_quantiles():
    ax = DecodedManifold("plane", points=3)(_results(2)).axes[0]
    picture = np.asarray(ax.images[0].get_array())[..., 0].reshape(3, 2, 3)  # row, coordinate, column
    shown = np.round(255 / (1 + np.exp(-norm.ppf([1 / 6, 1 / 2, 5 / 6]))))
    np.testing.assert_array_equal(picture[:, 0], np.broadcast_to(shown, (3, 3)))
    np.testing.assert_array_equal(picture[:, 1], np.broadcast_to(shown[::-1, None], (3, 3)))
    assert ax.images[0].get_extent() == [0, 1, 0, 1]


def test_other_dimensions_are_refused():
    with torch.no_grad(), pytest.raises(RunError, match="plane: expected a latent space of 2 dimensions"):
        DecodedManifold("plane")(_results(3))
