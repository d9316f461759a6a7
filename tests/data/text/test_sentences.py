"""Sentences as rows of numbers, by hand."""

import re

import pytest
import torch

from lsgen.data import Grammar, Sentences

LINES = ["The cat sat.", "", "A dog, a cat!", "the dog", "cat", "mat on the mat", "über dog"] * 8


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")
    return str(tmp_path / "lines.txt")


def _texts(data, split):
    dataset = data.dataset(split)
    order = torch.argsort(dataset.rows)
    return dataset.rows[order].tolist(), data.vocabularies["sentence"].decode(dataset[order]["x"])


def test_lines_come_back_from_their_rows(lines):
    data = Sentences(path=lines, wording={"unknown": "<unk>"}, val_size=2, test_size=2)
    assert data.shape == (6,)
    texts = [" ".join(re.findall(r"\w+|[^\w\s]", line.lower())) for line in LINES if line]
    seen = []
    for split in ("train", "val", "test"):
        rows, found = _texts(data, split)
        assert found == [texts[row] for row in rows]
        seen += rows
    assert sorted(seen) == list(range(len(texts)))
    assert data.vocabulary_size == data.vocabularies["sentence"].size == len(set(" ".join(texts).split())) + 2


def test_known_words_are_those_of_training_sentences(tmp_path):
    (tmp_path / "lines.txt").write_text("\n".join(f"same only{'abcdefghij'[number]}" for number in range(10)))
    path = str(tmp_path / "lines.txt")
    with pytest.raises(ValueError, match="expected words of the vocabulary of 7 words, got 'only"):
        Sentences(path=path, val_size=2, test_size=2)
    data = Sentences(path=path, wording={"unknown": "<unk>"}, val_size=2, test_size=2)
    assert _texts(data, "val")[1] == _texts(data, "test")[1] == ["same <unk>"] * 2
    assert all("<unk>" not in text for text in _texts(data, "train")[1])


def test_long_sentences_are_refused_or_left_out(lines):
    message = "expected sentences of at most 4 words in .*, got 8 longer ones, of up to 6: raise data.wording.length"
    with pytest.raises(ValueError, match=message):
        Sentences(path=lines, wording={"length": 4})
    data = Sentences(path=lines, wording={"length": 4, "longer": "leave_out"}, val_size=3, test_size=3)
    assert data.shape == (4,)
    kept = [text for split in ("train", "val", "test") for text in _texts(data, split)[1]]
    assert len(kept) == 40
    assert all(len(text.split()) <= 4 for text in kept)


def test_a_longer_row_is_filled_up_with_ends(lines):
    data = Sentences(path=lines, wording={"length": 9}, val_size=3, test_size=3)
    assert data.shape == (9,)
    assert bool((data.dataset("train")[torch.arange(10)]["x"][:, 6:] == 0).all())


def test_folders_are_read_as_one(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(f"word {name}\nword\n")
    data = Sentences(path=str(tmp_path), wording={"unknown": "<unk>"}, val_size=1, test_size=1)
    assert sum(len(data.dataset(split)) for split in ("train", "val", "test")) == 4


def test_made_up_sentences_are_those_of_the_grammar():
    grammar = Grammar(200)
    data = Sentences(example=grammar, wording={"unknown": "<unk>"}, val_size=20, test_size=20)
    texts = list(grammar.texts())
    rows, found = _texts(data, "train")
    assert found == [texts[row] for row in rows]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wording": {"length": 0}}, "expected a length of at least 1 word or null, got 0"),
        ({"wording": {"least": 99}}, "expected words that occur 99 times in the texts, got none"),
        ({"wording": {"colour": 1}}, "expected wording to be a mapping with some of pattern"),
        ({"vocabulary_size": 3}, "expected vocabulary_size 12, got 3"),
    ],
)
def test_what_cannot_be_is_refused(lines, options, message):
    with pytest.raises(ValueError, match=message):
        Sentences(path=lines, val_size=3, test_size=3, **options)


def test_a_sentence_without_a_word_is_refused(tmp_path):
    (tmp_path / "lines.txt").write_text("one\n--\ntwo")
    with pytest.raises(ValueError, match=r"expected a word in every sentence of .*, got '--' without"):
        Sentences(path=str(tmp_path / "lines.txt"), wording={"pattern": r"\w+"}, val_size=1, test_size=0)
