"""`lsgen.inspect` of spaces without a decoder: imported vectors, and features."""

from pathlib import Path

import pytest
import torch
from torch import nn

import lsgen
from lsgen.cli.errors import UsageError
from lsgen.latent import Codes, FeatureSpace, ItemTable

SMALL = {"points": 3}


@pytest.mark.slow
def test_imported_vectors_are_traversed_by_retrieval(tmp_path: Path) -> None:
    torch.manual_seed(0)
    space = ItemTable(Codes(torch.randn(30, 4), [f"w{i}" for i in range(30)]))
    view = lsgen.inspect(space, directory=tmp_path)
    assert set(view.traversal(**SMALL)) == {"traversal/axes", "interpolation/linear", "interpolation/spherical"}
    assert view.report().path.exists()
    with pytest.raises(UsageError, match="geometry needs a decoder, which ItemTable has not"):
        view.geometry()
    with pytest.raises(UsageError, match="expected no observations for a space without an encoder"):
        lsgen.inspect(space, x=torch.zeros(3, 4))


@pytest.mark.slow
def test_features_are_traversed_by_the_observations_that_were_given(tmp_path: Path) -> None:
    torch.manual_seed(0)
    space = FeatureSpace(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), 2, shape=(1, 4, 4))
    pictures = lsgen.inspect(space, torch.rand(20, 1, 4, 4), tmp_path).traversal(**SMALL)
    assert "traversal/axes" in set(pictures)
    with pytest.raises(
        UsageError, match="expected observations x for FeatureSpace, which has an encoder alone, got none"
    ):
        lsgen.inspect(space)
    with pytest.raises(UsageError, match=r"expected observations \(N, 1, 4, 4\), got \(3, 4\)"):
        lsgen.inspect(space, torch.zeros(3, 4))
    with pytest.raises(UsageError, match="expected a latent space or a model with a latent_space, got str"):
        lsgen.inspect("space")
