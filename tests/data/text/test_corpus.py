"""Documents as sequences of words, numbered by hand; the grammar against its own samples."""

import re
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lsgen.data import Baskets, Corpus, Grammar
from lsgen.data.text.tokens import END, TokenRows

LINES = ["The cat sat on the mat.", "", "A cat, a dog; a CAT!", "rare", "dog dog mouse", "über-cat and dog"] * 5
SMALL = {"least": 2, "length": 4}


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")
    return tmp_path / "lines.txt"


def by_hand(data):
    """Return the known words of each document, from the text; a document of none is no document."""
    texts = [line.lower() for line in LINES if line]
    found = [[word for word in re.findall(r"\w+", text) if word in data.vocabulary] for text in texts]
    ends = sum(int((data.tokens(split) == END).sum()) for split in ("train", "val", "test"))
    assert ends == sum(bool(words) for words in found)
    return found


def words_of(data, split):
    return [[data.vocabulary[number] for number in document] for document in data.documents(split)]


def test_words_are_numbered_as_by_hand_and_unknown_ones_left_out(lines):
    data = Corpus(path=str(lines), tokens={**SMALL, "least": 6}, val_size=4, test_size=3)
    everything = [words for split in ("train", "val", "test") for words in words_of(data, split)]
    assert sorted(everything) == sorted(words for words in by_hand(data) if words)
    total = Counter(word for words in words_of(data, "train") for word in words)
    assert "rare" not in data.vocabulary
    assert data.counts.tolist() == [total[word] for word in data.vocabulary]
    assert data.counts.tolist() == sorted(data.counts.tolist(), reverse=True)
    assert min(total.values()) >= 6


def test_rows_are_the_documents_one_after_another(lines):
    data = Corpus(path=str(lines), tokens=SMALL, val_size=3, test_size=0)
    rows = data.dataset("train")[torch.arange(len(data.dataset("train")))]["x"]
    assert rows.dtype == torch.int64
    assert rows.shape[1] == 4
    sequence = [int(number) for words in data.documents("train") for number in [*words, END]]
    assert rows.flatten().tolist()[: len(sequence)] == sequence
    assert set(rows.flatten().tolist()[len(sequence) :]) <= {END}
    assert len(data.dataset("test")) == 0


def test_files_are_made_once_found_by_content_and_mapped(lines, capsys):
    make = partial(Corpus, path=str(lines), tokens=SMALL, val_size=3, test_size=2)
    first = make()
    assert isinstance(first.tokens("train"), np.memmap)
    (made,) = lines.parent.glob("*.tokens")
    stamp = (made / "header.json").stat().st_mtime_ns
    assert "Counting and numbering the words of 25 documents" in capsys.readouterr().err
    lines.touch()
    again = make()
    assert (made / "header.json").stat().st_mtime_ns == stamp
    assert capsys.readouterr().err == ""
    assert (again.vocabulary, words_of(again, "val")) == (first.vocabulary, words_of(first, "val"))
    lines.write_text(lines.read_text(encoding="utf-8").replace("mouse", "horse"), encoding="utf-8")
    assert "horse" in make().vocabulary
    assert len(list(lines.parent.glob("*.tokens"))) == 2
    assert [path for path in lines.parent.iterdir() if path.name.startswith(".lines")] == []


def test_what_is_read_from_a_file_is_what_is_made_in_memory(tmp_path):
    grammar = Grammar(documents=300)
    for number, part in enumerate(("a.txt", "b/c.txt")):
        (tmp_path / "text" / part).parent.mkdir(parents=True, exist_ok=True)
        texts = list(grammar.texts())[150 * number : 150 * number + 150]
        (tmp_path / "text" / part).write_text("\n".join(texts) + "\n")
    mapped = Corpus(path=str(tmp_path / "text"), tokens={"cache": str(tmp_path / "cache")})
    kept = Corpus(example=grammar)
    assert mapped.vocabulary == kept.vocabulary
    for split in ("train", "val", "test"):
        assert np.array_equal(mapped.tokens(split), kept.tokens(split))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "text"]


def test_a_source_maps_its_file_itself_in_another_process(tmp_path):
    np.arange(10, dtype=np.int32).tofile(tmp_path / "a.bin")
    source = TokenRows(np.memmap(tmp_path / "a.bin", np.int32, "r"), 4)
    source(torch.tensor([0]))
    assert "_tokens" not in source.__getstate__()
    assert source.__getstate__()["_kept"] is None
    assert source(torch.tensor([2, 0]))["x"].tolist() == [[8, 9, END, END], [0, 1, 2, 3]]


def test_the_grammar_is_what_it_says():
    grammar = Grammar(documents=10000, length=5, seed=3)
    torch.testing.assert_close(torch.from_numpy(grammar.contexts.sum(1)), torch.ones(120, dtype=torch.float64))
    beside, number = np.zeros_like(grammar.contexts), {word: i for i, word in enumerate(grammar.words)}
    for text in grammar.texts():
        words = text.split()
        (subject,) = (word for word in words if word not in number)
        for word in words:
            if word != subject:
                beside[grammar.subjects.index(subject), number[word]] += 1
    expected = grammar.contexts * beside.sum(1, keepdims=True)
    inside = expected > 5
    deviation = (beside[inside] - expected[inside]) / np.sqrt(expected[inside])
    assert abs((deviation**2).mean() - 1) < 4 * np.sqrt(2 / inside.sum()) + 0.05
    assert (beside[grammar.contexts == 0] == 0).all()


def test_what_the_grammar_knows_of_its_words():
    grammar, place = Grammar(), {word: i for i, word in enumerate(Grammar().subjects)}
    for _, a, b, c, d in grammar.questions[::37]:
        log_p = {w: grammar.contexts[place[w]] for w in (a, b, c, d)}
        both = (log_p[a] > 0) & (log_p[c] > 0)
        torch.testing.assert_close(torch.tensor(log_p[a][both] * log_p[d][both]).sqrt().sum() > 0, torch.tensor(True))
        assert ((log_p[a] > 0) == (log_p[b] > 0)).sum() == grammar.contexts.shape[1] - 8  # but for the two roles
    for a, b, value in grammar.similarities[::53]:
        p, q = grammar.contexts[place[a]], grammar.contexts[place[b]]
        assert value == pytest.approx(1 - 0.5 * ((np.sqrt(p) - np.sqrt(q)) ** 2).sum())  # Hellinger
    assert len({round(value, 3) for _, _, value in grammar.similarities}) > 10
    sections = Counter(section for section, *_ in grammar.questions)
    assert sections == {"capital-country": 240, "plural": 240, "gender": 132, "comparative": 240}
    assert set(place) <= set(Corpus().vocabulary)


def test_another_seed_draws_other_sentences_and_a_longer_text_begins_alike():
    assert list(Grammar(20).texts()) != list(Grammar(20, seed=1).texts())
    assert list(Grammar(5000).texts())[:20] == list(Grammar(20).texts())


def test_baskets_are_of_one_group_for_the_most_part():
    made = Baskets(500)
    owner = {item: name for name, items in made.groups.items() for item in items}
    most = [
        Counter(owner[item] for item in text.split()).most_common(1)[0][1] / len(text.split()) for text in made.texts()
    ]
    assert 0.85 < float(np.mean(most)) < 0.97
    assert all(len(set(text.split())) == len(text.split()) for text in made.texts())


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("", {}, "expected a document a line in .*t.txt, got an empty file"),
        ("\n \n", {}, "expected a document a line in .*t.txt, got an empty file"),
        ("...\n!", {}, "expected words in the training documents of .*t.txt, got none"),
        ("a b a", {}, "expected words that occur 5 times in the training documents of .*t.txt, got 2 at the most"),
        ("a b a", {"tokens": {"least": 0}}, "expected least and most of at least 1 and a length of at least 2"),
        ("a b a", {"tokens": {"pattern": "(a)"}}, "expected a pattern without groups"),
        ("a b a", {"tokens": {"pattern": "["}}, "expected a regular expression as pattern"),
        ("a b a", {"tokens": {"least": 1}, "vocabulary_size": 3}, "expected vocabulary_size 2, got 3"),
        ("a\nb", {"tokens": {"least": 1}, "val_size": 2}, "expected val_size between 0 and 1, for 2 observations"),
    ],
)  # fmt: skip
def test_text_that_makes_no_corpus(tmp_path, text, options, sentence):
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        Corpus(path=str(tmp_path / "t.txt"), **{"val_size": 0, "test_size": 0, **options})
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("t.txt", ".tokens.lock")] == [
        path.name for path in tmp_path.glob("*.tokens")
    ]


def test_a_single_word_is_a_corpus(tmp_path):
    (tmp_path / "t.txt").write_text("yes\nyes yes yes\nyes")
    data = Corpus(path=str(tmp_path / "t.txt"), val_size=0, test_size=0)
    assert (data.vocabulary, data.counts.tolist()) == (("yes",), [5])
    assert data.tokens("train").tolist() == [0, END, 0, 0, 0, END, 0, END]


def test_a_place_that_cannot_be_written_to(tmp_path, monkeypatch):
    (tmp_path / "t.txt").write_text("a " * 9)

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(
        PermissionError, match=r"which cannot be written to: name another directory by data\.tokens\.cac"
    ):
        Corpus(path=str(tmp_path / "t.txt"), val_size=0, test_size=0)


def test_lines_of_any_white_space_are_no_documents_to_hold_out(tmp_path):
    blank = ["\u00a0", "\u3000 ", "\x1c", "\t", ""]
    (tmp_path / "blank.txt").write_text("\ufeff\n" + "\n".join(["one two", *blank * 9] * 10), encoding="utf-8")
    data = Corpus(path=str(tmp_path / "blank.txt"), tokens={"least": 1}, val_size=3, test_size=2)
    assert [len(words_of(data, split)) for split in ("train", "val", "test")] == [5, 3, 2]
