"""Answers against a reader of the questions that is written by hand, and what can be guessed without the scene."""

import re
from collections import Counter, defaultdict

import pytest
import torch

from lsgen.data.multimodal.scenes.scene_questions import chances, question_texts
from lsgen.data.multimodal.scenes.sprite_questions import SpriteQuestions
from lsgen.data.multimodal.scenes.sprite_scenes import draw_scenes

SHAPES = ["square", "ellipse", "heart"]
COLOURS = ["red", "green", "blue", "yellow", "purple", "cyan", "orange", "white"]
SIZES = ["small", "large"]
POSITIONS = ["top left", "top right", "bottom left", "bottom right"]
COUNTS = ["zero", "one", "two", "three"]
KINDS = ["shape", "colour", "size", "position", "comparison", "count", "existence"]
THING = r"(?:(small|large) )?(?:(\w+?) )?(thing|square|ellipse|heart)s?(?: at the ((?:top|bottom) (?:left|right)))?"


def sprites_of(factors):
    rows = factors[:, :-1].view(len(factors), -1, 8)[..., :4].tolist()
    return [[(SHAPES[s], COLOURS[c], SIZES[z], POSITIONS[p]) for s, c, z, p in row] for row in rows]


def found(sprites, size, colour, shape, position):
    wanted = (None if shape == "thing" else shape, colour, size, position)
    return [one for one in sprites if all(w in (None, own) for w, own in zip(wanted, one, strict=True))]


def reader(question, sprites):
    """Return the type and the answer; every description of one sprite must fit to one alone."""
    for kind, pattern in {
        "shape": rf"what shape is the {THING} \?",
        "colour": rf"what colour is the {THING} \?",
        "size": rf"what size is the {THING} \?",
        "position": rf"where is the {THING} \?",
    }.items():
        if match := re.fullmatch(pattern, question):
            (only,) = found(sprites, *match.groups())
            return kind, only[KINDS.index(kind)]
    if match := re.fullmatch(rf"how many {THING} are there \?", question):
        return "count", COUNTS[len(found(sprites, *match.groups()))]
    if match := re.fullmatch(rf"is there an? {THING} \?", question):
        return "existence", "yes" if found(sprites, *match.groups()) else "no"
    if match := re.fullmatch(r"which is larger , the (\w+) or the (\w+) \?", question):
        (one,), (other,) = ([s for s in sprites if s[0] == shape] for shape in match.groups())
        assert one[2] != other[2]
        return "comparison", (one if one[2] == "large" else other)[0]
    at = {sprite[3]: sprite for sprite in sprites}
    if match := re.fullmatch(r"is the thing at the (.+) larger than the thing at the (.+) \?", question):
        one, other = (at[place] for place in match.groups())
        return "comparison", "yes" if (one[2], other[2]) == ("large", "small") else "no"
    match = re.fullmatch(
        r"do the thing at the (.+) and the thing at the (.+) have the same (shape|colour) \?", question
    )
    one, other = at[match[1]], at[match[2]]
    column = ["shape", "colour"].index(match[3])
    return "comparison", "yes" if one[column] == other[column] else "no"


def asked(data, split):
    """Return questions, answers and factors of a split, without the images."""
    rows, table = data._rows[split].long(), question_texts()
    factors, question, answer, kind = (part[rows] for part in data._asked)
    texts = [table[i] for i in question.tolist()]
    return texts, [data.answers[i] for i in answer], torch.cat([factors.flatten(1), kind[:, None]], 1)


@pytest.fixture(scope="module", params=[2, 3])
def data(request):
    scenes = {"number": 30_000, "sprites": request.param, "held_out": [], "val_size": 3_000, "test_size": 6_000}
    return SpriteQuestions(scenes=scenes)


@pytest.mark.slow
def test_every_answer_follows_from_the_scene(data):
    seen = set()
    for split in ("train", "val", "test"):
        texts, answers, factors = asked(data, split)
        kinds = [data.types[i] for i in factors[:, -1]]
        read = [reader(text, sprites) for text, sprites in zip(texts, sprites_of(factors), strict=True)]
        assert read == list(zip(kinds, answers, strict=True))
        seen |= set(texts)
    assert seen == set(question_texts().values())  # every question that there is has been asked and answered


def test_batches_hold_what_was_asked(data):
    texts, answers, factors = asked(data, "test")
    batch = data.dataset("test")[torch.arange(100)]
    parts = data.packing.unpack(batch["x"])
    assert data.vocabularies["question"].decode(parts["question"]) == texts[:100]
    assert [data.answers[i] for i in batch["label"]] == answers[:100]
    assert torch.equal(batch["factors"], factors[:100])
    torch.testing.assert_close(parts["image"], draw_scenes(factors[:100, :-1].view(100, -1, 8)))


def test_one_who_sees_the_question_alone_guesses(data):
    counts, everything = defaultdict(Counter), {}
    for split in ("train", "val", "test"):
        everything[split] = asked(data, split)
    for text, answer in zip(*everything["train"][:2], strict=True):
        counts[text][answer] += 1
    best = {text: found.most_common(1)[0][0] for text, found in counts.items()}
    known = chances(data.scenes.sprites)
    for split in ("val", "test"):
        right = defaultdict(list)
        for text, answer, kind in zip(*everything[split][:2], everything[split][2][:, -1].tolist(), strict=True):
            right[data.types[kind]].append(best.get(text) == answer)
        assert set(right) == set(KINDS)
        for kind, found in right.items():
            p, n = known[kind], len(found)
            assert abs(sum(found) / n - p) < 4.5 * (p * (1 - p) / n) ** 0.5
            if KINDS.index(kind) < 4:
                assert sum(found) / n <= 0.6
        whole = [one for found in right.values() for one in found]
        assert sum(whole) / len(whole) == pytest.approx(data.best_accuracy["question"], abs=0.05)


def test_answers_are_balanced_in_every_split(data):
    for split in ("train", "val", "test"):
        _, answers, factors = asked(data, split)
        kinds = factors[:, -1]
        options = [SHAPES, COLOURS, SIZES, POSITIONS, None, COUNTS[: data.scenes.sprites + 1], ["no", "yes"]]
        for kind, words in enumerate(options):
            counts = Counter(answer for answer, own in zip(answers, kinds.tolist(), strict=True) if own == kind)
            n = sum(counts.values())
            assert abs(n - len(answers) / 7) < 5 * (len(answers) / 7) ** 0.5
            if words is not None:
                assert set(counts) == set(words)
                assert all(abs(count - n / len(words)) < 5 * (n / len(words)) ** 0.5 for count in counts.values())


def test_one_who_sees_the_scene_alone_is_often_wrong(data):
    _, answers, factors = asked(data, "test")
    right = 0.0
    for sprites, answer in zip(sprites_of(factors), answers, strict=True):
        weights = Counter()  # of the answers of all types, each type alike; what is asked of a sprite is its attribute
        for column in range(4):
            weights.update(
                {value: count / len(sprites) for value, count in Counter(s[column] for s in sprites).items()}
            )
        weights.update({"yes": 0.5, "no": 0.5})
        weights.update({"yes": 0.375, "no": 0.375})
        weights.update({word: 1 / (len(sprites) + 1) for word in COUNTS[: len(sprites) + 1]})
        right += max(weights, key=weights.get) == answer
    assert right / len(answers) < 0.25


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scenes": {"sprites": 1}}, "expected scenes of 2 or 3 sprites for questions about them, got 1"),
        ({"types": ["weight"]}, "expected data.types out of shape, colour, .* got"),
        ({"types": []}, "expected data.types out of"),
        ({"length": 18}, "expected data.length of at least 19 for the longest question, got 18"),
        ({"vocabulary_size": 3}, "expected vocabulary_size 47, got 3"),
    ],
)
def test_bad_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        SpriteQuestions(**options)


def test_types_can_be_chosen():
    data = SpriteQuestions(types=["count"], scenes={"number": 300, "sprites": 3, "val_size": 50, "test_size": 50})
    texts, _, factors = asked(data, "train")
    assert all(text.startswith("how many") for text in texts)
    assert set(factors[:, -1].tolist()) == {KINDS.index("count")}
    assert data.best_accuracy == {"question": 0.25}
