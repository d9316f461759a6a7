"""Scenes against what is seen in their pixels, and captions against a grammar that is written by hand."""

from itertools import product

import pytest
import torch

from lsgen.data.factors.sprites import render
from lsgen.data.multimodal.captioned.recall_levels import RecallLevels
from lsgen.data.multimodal.scenes.captioned_sprites import CaptionedSprites
from lsgen.data.multimodal.scenes.scene_captions import FORMS, Captions, SceneGrammar, SpriteWords, attributes_of
from lsgen.data.multimodal.scenes.sprite_scenes import Scenes, draw_scenes
from lsgen.metrics.disentanglement import MutualInformationGap

SHAPES = ["square", "ellipse", "heart"]
COLOURS = ["red", "green", "blue", "yellow", "purple", "cyan", "orange", "white"]
SIZES = ["small", "large"]
POSITIONS = ["top left", "top right", "bottom left", "bottom right"]
WORDS = {"shape": SHAPES, "colour": COLOURS, "size": SIZES, "position": POSITIONS}
RGB = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0.5, 0], [1, 1, 1]])
COMBINATIONS = list(product(SHAPES, COLOURS, SIZES, POSITIONS))


def texts_of(data, batch):
    return data.vocabularies["caption"].decode(data.packing.unpack(batch["x"])["caption"])


def described(sprite):
    shape, colour, size, position = sprite
    return f"a {size} {colour} {shape} at the {position}"


def test_pixels_show_the_factors():
    factors = Scenes(number=400, sprites=3, held_out=()).drawn(0)
    images = draw_scenes(factors)
    quarters = torch.stack([images[:, :, y : y + 16, x : x + 16] for y in (0, 16) for x in (0, 16)], 1)
    filled = quarters.flatten(2).amax(2) > 0
    assert torch.equal(filled.nonzero()[:, 1].view(400, 3), factors[..., 3])
    own = quarters[filled].view(400, 3, 3, 16, 16)
    light = own.amax((3, 4))
    torch.testing.assert_close(light, RGB[factors[..., 1]] * (0.7 + 0.1 * factors[..., 7])[..., None])
    area = (own.amax(2) > 0).sum((2, 3)).double()
    body = torch.tensor(
        [4 * 0.5, torch.pi / 2, 2.0]
    ).double()  # areas of a square and an ellipse of half-axes 1 and 1/2
    radius = torch.tensor([4.0, 6.4]).double()[factors[..., 2]]
    flat = factors[..., 0] < 2
    assert (area / radius**2 - body[factors[..., 0]])[flat].abs().max() < 0.45


def test_no_sprite_is_cut_off_or_reaches_into_another_quarter():
    factors = torch.cartesian_prod(*(torch.arange(n) for n in (3, 1, 2, 4, 5, 3, 3, 1)))
    drawn = draw_scenes(factors[:, None])
    shape, _, size, position, tilt, x, y, _ = factors.unbind(1)
    alone = render(
        torch.stack([shape, 3 * size, (tilt + 38) % 40, x + 29 * (position % 2), y + 29 * (position // 2)], 1), 32
    )
    torch.testing.assert_close(drawn[:, :1], 0.7 * alone)
    assert not drawn[:, 1:].any()


def test_factors_are_independent_and_uniform():
    number = 20_000
    factors = Scenes(number=number, sprites=2).drawn(1)
    sizes = (3, 8, 2, 4, 5, 3, 3, 4)
    for column, size in enumerate(sizes):
        counts = torch.bincount(factors[:, 0, column], minlength=size)
        if column != 3:
            assert (counts - number / size).abs().max() < 5 * (number / size) ** 0.5
    both = torch.bincount(factors[:, 0, 1] * 8 + factors[:, 1, 1], minlength=64)
    assert (both - number / 64).abs().max() < 5 * (number / 64) ** 0.5
    pairs = torch.bincount(factors[:, 0, 3] * 4 + factors[:, 1, 3], minlength=16).view(4, 4)
    expected = torch.ones(4, 4).triu(1) * number / 6
    assert (pairs - expected).abs().max() < 5 * (number / 6) ** 0.5


@pytest.mark.parametrize(
    "told", [names for n in range(1, 16) if (names := [k for i, k in enumerate(WORDS) if n >> i & 1])]
)
def test_captions_of_the_whole_grammar_are_read_again(told):
    words = [WORDS[name] if name in told else [None] for name in WORDS]
    for form in FORMS:
        phrases = {}
        for values in product(*words):
            phrase = f"{form.opening} {form.phrase(SpriteWords(*values))}".strip()
            known = {name: value for name, value in zip(WORDS, values, strict=True) if value}
            assert phrases.setdefault(phrase, known) == known
        assert attributes_of(phrases) == list(phrases.values())


def test_captions_say_what_a_sentence_by_hand_says():
    data = CaptionedSprites(scenes={"number": 500, "val_size": 100, "test_size": 100})
    batch = data.dataset("train")[torch.arange(200)]
    factors = batch["factors"].tolist()
    sprites = [[options[i] for options, i in zip(WORDS.values(), row, strict=False)] for row in factors]
    assert texts_of(data, batch) == [
        f"{'an' if size[0] in 'aeiou' else 'a'} {size} {colour} {shape} at the {place}"
        for shape, colour, size, place in sprites
    ]
    assert data.attributes_of(texts_of(data, batch)) == [dict(zip(WORDS, sprite, strict=True)) for sprite in sprites]
    assert torch.equal(batch["label"], batch["factors"][:, 0])


def test_the_forms_by_hand():
    grammar = SceneGrammar(Captions(paraphrases=4), 2)
    attributes = torch.tensor([[[0, 6, 1, 0], [1, 0, 0, 3]]]).expand(4, -1, -1)
    assert grammar.vocabulary.decode(grammar.encode(attributes, torch.arange(4))) == [
        "a large orange square at the top left and a small red ellipse at the bottom right",
        "there is a large orange square at the top left and a small red ellipse at the bottom right",
        "at the top left is a large orange square and at the bottom right is a small red ellipse",
        "a picture of a big orange square in the upper left corner and a little red ellipse in the lower right corner",
    ]
    partial = SceneGrammar(Captions(told=["colour", "shape"]), 1)
    assert partial.vocabulary.decode(partial.encode(attributes[:1, :1], torch.zeros(1))) == ["an orange square"]
    thing = SceneGrammar(Captions(told=["size"], paraphrases=3), 1)
    forms = torch.tensor([0, 2])
    assert thing.vocabulary.decode(thing.encode(attributes[:2, :1], forms)) == [
        "a large thing",
        "here is a large thing",
    ]


def test_other_texts_are_no_sentences():
    for text in (
        "",
        "a red",
        "there isa red square",
        "a large large square",
        "red square",
        "a picture of a large heart",
    ):
        assert attributes_of([text]) == [None]
    assert attributes_of(["A  red square"]) == [{"shape": "square", "colour": "red"}]
    assert attributes_of(["a red square and a heart"]) == [{"shape_1": "square", "colour_1": "red", "shape_2": "heart"}]


@pytest.mark.parametrize(
    ("sprites", "held_out"), [(1, list(WORDS)), (1, ["shape", "colour"]), (2, list(WORDS)), (2, ["size"])]
)
def test_no_combination_is_in_two_splits(sprites, held_out):
    data = CaptionedSprites(
        scenes={"number": 3000, "sprites": sprites, "held_out": held_out, "val_size": 500, "test_size": 500}
    )
    seen = []
    for split in ("train", "val", "test"):
        factors = data.dataset(split)[torch.arange(len(data.dataset(split)))]["factors"].view(-1, sprites, 8)
        columns = [list(WORDS).index(name) for name in held_out]
        seen.append({tuple(row) for row in factors[..., columns].flatten(1).tolist()})
    assert all(seen)
    assert sum(map(len, seen)) == len(set().union(*seen))


def test_factors_are_found_by_scores_of_disentanglement():
    data = CaptionedSprites(scenes={"held_out": []})
    factors = data.probe(2500)["factors"]
    assert len(data.factor_names) == len(data.factor_sizes) == factors.shape[1] == 8
    codes = -2.0 * factors.flip(1).double() + 1
    assert MutualInformationGap().score(codes, factors)["mig"] > 0.98
    two = CaptionedSprites(scenes={"sprites": 2, "held_out": [], "number": 500, "val_size": 50, "test_size": 50})
    assert two.factor_names[:2] == ("shape_1", "colour_1")
    assert two.factor_names[8:10] == ("shape_2", "colour_2")
    assert two.factor_sizes == data.factor_sizes * 2


def test_the_default_holds_captions_out():
    data = CaptionedSprites()
    captions = {split: set(texts_of(data, data.probe(2000, split))) for split in ("train", "val", "test")}
    assert sum(map(len, captions.values())) == len(set().union(*captions.values())) == len(COMBINATIONS)
    assert set().union(*captions.values()) == {described(sprite) for sprite in COMBINATIONS}
    assert len(captions["test"]) >= 32


def test_training_draws_paraphrases_anew_and_what_is_held_out_has_none():
    data = CaptionedSprites(
        scenes={"sprites": 2, "number": 1000, "val_size": 100, "test_size": 100}, captions={"paraphrases": 4}
    )
    train, rows = data._training_batches(), torch.arange(300)
    requests = []
    for epoch in (0, 1, 0):
        train.set_epoch(epoch)
        request = next(iter(train))
        requests.append(request.__class__(rows, epoch))
    first, second, again = (texts_of(data, data.dataset("train")[request]) for request in requests)
    assert first == again
    assert 0.6 < sum(a != b for a, b in zip(first, second, strict=True)) / 300 < 0.9
    told = attributes_of(first)
    assert told == attributes_of(second)
    factors = data.dataset("train")[rows]["factors"].view(-1, 2, 8)
    assert [known["colour_2"] for known in told] == [COLOURS[i] for i in factors[:, 1, 1]]
    assert not any(text.startswith(("there", "at", "a picture")) for text in texts_of(data, data.probe(100)))


def test_recall_levels_by_enumeration():
    captions = ["a", "a", "b", "c", "c", "c"]
    told = [{"class": name} for name in "xxxyyy"]  # "a" and "b" tell the same
    random = sum(one == other for one in captions for other in captions) / 36
    alike = [[captions[j] for j in range(6) if told[j] == told[i]] for i in range(6)]
    oracle = sum(found.count(captions[i]) / len(found) for i, found in enumerate(alike)) / 6
    assert RecallLevels.of(captions, told) == pytest.approx((random, oracle))
    assert RecallLevels.of(captions[:2], told[:2]) == (1, 1)
    with pytest.raises(ValueError, match="expected captions with what each tells"):
        RecallLevels.of(captions, [*told[:5], None])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"captions": {"length": 7}}, "expected data.captions.length of at least 8 for the longest caption, got 7"),
        ({"captions": {"told": []}}, "expected captions that tell an attribute at least"),
        ({"captions": {"told": ["shade"]}}, "expected data.captions.told out of shape, colour, size, position"),
        ({"captions": {"paraphrases": 5}}, "expected data.captions.paraphrases from 1 to 4, got 5"),
        ({"scenes": {"sprites": 4}}, "expected at least 3 scenes of 1 to 3 sprites, got 20000 of 4"),
        ({"scenes": {"held_out": ["shape", "shape"]}}, "expected data.scenes.held_out out of .* each once"),
        ({"vocabulary_size": 5}, "expected vocabulary_size 21, got 5"),
        ({"shapes": {"image": [3, 32, 32], "caption": [9]}}, "expected shapes .* which CaptionedSprites provides"),
    ],
)
def test_bad_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        CaptionedSprites(**options)


@pytest.mark.parametrize(
    "text", ["a large pink square at the top left", "", "a red square and a red square at the top"]
)
def test_bad_sentences_are_refused(text):
    data = CaptionedSprites(scenes={"number": 100, "val_size": 10, "test_size": 10})
    with pytest.raises(ValueError, match="expected"):
        data.vocabularies["caption"].encode([text], data.shapes["caption"][0])


def test_a_longer_row_ends_with_zeros():
    data = CaptionedSprites(captions={"length": 12}, scenes={"number": 100, "val_size": 10, "test_size": 10})
    caption = data.packing.unpack(data.probe(4)["x"])["caption"]
    assert caption.shape == (4, 12)
    assert not caption[:, 8:].any()
    assert (caption[:, :8] > 0).all()
