"""Captions of classes: what they name, which sentence they are, and what is refused."""

import pytest
import torch

from lsgen.data.multimodal.captioned.captioned_digits import CaptionedDigits
from lsgen.data.multimodal.captioned.captioned_fashion import CaptionedFashion
from lsgen.data.sampler import Request

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def texts_of(data, batch):
    return data.vocabularies["caption"].decode(data.packing.unpack(batch["x"])["caption"])


def test_captions_name_the_digit():
    from sklearn.datasets import load_digits

    data, digits = CaptionedDigits(), load_digits()
    for split in ("train", "val", "test"):
        own = data.dataset(split)
        batch = own[torch.arange(len(own))]
        rows = own.rows.numpy()
        parts = data.packing.unpack(batch["x"])
        assert torch.equal(batch["label"], torch.from_numpy(digits.target[rows]))
        torch.testing.assert_close(parts["image"][:, 0], torch.from_numpy(digits.images[rows] / 16).float())
        named = [text.split()[-1] for text in texts_of(data, batch)]
        assert named == [NUMBERS[label] for label in batch["label"]]
        if split != "train":
            assert set(texts_of(data, batch)) == {
                f"a{'n' * (name == 'eight')} {name}".join(["a picture of ", ""]) for name in NUMBERS
            }


def test_sentences_are_drawn_anew_in_every_epoch():
    data = CaptionedDigits(templates={"texts": ["{}", "look at {} here"]})
    train, rows = data.dataset("train"), torch.arange(1000)
    first, second, again = (texts_of(data, train[Request(rows, epoch)]) for epoch in (0, 1, 0))
    assert first == again
    drawn = [text.startswith("look") for text in first]
    assert 400 < sum(drawn) < 600
    assert 400 < sum(a != b for a, b in zip(first, second, strict=True)) < 600
    assert data.attributes_of(first) == data.attributes_of(second)


def test_prompts_are_all_sentences_of_a_class_and_are_read_again():
    data = CaptionedDigits()
    assert data.classes == tuple(NUMBERS)
    assert data.prompts[8] == [
        "a picture of an eight",
        "this is an eight",
        "an image that shows an eight",
        "here one can see an eight",
    ]
    for name, texts in zip(data.classes, data.prompts, strict=True):
        assert data.attributes_of(texts) == [{"class": name}] * len(texts)
    assert data.attributes_of(["this is", "a picture of a sneaker", "This is a  one."]) == [None, None, None]
    random, oracle = data.recall_levels(texts_of(data, data.probe(100)))
    assert oracle == 1
    shares = torch.bincount(data.probe(100)["label"]) / 100
    assert random == pytest.approx(float((shares**2).sum()))


def test_missing_captions_are_zeros():
    data = CaptionedDigits(missing={"caption": 0.5})
    batch = data.dataset("train")[torch.arange(1000)]
    caption, present = data.packing.unpack(batch["x"])["caption"], batch["present"]
    assert present[:, 0].all()
    assert 400 < present[:, 1].sum() < 600
    assert not caption[~present[:, 1]].any()
    assert (caption[present[:, 1], 0] > 0).all()


def test_fashion_has_the_classes_of_its_files():
    try:
        data = CaptionedFashion(root=__import__("os").environ.get("LSGEN_DATA_DIR", "data"))
    except FileNotFoundError:
        pytest.skip("Fashion-MNIST is not in LSGEN_DATA_DIR")
    from torchvision.datasets import FashionMNIST

    official = [name.lower() for name in FashionMNIST.classes]
    assert [name in own or own[:5] == name[:5] for name, own in zip(data.classes, official, strict=True)] == [True] * 10
    batch = data.probe(50)
    assert [told["class"] for told in data.attributes_of(texts_of(data, batch))] == [
        data.classes[i] for i in batch["label"]
    ]


@pytest.mark.parametrize(
    ("templates", "sentence"),
    [
        ({"texts": ["a picture"]}, "expected one place \"{}\" for the class in each of .* got 'a picture'"),
        ({"texts": ["{} and {}"]}, 'expected one place "{}" for the class'),
        ({"texts": []}, "expected data.templates.texts with a sentence at least"),
        ({"texts": ["{}", "{}"]}, "expected data.templates.texts with a sentence at least, each once"),
        ({"length": 5}, "expected data.templates.length of at least 6 for 'an image that shows a zero', got 5"),
        ({"text": ["{}"]}, "expected templates to be a mapping with some of texts, length, got text"),
    ],
)
def test_bad_templates_are_refused(templates, sentence):
    with pytest.raises(ValueError, match=sentence):
        CaptionedDigits(templates=templates)
