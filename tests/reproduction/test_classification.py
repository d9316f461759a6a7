"""Errors of classification against counts and scikit-learn."""

from types import SimpleNamespace

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from lsgen.data import Digits, Labels
from lsgen.latent import (
    ClassPosterior,
    EncodableLatentSpace,
    LadderDecoder,
    LatentSpace,
    OneHot,
    Posterior,
    Product,
    StackedPosterior,
    StandardNormal,
)
from lsgen.likelihoods import FixedGaussian
from lsgen.nn import MLPDecoder, MLPEncoder
from lsgen.reproduction.measures.classification import Classification
from lsgen.reproduction.runs import TrainedRun


class Halves(nn.Module):
    """Says 3 where the upper half of a digit is the brighter one, else 8: as logits and codes, or for M1, as a code."""

    def __init__(self, stacked: bool = False) -> None:
        super().__init__()
        self.stacked = stacked

    def forward(self, x: Tensor) -> Tensor:
        upper = x[:, 0, :4].sum((1, 2)) > x[:, 0, 4:].sum((1, 2))
        if self.stacked:
            return torch.stack([torch.where(upper, 1.0, -1.0), torch.zeros(len(x))], 1)
        said = nn.functional.one_hot(torch.where(upper, 3, 8), 10).float()
        return torch.cat([said, torch.zeros(len(x), 20)], 1)


class Sign(nn.Module):
    """The same of the code of M1."""

    def forward(self, z: Tensor) -> Tensor:
        said = nn.functional.one_hot(torch.where(z[:, 0] > 0, 3, 8), 10).float()
        return torch.cat([said, torch.zeros(len(z), 20)], 1)


def _run(encoder: nn.Module, decoder: nn.Module, prior: Product, posterior: Posterior) -> TrainedRun:
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((1, 8, 8)), prior, posterior)
    model = SimpleNamespace(latent_space=space, device=torch.device("cpu"))
    return TrainedRun("arm", 0, model, Digits(labelled=Labels(40, share=0.5)), {}, SimpleNamespace())  # type: ignore[arg-type]


def test_a_model_without_encoder_is_refused() -> None:
    prior, decoder = Product([StandardNormal(1), OneHot(10)]), MLPDecoder(11, (1, 8, 8), [4])
    run = _run(Halves(False), decoder, prior, ClassPosterior(1, 10))
    assert run.encodable_space is run.model.latent_space
    run.model.latent_space = LatentSpace(MLPDecoder(1, (1, 8, 8), [4]), FixedGaussian((1, 8, 8)), StandardNormal(1))
    with pytest.raises(TypeError, match="expected a latent space with an encoder, got LatentSpace"):
        Classification(n=1)(run)


@pytest.mark.parametrize("stacked", [False, True])
def test_errors_are_those_of_counts_and_of_classifiers_that_know_the_labels_alone(stacked: bool) -> None:
    parts = [StandardNormal(1), OneHot(10), *([StandardNormal(1)] if stacked else [])]
    if stacked:
        decoder: nn.Module = LadderDecoder(MLPEncoder((11,), 1, [4]), MLPDecoder(1, (1, 8, 8), [4]), 11, 1)
        posterior: Posterior = StackedPosterior(Sign(), 1, 10, 1)
    else:
        decoder, posterior = MLPDecoder(11, (1, 8, 8), [4]), ClassPosterior(1, 10)
    run = _run(Halves(stacked), decoder, Product(parts), posterior)
    values = Classification(n=360, hidden=20)(run).values
    test, train = (run.data.dataset(part) for part in ("test", "train"))
    seen, known = test[torch.arange(360)], train[torch.arange(len(train))]
    x, y = seen["x"], seen["label"]
    upper = x[:, 0, :4].sum((1, 2)) > x[:, 0, 4:].sum((1, 2))
    assert values["error"] == pytest.approx(100 * (torch.where(upper, 3, 8) != y).double().mean().item())
    labelled = known["label"] >= 0
    assert int(labelled.sum()) == 40
    nearest = KNeighborsClassifier(1).fit(known["x"][labelled].flatten(1), known["label"][labelled])
    assert values["nearest_neighbour"] == pytest.approx(100 * (1 - nearest.score(x.flatten(1), y)))
    assert 5 < values["neural_network"] < 60  # of ten classes, by four examples each


def test_a_posterior_without_classes_is_refused() -> None:
    from lsgen.latent import DiagonalNormal

    run = _run(MLPEncoder((1, 8, 8), 2, [4]), MLPDecoder(2, (1, 8, 8), [4]), StandardNormal(2), DiagonalNormal())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Classification expected a posterior with classes, got Independent"):
        Classification(n=10)(run)
    with pytest.raises(ValueError, match="expected n and hidden of at least 1, got 0 and 500"):
        Classification(n=0)
