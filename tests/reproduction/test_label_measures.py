"""Measures of labels, codes and reconstructions against counts, scikit-learn and NumPy."""

from types import SimpleNamespace

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from lsgen.data import Digits
from lsgen.latent import OneHot, Product, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, BiGAN, MutualInformation, NonSaturating
from lsgen.nn import MLPDecoder
from lsgen.nn.adversarial.bigan import BiGANCritic, BiGANEncoder, BiGANGenerator
from lsgen.nn.adversarial.critics import MLPCritic
from lsgen.reproduction.measures.categories import Categories
from lsgen.reproduction.measures.inversion import ReconstructionDistance
from lsgen.reproduction.measures.nearest_label import NearestLabel
from lsgen.reproduction.runs import TrainedRun

SHAPE = (1, 8, 8)


def run_of(model: nn.Module) -> TrainedRun:
    return TrainedRun("arm", 0, model.eval(), Digits(SHAPE), {}, SimpleNamespace())


class Knowing(nn.Module):
    """Recognises digits as the data know them, under other names, except that eights are taken for threes."""

    def __init__(self, names: Tensor) -> None:
        super().__init__()
        data = Digits(SHAPE)
        parts = [data.dataset(split) for split in ("train", "test")]
        both = [part[torch.arange(len(part))] for part in parts]
        self.x, self.label = (torch.cat([part[key] for part in both]) for key in ("x", "label"))
        self.label = torch.where(self.label == 8, 3, self.label)
        self.names = names

    def forward(self, seen: Tensor) -> Tensor:
        x = (seen + 1) / 2  # the critic's range back to the data's
        rows = torch.cdist(x.flatten(1), self.x.flatten(1), compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        return nn.functional.one_hot(self.names[self.label[rows]], 10).float()


def infogan(recogniser: nn.Module) -> GAN:
    prior = Product([StandardNormal(2), OneHot(10)])
    generator, critic = MLPDecoder(prior.dim, SHAPE, (8,)), MLPCritic(SHAPE, (8,))
    info = MutualInformation(recogniser, classes=10)
    return GAN(generator, critic, FixedGaussian(SHAPE), prior, NonSaturating(), [info], value_range=(0.0, 1.0))


def test_categories_are_matched_with_classes() -> None:
    names = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    run = run_of(infogan(Knowing(names)))
    n = len(run.data.dataset("test"))
    measured = Categories(n=n)(run)
    train, test = (run.data.probe(len(run.data.dataset(split)), split)["label"] for split in ("train", "test"))
    rarer = 8 if (train == 8).sum() < (train == 3).sum() else 3
    assert measured.values["error"] == pytest.approx(100 * float((test == rarer).float().mean()))
    assert measured.arrays["error"].tolist() == (100.0 * (test == rarer)).tolist()


def test_categories_need_a_model_that_recognises_some() -> None:
    prior = StandardNormal(2)
    plain = GAN(MLPDecoder(2, SHAPE, (8,)), MLPCritic(SHAPE, (8,)), FixedGaussian(SHAPE), prior, NonSaturating())
    with pytest.raises(TypeError, match="expected a GAN that recognises classes, got GAN"):
        Categories(n=10)(run_of(plain))


def bigan() -> BiGAN:
    torch.manual_seed(0)
    networks = BiGANEncoder(SHAPE, 3, 8), BiGANGenerator(3, SHAPE, 8), BiGANCritic(SHAPE, 3, 8)
    return BiGAN(*networks, FixedGaussian(SHAPE), StandardNormal(3))


def test_nearest_labels_are_those_of_scikit_learn() -> None:
    run, n = run_of(bigan()), 200
    encoder = run.model.latent_space.encoder
    measured = NearestLabel(n=n)(run)
    found = measured.values
    train, test = (run.data.probe(k, s) for k, s in ((len(run.data.dataset("train")), "train"), (n, "test")))
    maps = {"codes": encoder, "features": encoder.features, "pixels": nn.Flatten()}
    assert set(found) == set(maps)
    for name, of in maps.items():
        with torch.no_grad():
            a, b = (of(batch["x"]).double().numpy() for batch in (train, test))
        nearest = KNeighborsClassifier(1, algorithm="brute").fit(a, train["label"].numpy())
        assert found[name] == pytest.approx(100 * nearest.score(b, test["label"].numpy()))
        assert measured.arrays[name].tolist() == (100.0 * (nearest.predict(b) == test["label"].numpy())).tolist()


def test_reconstructions_are_compared_with_their_own_and_with_another_observation() -> None:
    run = run_of(bigan())
    measured = ReconstructionDistance(n=50)(run)
    x = run.data.probe(50, "test")["x"]
    with torch.no_grad():
        again = run.model(x).flatten(1).double().numpy()
    x = x.flatten(1).double().numpy()
    for name, real in (("error", x), ("other", [*x[1:], x[0]])):
        distances = [sum((a - b) ** 2) ** 0.5 for a, b in zip(real, again, strict=True)]
        assert measured.arrays[name].tolist() == pytest.approx(distances, rel=1e-5)
        assert measured.values[name] == pytest.approx(sum(distances) / 50, rel=1e-5)
