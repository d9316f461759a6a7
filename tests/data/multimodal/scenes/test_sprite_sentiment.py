"""Sentiments against a reader of text and image that is written by hand, and what each of them tells alone."""

from collections import Counter, defaultdict

import pytest
import torch

from lsgen.data.multimodal.scenes.sprite_sentiment import SpriteSentiment

WORDS = [
    ["square", "ellipse", "heart"],
    ["red", "green", "blue", "yellow", "purple", "cyan", "orange", "white"],
    ["small", "large"],
    ["top left", "top right", "bottom left", "bottom right"],
]
NAMES = ["shape", "colour", "size", "position"]
GOOD = {"lovely", "wonderful", "great", "love", "adore", "like"}
BAD = {"awful", "terrible", "dreadful", "hate", "loathe", "dislike"}


def everything(data, split):
    """Return texts, labels and factors of a split."""
    own = data.dataset(split)
    batches = [own[rows] for rows in torch.arange(len(own)).split(1000)]
    x, label, factors = (torch.cat([batch[name] for batch in batches]) for name in ("x", "label", "factors"))
    return data.vocabularies["text"].decode(data.packing.unpack(x)["text"]), label.tolist(), factors


@pytest.mark.parametrize(
    ("told", "irony"), [(["shape", "colour"], 0.4), (NAMES, 0.2), (["size"], 1.0), (["position"], 0)]
)
def test_the_sentiment_follows_from_text_and_image(told, irony):
    data = SpriteSentiment(
        told=told, irony=irony, scenes={"number": 3000, "val_size": 500, "test_size": 500, "held_out": []}
    )
    texts, labels, factors = everything(data, "train")
    for text, label, row in zip(texts, labels, factors.tolist(), strict=True):
        words = set(text.split())
        (tone,) = words & (GOOD | BAD)
        true = {name: WORDS[i][row[i]] for i, name in enumerate(NAMES) if name in told}
        named = [name for name in told if set(true[name].split()) <= words]
        sincere = len(named) == len(told)
        assert len(named) >= len(told) - 1
        assert label == ((tone in GOOD) if sincere else (tone in BAD))
        assert row[-1] == (not sincere)
    share = factors[:, -1].double().mean()
    assert abs(share - irony) < 4 * (irony * (1 - irony) / len(texts)) ** 0.5 + 1e-9


def test_neither_modality_tells_it_alone():
    data = SpriteSentiment(irony=0.4, scenes={"number": 24_000, "val_size": 100, "test_size": 8_000, "held_out": []})
    train, test = everything(data, "train"), everything(data, "test")
    for name, seen in (
        ("text", lambda part: part[0]),
        ("image", lambda part: [tuple(row[:4]) for row in part[2].tolist()]),
    ):
        counts = defaultdict(Counter)
        for what, label in zip(seen(train), train[1], strict=True):
            counts[what][label] += 1
        best = {what: found.most_common(1)[0][0] for what, found in counts.items()}
        right = sum(best[what] == label for what, label in zip(seen(test), test[1], strict=True)) / 8_000
        assert data.best_accuracy[name] - 0.035 < right < data.best_accuracy[name] + 0.02
    assert data.best_accuracy == {"image": 0.5, "text": 0.6}
    assert 0.48 < sum(test[1]) / 8_000 < 0.52


def test_a_text_about_it_by_hand():
    data = SpriteSentiment(told=NAMES, scenes={"number": 5000, "val_size": 100, "test_size": 100, "held_out": []})
    texts = set(everything(data, "train")[0])
    assert len(texts) > 1500
    assert {text.split()[0] for text in texts} == {"what", "i"}
    whole = ("what a lovely", "what an awful", "i hate this")
    found = [text for text in texts if text.startswith(whole)]
    sizes = {text.split()[3] for text in found}
    assert sizes == {"small", "large"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"irony": 1.5}, r"expected a share of ironic texts in \[0, 1\], got 1.5"),
        ({"told": []}, r"expected texts that name attributes of one sprite, got \[\] of 1"),
        ({"told": ["weight"]}, "expected data.told out of shape, colour, size, position"),
        ({"scenes": {"sprites": 2}}, "expected texts that name attributes of one sprite, got .* of 2"),
        ({"vocabulary_size": 3}, "expected vocabulary_size .*, got 3"),
    ],
)
def test_bad_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        SpriteSentiment(**options)
