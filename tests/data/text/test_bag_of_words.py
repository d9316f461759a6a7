"""Documents as counts of words, counted by hand."""

import re
from collections import Counter

import pytest
import torch
from scipy import sparse

from lsgen.data import BagOfWords

LINES = ["The cat sat on the mat.", "", "A cat, a dog; a CAT!", "dog dog mouse", "mat mat mat", "Über-cat und dog"] * 4


def counts(data, split):
    dataset = data.dataset(split)
    batch = dataset[torch.argsort(dataset.rows)]
    return dataset.rows.sort().values.tolist(), batch["x"], batch.get("label")


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")
    return tmp_path / "lines.txt"


def test_words_are_counted_as_by_hand(lines):
    data = BagOfWords(path=str(lines), val_size=3, test_size=4)
    texts = [line.lower() for line in LINES if line]
    training = [texts[row] for row in data.dataset("train").rows.tolist()]
    often = Counter(word for text in training for word in set(re.findall(r"\b\w\w+\b", text)))
    assert data.vocabulary == tuple(sorted(word for word, number in often.items() if number >= 2))
    assert data.shape == (len(data.vocabulary),)
    assert "über" in data.vocabulary
    for split in ("train", "val", "test"):
        rows, x, label = counts(data, split)
        expected = [[re.findall(r"\b\w\w+\b", texts[row]).count(word) for word in data.vocabulary] for row in rows]
        assert x.tolist() == expected
        assert label is None


def test_the_most_frequent_words_of_another_kind(lines):
    words = {"most": 2, "pattern": r"[a-zA-Z]+", "lowercase": False, "stop_words": ["dog"]}
    data = BagOfWords(path=str(lines), words=words, val_size=1, test_size=0)
    training = [[line for line in LINES if line][row] for row in data.dataset("train").rows.tolist()]
    total = Counter(word for text in training for word in re.findall("[a-zA-Z]+", text) if word != "dog")
    fewest = min(total[word] for word in data.vocabulary)
    assert len(data.vocabulary) == 2
    assert all(number <= fewest for word, number in total.items() if word not in data.vocabulary)


def test_words_of_held_out_documents_alone_are_not_counted(tmp_path):
    (tmp_path / "lines.txt").write_text("\n".join(f"same only{'abcdefghij'[number]}" for number in range(10)))
    data = BagOfWords(path=str(tmp_path / "lines.txt"), words={"least_documents": 1}, val_size=2, test_size=2)
    kept = data.dataset("train").rows.tolist()
    assert set(data.vocabulary) == {"same"} | {f"only{'abcdefghij'[number]}" for number in kept}
    assert (counts(data, "test")[1].sum(1) == 1).all()


def test_files_in_folders_have_the_class_of_the_first(tmp_path):
    for name, text in (("b/x/1.txt", "two words"), ("a/2.txt", "two two"), ("a/3.txt", "words"), ("a/4.md", "no")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    data = BagOfWords(path=str(tmp_path), val_size=0, test_size=0)
    assert (data.classes, data.vocabulary) == (("a", "b"), ("two", "words"))
    _, x, label = counts(data, "train")
    assert x.tolist() == [[2, 0], [0, 1], [1, 1]]
    assert label.tolist() == [0, 0, 1]


def test_counts_stay_sparse():
    data = BagOfWords()
    source = data.dataset("train").source
    assert sparse.issparse(source.counts)
    assert len(data.classes) == 5
    x, label = source(torch.arange(200))["x"], source(torch.arange(200))["label"]
    own = {word for word, number in zip(data.vocabulary, x[label == 3].sum(0), strict=True) if number > 25}
    assert {"orbit", "planet", "comet"} <= own
    assert "butter" not in own


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"most": 0}, "expected most and least_documents of at least 1, got 0 and 2"),
        ({"least_documents": 99}, "expected words that occur in 99 of 18 training documents, got none"),
        ({"pattern": "["}, r"expected a regular expression as pattern, got '\['"),
        ({"pattern": "(a)(b)"}, r"expected a pattern with at most one group in brackets"),
        ({"pattern": "xyzzy"}, "expected words in .*lines.txt, got none"),
        ({"stop_words": "german"}, 'expected stop_words "english", a list of words or null'),
        ({"most": 2.5}, "expected data.words.most to be a whole number or null, got 2.5"),
        ({"lowercase": "yes"}, "expected data.words.lowercase to be true or false, got 'yes'"),
        ({"stop_words": [1]}, r"expected data.words.stop_words to be text or a list or null, got \[1\]"),
        ({"stem": True}, "expected words to be a mapping with some of most, .*, got stem"),
    ],
)
def test_options_that_make_no_words(lines, words, sentence):
    with pytest.raises(ValueError, match=sentence):
        BagOfWords(path=str(lines), words=words, val_size=1, test_size=1)


def test_files_that_are_no_documents(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected documents at .*none, found nothing"):
        BagOfWords(path=str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"expected files \.txt below .*, got none"):
        BagOfWords(path=str(tmp_path))
    (tmp_path / "latin.txt").write_bytes("ein Ölbild".encode("latin-1"))
    with pytest.raises(ValueError, match=r"expected text in UTF-8 in .*latin\.txt, got another encoding at byte 4"):
        BagOfWords(path=str(tmp_path / "latin.txt"))
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(ValueError, match=r"expected a document a line in .*empty\.txt, got an empty file"):
        BagOfWords(path=str(tmp_path / "empty.txt"))
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "a.txt").write_text("a")
    with pytest.raises(ValueError, match=r"in the folder of its class, or none, got empty\.txt in none"):
        BagOfWords(path=str(tmp_path))


def test_only_line_feeds_end_documents(tmp_path):
    (tmp_path / "lines.txt").write_bytes("red blue\u2028red\x0cblue\r\nblue red\r\n\r\nred blue".encode())
    data = BagOfWords(path=str(tmp_path / "lines.txt"), val_size=0, test_size=0)
    assert counts(data, "train")[1].tolist() == [[2, 2], [1, 1], [1, 1]]


def test_documents_in_capitals_are_taken_and_hidden_ones_are_not(tmp_path):
    for name in ("a/1.txt", "a/2.TXT", "b/3.txt", ".hidden/4.txt", "a/._1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("red blue")
    data = BagOfWords(path=str(tmp_path), val_size=0, test_size=0)
    assert (data.classes, counts(data, "train")[2].sort().values.tolist()) == (("a", "b"), [0, 0, 1])
