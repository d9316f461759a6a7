"""Coherence of spaces of which it is known, of tables that are counted by hand, and what judges it."""

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from lsgen.data import DigitLabel, MultimodalData, TensorSource
from lsgen.data.loading import Loading
from lsgen.latent import StandardNormal
from lsgen.latent.multimodal import MixtureOfExperts, MultimodalSpace, ProductOfExperts
from lsgen.likelihoods import FixedGaussian, modalities_likelihood
from lsgen.metrics.multimodal.classifiers_apart import ModalityClassifier, modality_classifiers
from lsgen.metrics.multimodal.code_classification import latent_classification
from lsgen.metrics.multimodal.coherence import GeneratedClasses, binomial_interval, generated_classes

K = 4  # classes
LARGEST = {name: ModalityClassifier(lambda x: x.argmax(1), 1.0) for name in "abc"}


class Sure(nn.Module):
    """Indicators (N, K) -> 30 times themselves as mean, and a variance of e^-20; the prior if blind."""

    def __init__(self, blind=False):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.0 if blind else 30.0))
        self.log_variance = 0.0 if blind else -20.0

    def forward(self, x):
        return torch.cat([self.scale * x, torch.full_like(x, self.log_variance)], 1)


class Same(nn.Module):
    """Codes are the means."""

    def forward(self, z):
        return z


class Always(nn.Module):
    """The mean is the indicator of one class."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, z):
        return nn.functional.one_hot(torch.full((len(z),), self.value), K).to(z.dtype)


def space(joint=None, decoders=None, encoders=None):
    given = {name: Same() for name in "abc"} | (decoders or {})
    seen = {name: Sure() for name in "abc"} | (encoders or {})
    likelihood = modalities_likelihood({name: FixedGaussian((K,), 0.1) for name in "abc"})
    return MultimodalSpace(seen, given, likelihood, StandardNormal(K), joint)


def observations(n=600):
    labels = torch.randint(K, (n,), generator=torch.Generator().manual_seed(0))
    return nn.functional.one_hot(labels, K).float().repeat(1, 3), labels


@pytest.mark.parametrize(("share", "n"), [(0.0, 20), (0.25, 20), (1.0, 20), (0.61, 1000)])
def test_intervals_are_those_of_scipy(share, n):
    expected = binomtest(round(share * n), n).proportion_ci(0.95, method="exact")
    assert binomial_interval(share, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_space_that_copies_the_class_is_coherent():
    x, labels = observations()
    found = generated_classes(space(), x, labels, LARGEST, 500, K).values()
    for key in (
        "conditional_1",
        "conditional_2",
        "joint",
        "from/a+c/to/b",
        "from/b/to/c",
        "reconstructed/a",
        "class/3",
    ):
        assert found[key] == 1.0
        assert found[f"{key}_low"] > 0.95
    assert found["conditional_1_chance"] == pytest.approx(
        sum((labels == k).double().mean().item() ** 2 for k in range(K))
    )


def test_a_decoder_that_sees_nothing_is_right_as_often_as_its_class_occurs():
    x, labels = observations()
    rare = (labels == 2).double().mean().item()
    found = generated_classes(space(decoders={"b": Always(2)}), x, labels, LARGEST, 3000, K).values()
    assert found["from/a/to/b"] == found["from/a+c/to/b"] == pytest.approx(rare)
    assert found["from/a/to/c"] == 1.0
    # of the six pairs of one input and one missing modality two end in b
    assert found["conditional_1"] == pytest.approx((4 + 2 * rare) / 6)
    assert found["joint"] == pytest.approx(1 / K, abs=5 * (3 / 16 / 3000) ** 0.5)
    assert found["joint_chance"] == pytest.approx(1 / K**2, abs=0.01)


def test_a_mixture_is_not_led_by_more_inputs_and_a_product_is():
    x, labels = observations()
    blind = {"a": Sure(blind=True)}
    product = generated_classes(space(ProductOfExperts(), encoders=blind), x, labels, LARGEST, 10, K)
    mixture = generated_classes(space(MixtureOfExperts(), encoders=blind), x, labels, LARGEST, 10, K)
    assert product.hits(("a", "b"), "c").all()
    share = mixture.hits(("a", "b"), "c").double().mean().item()
    expected = 0.5 * (1 + 1 / K)  # the expert of a gives draws of the prior
    assert share == pytest.approx(expected, abs=5 * (expected * (1 - expected) / 600) ** 0.5)
    assert mixture.hits(("b", "c"), "a").all()


def test_a_table_by_hand():
    given = {
        ("a",): torch.tensor([[0, 0], [1, 1], [1, 0]]),
        ("b",): torch.tensor([[0, 0], [0, 1], [1, 1]]),
        ("a", "b"): torch.tensor([[0, 0], [1, 1], [1, 0]]),
    }
    table = GeneratedClasses(
        ("a", "b"), given, torch.tensor([0, 1, 1]), torch.tensor([[0, 0], [0, 1], [1, 1], [1, 1]]), 2
    )
    assert table.conditional(1).tolist() == [1.0, 0.5, 0.5]
    found = table.values()
    assert found["conditional_1"] == pytest.approx(2 / 3)
    assert found["from/a/to/b"] == pytest.approx(2 / 3)
    assert (found["reconstructed/a"], found["reconstructed/b"]) == pytest.approx((1.0, 2 / 3))
    assert (found["class/0"], found["class/1"]) == (1.0, 0.5)
    assert found["joint"] == 0.75
    assert found["joint_chance"] == pytest.approx(0.5 * 0.25 + 0.5 * 0.75)
    # generated classes: b from a is 0, 1, 0 and a from b is 0, 0, 1; labels are 0, 1, 1
    assert found["conditional_1_chance"] == pytest.approx(2 / 3 * 1 / 3 + 1 / 3 * 2 / 3)


def test_linear_classifiers_tell_what_codes_hold():
    x, labels = observations(400)
    blind = space(encoders={"b": Sure(blind=True), "c": Sure(blind=True)})
    found = latent_classification(blind, (x[:200], labels[:200]), (x[200:], labels[200:]))
    guess = labels[200:].bincount().max().item() / 200
    # of the subsets of one, a tells everything; of those of two, both with a do
    assert found[1] == pytest.approx((1 + 2 / K) / 3, abs=(1 + 2 * guess) / 3 - (1 + 2 / K) / 3 + 0.08)
    assert found[2] == pytest.approx((2 + 1 / K) / 3, abs=0.1)
    assert found[3] == 1.0


class Halves(MultimodalData):
    """A vector that tells the class, and is missing from half of the training observations; and one that never does."""

    def __init__(self, missing):
        super().__init__(None, None, {"told": (2,), "noise": (2,)}, missing, 10, 0, Loading())

    def build(self, split):
        generator = torch.Generator().manual_seed(len(split))
        label = torch.randint(2, (800,), generator=generator)
        x = torch.rand(800, 4, generator=generator)
        x[:, 0] += 2.0 * label
        return self.subset(TensorSource(x=x, label=label), torch.arange(800), split)


def test_classifiers_learn_from_what_is_there_alone():
    found = modality_classifiers(Halves({"told": 0.5}), classes=2)
    assert found["told"].accuracy == 1.0
    assert found["noise"].accuracy == pytest.approx(0.5, abs=5 * 0.5 / 800**0.5)
    assert found["told"].predict(torch.tensor([[0.5, 0.5], [2.5, 0.5]])).tolist() == [0, 1]


@pytest.mark.slow
def test_classes_are_told_and_images_are_learned():
    found = modality_classifiers(DigitLabel(), steps=150)
    assert found["label"].accuracy == 1.0
    assert found["image"].accuracy > 0.85
    with pytest.raises(ValueError, match="expected labels from 0 to 4, got 0 to 9"):
        modality_classifiers(DigitLabel(), classes=5)
