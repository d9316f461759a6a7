"""Principal components of features against scikit-learn's, and what is refused."""

import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from lsgen.data import Digits
from lsgen.models.embedding.similarity import PrincipalFeatures
from lsgen.nn import BlockEncoder


def _model(dim: int = 5) -> PrincipalFeatures:
    torch.manual_seed(0)
    return PrincipalFeatures(BlockEncoder((1, 8, 8), 12, (4, 8)), dim, (1, 8, 8)).double()


def test_codes_are_whitened_principal_components_of_features() -> None:
    model, x = _model(), Digits().probe(150, "val")["x"].double()
    before = {name: value.clone() for name, value in model.latent_space.encoder.network.state_dict().items()}
    model.train().fit(x)
    after = model.latent_space.encoder.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())  # running statistics as well
    features = model.latent_space.encoder.network(x)
    pca = PCA(5, whiten=True, svd_solver="full").fit(features.numpy())
    expected = torch.from_numpy(pca.transform(features.numpy())) * (150 / 149) ** 0.5
    torch.testing.assert_close(model(x).abs(), expected.abs())
    torch.testing.assert_close(torch.cov(model(x).T, correction=0), torch.eye(5, dtype=torch.float64))
    assert float(model.loss({"x": x}).loss) == pytest.approx(1 - pca.explained_variance_ratio_.sum())


def test_what_has_no_components_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a network with a dim of at least 13 features, got 12"):
        _model(13)
    with pytest.raises(ValueError, match="expected a network with a dim of at least 2 features, got None"):
        PrincipalFeatures(nn.Flatten(), 2)
    with pytest.raises(ValueError, match="expected features that vary in 5 directions at least, got 1"):
        _model().fit(torch.arange(6.0, dtype=torch.float64)[:, None, None, None] * torch.eye(8, dtype=torch.float64))
    with pytest.raises(ValueError, match="with d = 5 expected at least 6 observations, got 5"):
        _model().fit(torch.zeros(5, 1, 8, 8, dtype=torch.float64))
